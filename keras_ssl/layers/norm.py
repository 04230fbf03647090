"""Batch normalization with the papers' constants, fused where one replica allows it."""

import keras
import tensorflow as tf
from keras import ops

from keras_ssl.core.replicas import all_gather, num_replicas
from keras_ssl.core.serialization import register

_FUSED_DTYPES = (tf.float32, tf.bfloat16, tf.float16)


@register
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer with TensorFlow's fused kernel, and statistics shared between replicas.

    Use it wherever a network of this package normalizes. Weights, their order, the running
    statistics (biased variance), `trainable=False` as inference mode, and the config are those of
    `keras.layers.BatchNormalization`; only the speed and three defaults differ. The fused kernel
    serves (batch, channels) and (batch, height, width, channels) in float32 and half precision,
    with float32 statistics; masks, float64, other ranks and axes, and renormalization go through
    Keras's code. Statistics are exact also where a channel's mean is far above its spread,
    compiled by XLA or not. Replicas share them by a single gather; each has as many rows.

    Formula: `y = gamma * (x - mean) / sqrt(variance + epsilon) + beta`, then
    `running = momentum * running + (1 - momentum) * batch`.

    Args:
        axis: int. The axis of the channels.
        momentum: float in [0, 1]. Fraction of the running statistics that one step keeps.
        epsilon: float > 0. Added to the variance.
        synchronized: bool. Several replicas normalize by the statistics of the global batch.
        **kwargs: the other arguments of `keras.layers.BatchNormalization` (`center`, `scale`, ...).

    Example:

    >>> layer = BatchNormalization(center=False, scale=False)
    >>> y = layer(keras.ops.array([[1.0, 5.0], [3.0, 9.0]]), training=True)
    >>> y.numpy().round(3).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]

    Reference: Ioffe and Szegedy, Batch Normalization, algorithms 1 and 2. The constants are
    PyTorch's, which the published networks were trained with (its momentum 0.1 is 0.9 here).
    """

    def __init__(self, axis=-1, momentum=0.9, epsilon=1e-5, synchronized=True, **kwargs):
        super().__init__(
            axis=axis, momentum=momentum, epsilon=epsilon, synchronized=synchronized, **kwargs
        )

    def call(self, inputs, training=None, mask=None):
        training = bool(training and self.trainable)
        if mask is not None or not self._is_plain(inputs):
            return super().call(inputs, training=training, mask=mask)
        flat = len(inputs.shape) == 2
        x = inputs[:, None, None, :] if flat else inputs  # the kernel knows images only
        if not training:
            y = self._normalize_by_running(x)
        elif self.synchronized and num_replicas() > 1:
            y = self._normalize_by_replicas(x)
        else:
            y = self._normalize_by_batch(x)
        return ops.cast(tf.squeeze(y, [1, 2]) if flat else y, self.compute_dtype)

    def _is_plain(self, inputs):
        """Whether this layer's own code takes the inputs."""
        rank = len(inputs.shape)
        channels_last = self.axis in (-1, rank - 1)
        # Not every supported Keras has batch renormalization.
        plain = not getattr(self, "renorm", False)
        return plain and channels_last and rank in (2, 4) and inputs.dtype in _FUSED_DTYPES

    def _normalize_by_batch(self, x):
        centered, shift = _near_zero(x)
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=centered, **self._affine(), mean=[], variance=[], epsilon=self.epsilon
        )
        # The kernel reports n / (n - 1) times the variance it normalized by, and may report NaN
        # for n = 1; int64 because a large batch of large images has more than 2**31 elements.
        count = tf.cast(tf.reduce_prod(tf.shape(x, tf.int64)[:-1]), tf.float32)
        variance = tf.math.multiply_no_nan(variance, (count - 1.0) / count)
        self._update(self.moving_mean, mean + shift)
        self._update(self.moving_variance, ops.maximum(variance, 0.0))
        return y

    def _normalize_by_replicas(self, x):
        x = ops.cast(x, "float32")
        centered, shift = _near_zero(x)
        own, spread = tf.nn.moments(centered, [0, 1, 2])
        # Both at once: collectives cost by their number.
        means, spreads = tf.unstack(all_gather(tf.stack([own + shift, spread])[None]), axis=1)
        mean = tf.reduce_mean(means, axis=0)
        variance = tf.reduce_mean(spreads + tf.square(means - mean), axis=0)
        self._update(self.moving_mean, mean)
        self._update(self.moving_variance, variance)
        affine = self._affine()
        factor = affine["scale"] * tf.math.rsqrt(variance + self.epsilon)
        return (x - mean) * factor + affine["offset"]

    def _normalize_by_running(self, x):
        return tf.raw_ops.FusedBatchNormV3(
            x=x,
            **self._affine(),
            mean=ops.cast(self.moving_mean, "float32"),
            variance=ops.cast(self.moving_variance, "float32"),
            epsilon=self.epsilon,
            is_training=False,
        ).y

    def _affine(self):
        channels = self.moving_mean.shape
        return {
            "scale": ops.cast(self.gamma, "float32") if self.scale else tf.ones(channels),
            "offset": ops.cast(self.beta, "float32") if self.center else tf.zeros(channels),
        }

    def _update(self, running, batch):
        running.assign(ops.cast(running, "float32") * self.momentum + batch * (1 - self.momentum))


def _near_zero(x):
    """`x` less its first row, channel by channel, and that row: float32 (channels,).

    XLA computes the variance as `E[x^2] - E[x]^2`, which is rounding alone, and may be negative,
    where the mean is far above the spread; the uncompiled kernel rounds its mean. A row of the
    batch is near the mean. Uncompiled half precision stays as it is: the kernel computes in
    float32, and its input cannot resolve so small a spread.
    """
    compiled = tf.__internal__.get_enclosing_xla_context() is not None
    if x.dtype != tf.float32:
        if not compiled:
            return x, tf.zeros(x.shape[-1])
        x = tf.cast(x, tf.float32)
    shift = tf.stop_gradient(x[0, 0, 0])
    return x - shift, shift
