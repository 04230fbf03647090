"""A linear probe that follows features while the encoder that makes them still trains."""

import math

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.linear_classifier import standardize


class FollowingProbe:
    """A softmax classifier that is trained a little further on every call.

    A call standardises the features by the mean and standard deviation of its train part, as
    encoders and epochs differ in scale, takes some steps of Adam on minibatches of that part and
    returns the accuracy on the test part. Weights and moments are kept for the next call.

    A probe of one call, as after a training was resumed, is up to a few points below one of many
    calls on the same features, and at its level after some three calls more.

    It reads arrays and draws from a generator of its own: nothing else changes. All calls must
    have train parts of one shape and with the same labels.

    Args:
        learning_rate: float > 0. Adam's is this over the root of the columns: 0.003 for 100.
        steps: int >= 1. Per call; 200 are ten passes over 5,000 rows.
        batch_size: int >= 1. Rows per step, or all rows if those are fewer.
        seed: int. Draws the order of the rows.

    Raises:
        UserError: if a setting is out of its range.

    Example:

    >>> features, labels = np.repeat(np.eye(2, dtype="float32"), 8, axis=0), np.repeat([3, 7], 8)
    >>> FollowingProbe()(features, labels, features, labels)
    100.0

    References: Kingma and Ba 2015, arXiv:1412.6980 (Adam); Loshchilov and Hutter 2019,
    arXiv:1711.05101 (its weight decay).
    """

    def __init__(self, *, learning_rate=0.03, steps=200, batch_size=256, seed=0):
        if learning_rate <= 0 or steps < 1 or batch_size < 1:
            raise UserError(
                "An online probe needs learning_rate > 0, steps >= 1 and batch_size >= 1. "
                f"Received {learning_rate}, {steps} and {batch_size}."
            )
        self.learning_rate, self.steps, self.batch_size = learning_rate, steps, batch_size
        self.weights = None
        self._draw = np.random.RandomState(seed)  # its stream is frozen; that of default_rng is not
        self._train = tf.function(self._take_steps)

    def __call__(self, train, train_labels, test, test_labels):
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
        found = classes[np.argmax(test @ kernel + bias, axis=1)]
        return 100.0 * float(np.mean(found == test_labels))

    def _start(self, columns, classes):
        # Names of its own: without them Keras counts up those that it gives to later objects.
        shapes = {"online_kernel": (columns, classes), "online_bias": (classes,)}
        self.weights = [
            keras.Variable(np.zeros(shape), dtype="float32", autocast=False, name=name)
            for name, shape in shapes.items()
        ]
        # A step moves the logits the more the more columns there are. Decay in proportion to the
        # columns keeps logits of one size: without it, wide features of 5,000 images are learnt
        # by heart and the accuracy falls from call to call.
        rate, decay = self.learning_rate / math.sqrt(columns), columns / 200
        self.optimizer = keras.optimizers.Adam(rate, weight_decay=decay, name="online_adam")
        self.optimizer.exclude_from_weight_decay(var_names=["online_bias"])
        self.optimizer.build(self.weights)

    def _order(self, rows):
        """Rows of every step, int32 (steps, batch): whole passes, less what fills no batch."""
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
            wrong = tf.nn.softmax(batch @ kernel + bias)
            wrong -= tf.one_hot(tf.gather(targets, rows), classes)
            wrong /= tf.cast(tf.shape(rows)[0], tf.float32)
            # The gradients of the mean cross-entropy.
            slopes = [tf.matmul(batch, wrong, transpose_a=True), tf.reduce_sum(wrong, axis=0)]
            self.optimizer.apply(slopes, self.weights)
