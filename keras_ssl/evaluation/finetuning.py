"""Fine-tuning: an encoder and a classifier learn from labels, at the best of several rates."""

import itertools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_ssl.core.constants import FINETUNE_BATCH_SIZE, FINETUNE_LEARNING_RATES, FINETUNE_STEPS
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.evaluation.finetune_training import Trainer, add_classifier, batch_norm_momentum
from keras_ssl.evaluation.probes.sgd_training import SCHEDULES
from keras_ssl.evaluation.results import Measurement
from keras_ssl.evaluation.splits import label_subset, noted_alone, stratified_parts, subset_digest
from keras_ssl.evaluation.validation import checked_labels, numbered_classes

PROTOCOL = {
    "classifier": "linear; it and all layers of the encoder are trained",
    "optimizer": "SGD, Nesterov momentum 0.9, L2 decay of kernels",
    "batch_norm_momentum": "max(1 - 10 / steps per epoch, 0.9)",
    "choice": "best accuracy on one of `folds` stratified parts, then trained on all of them",
}


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
    learning_rates: Sequence[float] = FINETUNE_LEARNING_RATES,
    weight_decays: Sequence[float] = (0.0,),
    steps: int = FINETUNE_STEPS,
    batch_size: int = FINETUNE_BATCH_SIZE,
    schedule: str = "cosine",
    layer_decay: float = 1.0,
    seed: int = 0,
    jit_compile: bool = False,
) -> Measurement:
    """Accuracy of a network that starts as `encoder` and then learns all its layers from labels.

    Each pair of a learning rate and a weight decay is tried on four fifths of the labels. The pair
    of the best accuracy on the last fifth is trained again on all labels and scored on the test
    part. (A class of fewer than five images makes that a fourth, a third or a half.)

    Args:
        encoder: functional `keras.Model`, float images -> features (batch, F); left unchanged.
        train, test: uint8 images (N, height, width, channels), or anything indexed like an array.
        train_labels, test_labels: integers (N,); every test class must occur in training. A class
            with a single image takes no part in the choice, and the protocol says so.
        views: function `(rows, batch_size, seed) -> tf.data.Dataset` without end of pairs: float
            images (batch_size, H, W, C), drawn from `train[rows]` in random order and augmented,
            and their positions in `rows`, int64 (batch_size,).
        preprocess: callable `uint8 batch -> float batch`, for images that are scored.
        share: float in (0, 1]. Fraction of the labels to learn from, those of `label_subset`.
        learning_rates: floats > 0. Peaks to choose from, per 256 images of a batch.
        weight_decays: floats >= 0. To choose from.
        steps: int > 0. Of each training.
        batch_size: int > 0. Fewer images than that make one batch.
        schedule: "cosine" to zero, "steps" (a tenth after 60 % and after 80 % of the steps) or
            "constant".
        layer_decay: float in (0, 1]. Learning rate of a block of layers relative to the one above.
        seed: int >= 0. Of the subset, the order, the augmentation and the classifier.
        jit_compile: whether XLA compiles the training step.

    Returns:
        `Measurement` of the `accuracy`. Its details are the trained `model`, float images ->
        logits; `classes`, the label of each logit; the chosen `learning_rate` and `weight_decay`;
        and `validation`, ((learning rate, weight decay, accuracy in percent), ...) of the search,
        empty where there was nothing to choose from.

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
    lookup(SCHEDULES, schedule, "schedule")
    train_labels, test_labels, classes = _checked(train, train_labels, test, test_labels)
    rows = label_subset(train_labels, share, seed)
    parts = stratified_parts(train_labels[rows], seed)

    def trainer(part):
        """One that trains on the images at `part`."""
        batch = min(batch_size, len(part))
        momentum = batch_norm_momentum(len(part), batch)
        return Trainer(
            add_classifier(encoder, len(classes), batch_norm_momentum=momentum, seed=seed),
            views(part, batch, seed).map(_with_labels(train_labels[part])),
            batch_size=batch,
            preprocess=preprocess,
            layer_decay=layer_decay,
            jit_compile=jit_compile,
        )

    training = {"steps": steps, "schedule": schedule}
    pairs, validation = list(itertools.product(learning_rates, weight_decays)), ()
    if len(pairs) > 1:
        part, held = (rows[one] for one in parts[0])
        validation = _validated(trainer(part), pairs, train[held], train_labels[held], training)
        pairs = [max(validation, key=lambda one: one[2])[:2]]
    learning_rate, weight_decay = pairs[0]
    final = trainer(rows)
    final.train(learning_rate, weight_decay, **training)
    protocol = {
        **PROTOCOL,
        **training,
        "batch_size": final.batch_size,
        "learning_rates": list(learning_rates),
        "weight_decays": list(weight_decays),
        "layer_decay": layer_decay,
        "precision": encoder.dtype_policy.name,
        "train_images": len(rows),
        "folds": len(parts),
        **noted_alone(train_labels[rows]),
        "subset_sha256": subset_digest(rows),
        "seed": seed,
    }
    correct = final.correct(test, test_labels)
    details = {"model": final.model, "classes": classes, "validation": validation}
    details |= {"learning_rate": learning_rate, "weight_decay": weight_decay}
    accuracy = {"accuracy": 100.0 * float(np.mean(correct))}
    return Measurement(accuracy, protocol, correct=correct[None], details=details)


def _validated(trainer, pairs, images, labels, training):
    """(learning rate, weight decay, accuracy on `images`) of every pair."""
    found = []
    for pair in pairs:
        trainer.train(*pair, **training)
        found.append((*pair, 100.0 * float(np.mean(trainer.correct(images, labels)))))
    return tuple(found)


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
