"""Watch a representation while it trains: k-NN, a linear probe, spread and rank of the features."""

import functools
import math
import warnings
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_ssl.analysis.spectrum import Spectrum
from keras_ssl.core.constants import KNN_NEIGHBOURS, KNN_TEMPERATURE
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.knn import knn_accuracy
from keras_ssl.evaluation.probes.linear import standardize
from keras_ssl.evaluation.representation import FeatureExtractor
from keras_ssl.evaluation.validation import checked_labels
from keras_ssl.ops.rows import some_rows
from keras_ssl.ops.spread import feature_std
from keras_ssl.training.spectra import feature_spectrum, spectrum_logs

MAX_VALUES = 2**26  # of the features of a part, 256 MiB: 5,000 images of 13,421 features


class OnlineEvaluation(keras.callbacks.Callback):
    """Every few epochs and after the last, evaluate the features of a fixed subset.

    Features are extracted once for all probes, in inference mode, and nothing of the model, its
    optimizer or the global random state changes. `feature_std` (on `images`)
    and the numbers of their `feature_spectrum` (`feature_rankme`, `feature_participation_ratio`,
    `feature_largest_share`) are always added to the logs, the probes' values only if both parts
    have labels. They show a trend: the subset is fixed, but small.

    Args:
        encoder: callable `(float batch, training=False) -> (B, features)`, such as a model.
        preprocess: callable `uint8 batch -> float batch`.
        images: uint8 (N, H, W, C).
        labels: integers (N,) or None.
        test_images, test_labels: the same for the test part, or None.
        probes: {name in the logs: callable}. A probe takes `(features, labels, test_features,
            test_labels)`, float32 (rows, columns) and int64 (rows,), and returns a float:
            `online_knn()`, `OnlineLinearProbe()` or one of your own. If it raises `UserError`, as
            for features that are no longer finite, its value is NaN and a warning gives the reason.
        every: int >= 1. Epochs between evaluations.
        max_images: int >= 1. Most images of either part; a random subset drawn once. Fewer where
            a model gives so many features that those of a part would be more than `MAX_VALUES`
            values; a printed line says so.
        batch_size: int >= 1. Images per call of the encoder.
        seed: int. Draws the subsets.

    Attributes:
        spectrum: `Spectrum` of the features of an epoch that was evaluated, else None.

    Raises:
        UserError: if labels do not fit their images, or `every` is not positive.

    Example:

    >>> images, labels = np.arange(64, dtype="uint8").reshape(4, 4, 4, 1), np.array([0, 0, 1, 1])
    >>> model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    >>> model.compile("sgd", "mse")
    >>> probes = {"knn": online_knn(k=2), "linear": OnlineLinearProbe()}
    >>> data = (images, labels, images, labels)
    >>> online = OnlineEvaluation(model, lambda x: x / 255, *data, probes=probes)
    >>> fit = model.fit(images, np.zeros((4, 16)), epochs=2, verbose=0, callbacks=[online])
    >>> fit.history["knn"], len(fit.history["linear"])
    ([100.0], 1)
    """

    def __init__(
        self,
        encoder: Callable,
        preprocess: Callable,
        images: np.ndarray,
        labels: ArrayLike | None = None,
        test_images: np.ndarray | None = None,
        test_labels: ArrayLike | None = None,
        *,
        probes: Mapping[str, Callable[..., float]],
        every: int = 5,
        max_images: int = 5000,
        batch_size: int = 256,
        seed: int = 0,
    ):
        super().__init__()
        if every < 1:
            raise UserError(f"every must be 1 epoch or more. Received {every}.")
        self.every, self.probes = every, dict(probes)
        self.extract = FeatureExtractor(encoder, preprocess, batch_size=batch_size)
        parts = [part for part in (images, test_images) if part is not None]
        max_images = _most(encoder, max_images, max(len(part) for part in parts))
        self.train = _subset(images, labels, "train", max_images, seed)
        self.test = None
        if labels is not None and test_images is not None and test_labels is not None:
            self.test = _subset(test_images, test_labels, "test", max_images, seed + 1)
        self.spectrum: Spectrum | None = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None):
        self.spectrum = None

    def on_epoch_end(self, epoch: int, logs: dict | None = None):
        last = epoch + 1 == self.params["epochs"]
        if last or (epoch + 1) % self.every == 0:
            logs.update(self.measure())

    def measure(self) -> dict[str, float]:
        """The values for the logs, of the encoder at this moment."""
        images, labels = self.train
        features = self.extract(images)
        self.spectrum = feature_spectrum(features)
        values = {"feature_std": feature_std(features), **spectrum_logs(self.spectrum)}
        if self.test is not None:
            test_images, test_labels = self.test
            parts = (features, labels, self.extract(test_images), test_labels)
            values |= {name: _value(name, probe, parts) for name, probe in self.probes.items()}
        return values

    def measure_spectrum(self) -> Spectrum:
        """The spectrum of the encoder's features at this moment."""
        return feature_spectrum(self.extract(self.train[0]))


