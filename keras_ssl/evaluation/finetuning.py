"""Fine-tuning: an encoder and a classifier learn from labels, at the best of several rates."""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_ssl.core.constants import FINETUNE_BATCH_SIZE, FINETUNE_LEARNING_RATES, FINETUNE_STEPS
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.evaluation.finetune_training import Trainer, add_classifier, batch_norm_momentum
from keras_ssl.evaluation.probes.sgd_training import SCHEDULES
from keras_ssl.evaluation.results import Measurement
from keras_ssl.evaluation.splits import (
    few_labels,
    given_parts,
    label_subset,
    noted_alone,
    stratified_parts,
    subset_digest,
)
from keras_ssl.evaluation.validation import checked_labels, numbered_classes
from keras_ssl.layers.necks import at_temperature

PROTOCOL = {
    "classifier": "linear; it and all layers of the encoder are trained",
    "optimizer": "SGD, Nesterov momentum 0.9, L2 decay of kernels",
    "batch_norm_momentum": "max(1 - 10 / steps per epoch, 0.9)",
    "choice": "best accuracy on one of `folds` stratified parts, then trained on all of them",
}
ON_VALIDATION = "best accuracy on the validation split, then trained on it too"


class Trial(NamedTuple):
    """Settings that were tried, and their accuracy in percent on the part that chooses.

    Example:

    >>> Trial(0.1, 0.0, 100, None, None, accuracy=61.5).learning_rate
    0.1
    """

    learning_rate: float
    weight_decay: float
    steps: int | None
    epochs: float | None
    temperature: float | None
    accuracy: float | None = None


