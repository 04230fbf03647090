"""Centering: subtract a running mean from the teacher's output, against collapse to one class."""

import keras
from keras import ops

from keras_ssl.core.bounds import Share
from keras_ssl.core.replicas import all_mean
from keras_ssl.core.serialization import Configured, register
from keras_ssl.ops.precision import at_least_float32, float_spec


@register
class Centering(Configured, keras.layers.Layer):
    """Subtract `center`, a moving average of the mean row, which only `update` moves.

    Call the layer on the teacher's logits for the loss, then `update` it with the same logits, so
    that a step uses the center of the steps before it.

        center <- momentum * center + (1 - momentum) * mean of the rows of all replicas

    Args:
        momentum: float in [0, 1]. Fraction of the center that one step keeps.

    Attributes:
        center: (dim,), non-trainable, in at least float32, 0 at first.

    Raises:
        UserError: for a momentum out of range.

    Example:

    >>> layer = Centering(momentum=0.75)
    >>> logits = keras.ops.array([[4.0, 0.0], [4.0, 8.0]])
    >>> layer(logits).numpy().tolist()
    [[4.0, 0.0], [4.0, 8.0]]
    >>> layer.update(logits)
    >>> layer(logits).numpy().tolist()
    [[3.0, -1.0], [3.0, 7.0]]

    Reference: Caron et al., Emerging properties in self-supervised vision transformers, 2021,
    eq. 4.
    """

    def __init__(self, momentum: Share = 0.9, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.momentum = momentum

    def build(self, input_shape):
        self.center = self.add_weight(
            name="center",
            shape=(input_shape[-1],),
            dtype=keras.backend.result_type(self.variable_dtype, "float32"),
            initializer="zeros",
            trainable=False,
            autocast=False,
        )

    def call(self, logits):
        return at_least_float32(logits) - self.center

    def update(self, logits):
        """Move the center towards the mean of `logits`: (batch, dim), this replica's rows."""
        mean = all_mean(ops.mean(at_least_float32(logits), axis=0))
        mean = ops.cast(mean, self.center.dtype)
        self.center.assign(self.momentum * self.center + (1.0 - self.momentum) * mean)

    def compute_output_spec(self, logits):
        return float_spec(logits)