def online_knn(
    k: int = KNN_NEIGHBOURS, temperature: float = KNN_TEMPERATURE
) -> Callable[..., float]:
    """Accuracy in percent of a weighted k-NN, as a probe of `OnlineEvaluation`.

    It is NaN while features are zero or not finite: such features have no direction.

    Args:
        k: int >= 1. Neighbors, or all images if those are fewer.
        temperature: float > 0. Of the cosine votes.

    Raises:
        UserError: if a setting is out of its range.

    Example:

    >>> features, labels = np.eye(3, dtype="float32"), np.arange(3)
    >>> online_knn(k=1)(features, labels, features, labels)
    100.0
    """
    if k < 1 or temperature <= 0:
        raise UserError(
            f"An online k-NN needs k >= 1 and temperature > 0. Received {k} and {temperature}."
        )
    return functools.partial(_knn_percent, k, temperature)


def _value(name, probe, parts):
    try:
        return probe(*parts)
    except UserError as error:  # no reason to lose the training
        warnings.warn(f"{name} is NaN: {error}", stacklevel=2)
        return math.nan


def _knn_percent(k, temperature, features, labels, test_features, test_labels):
    if not (_have_direction(features) and _have_direction(test_features)):
        return math.nan  # a collapse is worth seeing, not worth ending the run
    settings = {"k": min(k, len(features)), "temperature": temperature}
    return knn_accuracy(features, labels, test_features, test_labels, **settings).accuracy


def _have_direction(features):
    return bool(np.isfinite(features).all() and features.any(axis=1).all())