def finetune(
    encoder: keras.Model,
    train: ArrayLike,
    train_labels: ArrayLike,
    test: ArrayLike,
    test_labels: ArrayLike,
    *,
    views: Callable[[np.ndarray, int, int], tf.data.Dataset],
    preprocess: Callable[[tf.Tensor], tf.Tensor],
    share: float = 1.0,
    labels_per_class: int | None = None,
    validation: ArrayLike | None = None,
    learning_rates: Sequence[float] = FINETUNE_LEARNING_RATES,
    per_256: bool = True,
    encoder_rate: float = 1.0,
    weight_decays: Sequence[float] = (0.0,),
    nesterov: bool = True,
    steps: int = FINETUNE_STEPS,
    epochs: Sequence[float] = (),
    batch_size: int = FINETUNE_BATCH_SIZE,
    schedule: str = "cosine",
    layer_decay: float = 1.0,
    temperatures: Sequence[float] = (),
    seed: int = 0,
    jit_compile: bool = False,
) -> Measurement:
    """Accuracy of a network that starts as `encoder` and then learns all its layers from labels.

    Every combination of a learning rate, a weight decay, a length and a temperature is tried on
    four fifths of the labels. That of the best accuracy on the last fifth is trained again on all
    labels and scored on the test part. (A class of fewer than five images makes that a fourth, a
    third or a half.) Where the data have a validation split, that takes the place of the fifth.

    Args:
        encoder: functional `keras.Model`, float images -> features (batch, F); left unchanged.
        train, test: uint8 images (N, height, width, channels), or anything indexed like an array.
        train_labels, test_labels: integers (N,); every test class must occur in training. A class
            with a single image takes no part in the choice, and the protocol says so.
        views: function `(rows, batch_size, seed) -> tf.data.Dataset` without end of pairs: float
            images (batch_size, H, W, C), drawn from `train[rows]` in random order and augmented,
            and their positions in `rows`, int64 (batch_size,).
        preprocess: callable `uint8 batch -> float batch`, for images that are scored.
        share: float in (0, 1]. Fraction of the labels to learn from, those of `label_subset`; the
            same fraction of the validation split chooses.
        labels_per_class: int > 1 or None. Labels of each class to learn from, those of
            `few_labels`, in place of a share; a fifth of them chooses, whatever `validation` is.
        validation: sorted row numbers of `train`, the validation split of the data; None for none.
        learning_rates: floats > 0. Peaks to choose from.
        per_256: bool. Whether they are those of 256 images, scaled with the batch.
        encoder_rate: float in (0, 1]. Learning rate of the encoder relative to the classifier's.
        weight_decays: floats >= 0. To choose from.
        nesterov: bool. Whether the momentum of 0.9 is Nesterov's.
        steps: int > 0. Of each training.
        epochs: floats > 0. Lengths to choose from in place of `steps`, in passes over the labels.
        batch_size: int > 0. Fewer images than that make one batch.
        schedule: "cosine" to zero, "steps" (a tenth after 60 % and after 80 % of the steps) or
            "constant".
        layer_decay: float in (0, 1]. Learning rate of a block of layers relative to the one above.
        temperatures: floats >= 0. Values of tau_d to choose from, for an encoder with simplices;
            empty leaves the encoder as it is.
        seed: int >= 0. Of the subset, the order, the augmentation and the classifier.
        jit_compile: whether XLA compiles the training step.

    Returns:
        `Measurement` of the `accuracy`, and of `top5` where there are more than five classes. Its
        details are the trained `model`, float images -> logits; `classes`, the label of each logit;
        the chosen `learning_rate`, `weight_decay`, `epochs` and `temperature`, the last two None
        where they are not searched; `chosen_by`, the number of images that choose; and
        `validation`, a `Trial` of each combination, empty where there was nothing to choose from.

    Raises:
        UserError: for labels that are invalid or do not match, or settings out of their ranges.

    Example:

    >>> labels = np.repeat([0, 1], 4)
    >>> images = np.full((8, 4, 4, 1), 255, "uint8") * labels[:, None, None, None].astype("uint8")
    >>> scale = lambda images: tf.cast(images, "float32") / 255
    >>> def views(rows, batch_size, seed):
    ...     batch = scale(images[rows])[:batch_size], tf.range(batch_size, dtype="int64")
    ...     return tf.data.Dataset.from_tensors(batch).repeat()
    >>> pixels = keras.Input((4, 4, 1))
    >>> encoder = keras.Model(pixels, keras.layers.Flatten()(pixels))
    >>> settings = {"learning_rates": (1.0,), "steps": 20, "batch_size": 8}
    >>> data = (images, labels, images, labels)
    >>> finetune(encoder, *data, views=views, preprocess=scale, **settings).accuracy
    100.0

    Reference: Lavoie et al., Simplicial Embeddings, appendices B.5 and B.6, after Kornblith et al.,
    arXiv:1805.08974.
    """
    _check_settings(share, learning_rates, weight_decays, steps, batch_size, layer_decay)
    _check_search(epochs, temperatures, encoder_rate)
    lookup(SCHEDULES, schedule, "schedule")
    train_labels, test_labels, classes = _checked(train, train_labels, test, test_labels)
    parts = _parts(train_labels, share, labels_per_class, validation, seed)
    options = {"layer_decay": layer_decay, "encoder_rate": encoder_rate, "nesterov": nesterov}
    options |= {"per_256": per_256, "preprocess": preprocess, "jit_compile": jit_compile}

    def trainer(part, temperature):
        """One that trains on the images at `part`."""
        batch = min(batch_size, len(part))
        momentum = batch_norm_momentum(len(part), batch)
        network = encoder if temperature is None else at_temperature(encoder, temperature)
        return Trainer(
            add_classifier(network, len(classes), batch_norm_momentum=momentum, seed=seed),
            views(part, batch, seed).map(_with_labels(train_labels[part])),
            batch_size=batch,
            **options,
        )

    lengths = [(None, one) for one in epochs] or [(steps, None)]
    grid = [
        Trial(rate, decay, *length, temperature)
        for temperature in temperatures or (None,)
        for length, rate, decay in itertools.product(lengths, learning_rates, weight_decays)
    ]
    tried = ()
    if len(grid) > 1:
        tried = _tried(
            grid, trainer, parts.fit, schedule, train[parts.held], train_labels[parts.held]
        )
        grid = [max(tried, key=lambda one: one.accuracy)]
    chosen = grid[0]._replace(accuracy=None)
    final = trainer(parts.rows, chosen.temperature)
    _train(final, chosen, len(parts.rows), schedule)
    protocol = {
        **PROTOCOL,
        **({"epochs": list(epochs)} if epochs else {"steps": steps}),
        "schedule": schedule,
        "batch_size": final.batch_size,
        "learning_rates": list(learning_rates),
        "weight_decays": list(weight_decays),
        "layer_decay": layer_decay,
        "precision": encoder.dtype_policy.name,
        "train_images": len(parts.rows),
        **parts.protocol,
        **noted_alone(train_labels[parts.rows]),
        "subset_sha256": subset_digest(parts.rows),
        "seed": seed,
        **_unusual(per_256, encoder_rate, nesterov, temperatures),
    }
    ranks = final.ranks(test, test_labels)
    tops = {"accuracy": 1, "top5": 5} if len(classes) > 5 else {"accuracy": 1}
    metrics = {name: 100.0 * float(np.mean(ranks < top)) for name, top in tops.items()}
    details = {"model": final.model, "classes": classes, "validation": tried}
    details |= {"chosen_by": len(parts.held) if tried else 0}
    details |= {name: getattr(chosen, name) for name in _CHOSEN}
    return Measurement(metrics, protocol, correct=(ranks == 0)[None], details=details)


