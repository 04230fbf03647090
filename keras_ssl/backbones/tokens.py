"""The layers that make a Vision Transformer of tokens: positions and attention."""

import keras
import numpy as np
from keras import ops

from keras_ssl.core.bounds import Count
from keras_ssl.core.serialization import Configured, register

# torch's trunc_normal_ with std=0.02 cuts at +-2, a hundred standard deviations: nowhere.
INITIALIZER = keras.initializers.RandomNormal(stddev=0.02)


def bicubic_matrix(size: int, new_size: int) -> np.ndarray:
    """The matrix (new_size, size) that resizes a row of `size` values by cubic convolution.

    Pixel centers lie at half-integers, values beyond an end are those at the end, and the kernel's
    parameter is -0.75, as in torch's `interpolate(mode="bicubic")`. For the same size it is the
    identity.

    Reference: Keys, Cubic convolution interpolation for digital image processing, 1981, eq. 4.
    """
    ratio = size / ops.cast(new_size, "float32")
    places = (ops.arange(new_size, dtype="float32") + 0.5) * ratio - 0.5
    taps = ops.floor(places)[:, None] + ops.convert_to_tensor([-1.0, 0.0, 1.0, 2.0])
    weights = _cubic(ops.abs(places[:, None] - taps))  # (new_size, 4)
    near = ops.cast(ops.clip(taps, 0, size - 1), "int32")
    return ops.sum(weights[..., None] * ops.one_hot(near, size, dtype="float32"), axis=1)


def resize_positions(positions: keras.Variable, rows: int, columns: int) -> keras.KerasTensor:
    """Interpolate (height, width, dim) to (rows, columns, dim), bicubically."""
    height, width, _ = positions.shape
    down, across = bicubic_matrix(height, rows), bicubic_matrix(width, columns)
    # By matrices, for XLA has no bicubic resizing.
    return ops.einsum("rh,hwd,cw->rcd", down, positions, across)


def _cubic(distance, parameter=-0.75):
    near = ((parameter + 2) * distance - (parameter + 3)) * distance**2 + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * parameter
    return ops.where(distance <= 1, near, far)


@register
class Tokens(Configured, keras.layers.Layer):
    """Lay out a map of patches as tokens and add to each what was learned for its position.

    Args:
        rows, columns: int > 0. The map for which positions are learned; one of another size gets
            them interpolated.
        class_token: bool. Put a learned token, with a position of its own, before the others.

    Shapes: (batch, rows, columns, dim) -> (batch, rows * columns, dim), one more with the token.

    Reference: Dosovitskiy et al., An image is worth 16x16 words, 2021, eq. 1 and sec. 3.2.
    """

    def __init__(self, rows: Count, columns: Count, class_token: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.rows = rows
        self.columns = columns
        self.class_token = class_token

    def build(self, input_shape):
        width = input_shape[-1]
        self.positions = self._learned("positions", (self.rows, self.columns, width))
        if self.class_token:
            self.token = self._learned("token", (1, width))
            self.token_position = self._learned("token_position", (1, width))

    def call(self, x):
        batch, rows, columns, dim = ops.shape(x)
        positions = ops.convert_to_tensor(self.positions)
        if tuple(x.shape[1:3]) != (self.rows, self.columns):
            positions = resize_positions(positions, rows, columns)
        tokens = ops.reshape(x + ops.cast(positions, x.dtype), (batch, rows * columns, dim))
        if not self.class_token:
            return tokens
        token = ops.cast(self.token + self.token_position, x.dtype)
        return ops.concatenate([ops.broadcast_to(token, (batch, 1, dim)), tokens], axis=1)

    def compute_output_shape(self, input_shape):
        batch, rows, columns, dim = input_shape
        known = rows is not None and columns is not None
        return (batch, rows * columns + int(self.class_token) if known else None, dim)

    def _learned(self, name, shape):
        return self.add_weight(name=name, shape=shape, initializer=INITIALIZER, autocast=False)


@register
class SelfAttention(Configured, keras.layers.Layer):
    """Multi-head attention of tokens to each other: (batch, tokens, dim) -> the same.

    Its biases have one axis, by which optimizers distinguish them from matrices; those of
    `keras.layers.MultiHeadAttention` have two.

    Args:
        num_heads: int > 0. Must divide `dim`.

    Reference: Vaswani et al., Attention is all you need, 2017, sec. 3.2.
    """

    def __init__(self, num_heads: Count, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads

    def build(self, input_shape):
        width = input_shape[-1]
        self.query_key_value = self._dense(3 * width, "query_key_value")
        self.output_map = self._dense(width, "output")
        for layer in (self.query_key_value, self.output_map):
            layer.build(input_shape)

    def call(self, x):
        batch, tokens, width = ops.shape(x)
        parts = ops.reshape(
            self.query_key_value(x), (batch, tokens, 3, self.num_heads, width // self.num_heads)
        )
        mixed = ops.dot_product_attention(*ops.unstack(parts, axis=2))
        return self.output_map(ops.reshape(mixed, (batch, tokens, width)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def _dense(self, units, name):
        return keras.layers.Dense(
            units, kernel_initializer=INITIALIZER, dtype=self.dtype_policy, name=name
        )