def _most(encoder, most, count):
    """As many images of `most` as have features of `MAX_VALUES` values at most, at least one."""
    shape = getattr(encoder, "output_shape", None)
    width = math.prod(shape[1:]) if isinstance(shape, tuple) and None not in shape[1:] else 1
    fits = max(1, MAX_VALUES // width)
    if fits < min(most, count):
        print(f"The online evaluation takes {fits:,} images, as each has {width:,} features.")
    return min(most, fits)


def _subset(images, labels, name, most, seed):
    if labels is not None:
        labels = checked_labels(labels, images, name)
    if len(images) <= most:
        return images, labels
    rows = some_rows(len(images), most, seed)
    return images[rows], None if labels is None else labels[rows]


class OnlineLinearProbe:
    """A softmax classifier that is trained a few steps further on every call.

    A call standardizes the features by the mean and standard deviation of its train part, as
    encoders and epochs differ in scale, takes some steps of Adam on minibatches of that part and
    returns the accuracy on the test part. Weights and moments are kept for the next call.

    After a single call, as when a training was resumed, the accuracy is up to a few points below
    that after many calls on the same features; some three more calls close the gap.

    It has a random generator of its own and changes nothing else. All calls must have train parts
    of one shape and with the same labels.

    Args:
        learning_rate: float > 0. Adam's is this over the root of the columns: 0.003 for 100.
        steps: int >= 1. Per call; 200 are ten passes over 5,000 rows.
        batch_size: int >= 1. Rows per step, or all rows if those are fewer.
        seed: int. Draws the order of the rows.

    Raises:
        UserError: if a setting is out of its range.

    Example:

    >>> features, labels = np.repeat(np.eye(2, dtype="float32"), 8, axis=0), np.repeat([3, 7], 8)
    >>> OnlineLinearProbe()(features, labels, features, labels)
    100.0

    References: Kingma and Ba 2015, arXiv:1412.6980 (Adam); Loshchilov and Hutter 2019,
    arXiv:1711.05101 (its weight decay).
    """

    def __init__(
        self,
        *,
        learning_rate: float = 0.03,
        steps: int = 200,
        batch_size: int = 256,
        seed: int = 0,
    ):
        if learning_rate <= 0 or steps < 1 or batch_size < 1:
            raise UserError(
                "An online probe needs learning_rate > 0, steps >= 1 and batch_size >= 1. "
                f"Received {learning_rate}, {steps} and {batch_size}."
            )
        self.learning_rate, self.steps, self.batch_size = learning_rate, steps, batch_size
        self.weights = None
        self._draw = np.random.RandomState(seed)  # its stream is frozen; that of default_rng is not
        self._train = tf.function(self._take_steps)

    def __call__(
        self,
        train: np.ndarray,
        train_labels: np.ndarray,
        test: np.ndarray,
        test_labels: np.ndarray,
    ) -> float:
        """Accuracy in percent on the test part after some steps on the train part.

        Args:
            train, test: float32 (rows, columns).
            train_labels, test_labels: integers (rows,).

        Returns:
            float in [0, 100]; NaN, and no step taken, if a feature is not finite.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            train, test = standardize(train, test)
        if not (np.isfinite(train).all() and np.isfinite(test).all()):
            return math.nan  # a collapse is worth seeing, not worth ending the run
        classes, targets = np.unique(train_labels, return_inverse=True)
        if self.weights is None:
            self._start(train.shape[1], len(classes))
        self._train(*map(tf.constant, (train, targets.astype("int32"), self._order(len(train)))))
        kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in self.weights)
        predicted = classes[np.argmax(test @ kernel + bias, axis=1)]
        return 100.0 * float(np.mean(predicted == test_labels))

    def _start(self, columns, classes):
        # Names of its own: default names would shift the counter of Keras, and so later names.
        shapes = {"online_kernel": (columns, classes), "online_bias": (classes,)}
        self.weights = [
            keras.Variable(np.zeros(shape), dtype="float32", autocast=False, name=name)
            for name, shape in shapes.items()
        ]
        # A step changes the logits in proportion to the columns. So does the decay, which keeps
        # the size of the logits: without it, wide features of 5,000 images are memorized and the
        # accuracy falls from call to call.
        rate, decay = self.learning_rate / math.sqrt(columns), columns / 200
        self.optimizer = keras.optimizers.Adam(rate, weight_decay=decay, name="online_adam")
        self.optimizer.exclude_from_weight_decay(var_names=["online_bias"])
        self.optimizer.build(self.weights)

    def _order(self, rows):
        """Rows of every step, int32 (steps, batch): whole passes, without incomplete batches."""
        batch = min(self.batch_size, rows)
        per_pass = rows // batch
        passes = [
            self._draw.permutation(rows)[: per_pass * batch].reshape(per_pass, batch)
            for _ in range(-(-self.steps // per_pass))
        ]
        return np.concatenate(passes)[: self.steps].astype("int32")

    def _take_steps(self, train, targets, order):
        kernel, bias = self.weights
        classes = bias.shape[0]
        for rows in order:
            batch = tf.gather(train, rows)
            errors = tf.nn.softmax(batch @ kernel + bias)
            errors -= tf.one_hot(tf.gather(targets, rows), classes)
            errors /= tf.cast(tf.shape(rows)[0], tf.float32)
            # The gradients of the mean cross-entropy.
            slopes = [tf.matmul(batch, errors, transpose_a=True), tf.reduce_sum(errors, axis=0)]
            self.optimizer.apply(slopes, self.weights)