_CHOSEN = ("learning_rate", "weight_decay", "epochs", "temperature")


class _Parts(NamedTuple):
    """Rows to learn from in the end, those that trials learn from and are scored on; and words."""

    rows: np.ndarray
    fit: np.ndarray
    held: np.ndarray
    protocol: dict


def _parts(labels, share, labels_per_class, validation, seed):
    if validation is None or labels_per_class is not None:
        rows = label_subset(labels, share, seed)
        if labels_per_class is not None:
            rows = few_labels(labels, labels_per_class, seed)
        folds = stratified_parts(labels[rows], seed)
        return _Parts(rows, *(rows[one] for one in folds[0]), {"folds": len(folds)})
    given = given_parts(labels, validation)
    fit, held = (part[label_subset(labels[part], share, seed)] for part in given)
    words = {"choice": ON_VALIDATION, "validation_images": len(held)}
    return _Parts(np.union1d(fit, held), fit, held, words)


def _unusual(per_256, encoder_rate, nesterov, temperatures):
    """What the protocol says only where it is not as in the default one."""
    unusual = {} if per_256 else {"per_256": False}
    if encoder_rate != 1:
        unusual["encoder_rate"] = encoder_rate
    if not nesterov:
        unusual["optimizer"] = PROTOCOL["optimizer"].replace("Nesterov momentum", "momentum")
    return unusual | ({"temperatures": list(temperatures)} if temperatures else {})


def _tried(grid, trainer, part, schedule, images, labels):
    """The trials with their accuracy on `images`; a network is compiled once per temperature."""
    found = []
    for temperature, trials in itertools.groupby(grid, lambda one: one.temperature):
        own = trainer(part, temperature)
        for trial in trials:
            _train(own, trial, len(part), schedule)
            correct = own.ranks(images, labels) == 0
            found.append(trial._replace(accuracy=100.0 * float(np.mean(correct))))
    return tuple(found)


def _train(trainer, trial, count, schedule):
    steps = trial.steps or max(1, round(trial.epochs * count / trainer.batch_size))
    trainer.train(trial.learning_rate, trial.weight_decay, steps=steps, schedule=schedule)


def _with_labels(labels):
    labels = tf.constant(labels)
    return lambda images, positions: (images, tf.gather(labels, positions))


def _checked(train, train_labels, test, test_labels):
    """Both labels as numbers of the classes from 0, and the label of each class."""
    train_labels = checked_labels(train_labels, train, "train")
    test_labels = checked_labels(test_labels, test, "test")
    *numbers, classes = numbered_classes(train_labels, test_labels, "Fine-tuning")
    return *numbers, tuple(classes.tolist())


def _check_settings(share, learning_rates, weight_decays, steps, batch_size, layer_decay):
    rates = len(learning_rates) and all(rate > 0 for rate in learning_rates)
    decays = len(weight_decays) and all(decay >= 0 for decay in weight_decays)
    for what, fits, expected in (
        (f"share={share}", 0 < share <= 1, "in (0, 1]"),
        (f"layer_decay={layer_decay}", 0 < layer_decay <= 1, "in (0, 1]"),
        (f"steps={steps}", steps >= 1, "1 or more"),
        (f"batch_size={batch_size}", batch_size >= 2, "2 or more"),
        (f"learning_rates={learning_rates}", rates, "one or more numbers above 0"),
        (f"weight_decays={weight_decays}", decays, "one or more numbers from 0 on"),
    ):
        if not fits:
            raise UserError(f"Fine-tuning: {what} does not fit; it must be {expected}.")


def _check_search(epochs, temperatures, encoder_rate):
    for what, fits, expected in (
        (f"epochs={epochs}", all(one > 0 for one in epochs), "numbers above 0"),
        (f"temperatures={temperatures}", all(t >= 0 for t in temperatures), "numbers from 0 on"),
        (f"encoder_rate={encoder_rate}", 0 < encoder_rate <= 1, "in (0, 1]"),
    ):
        if not fits:
            raise UserError(f"Fine-tuning: {what} does not fit; it must be {expected}.")
