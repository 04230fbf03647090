"""Vector quantisation: every chunk of a vector becomes the nearest code of a learned codebook."""

import math

import keras
from keras import ops

from keras_ssl.core.bounds import Count, TwoOrMore, Weight
from keras_ssl.core.constants import CODEBOOK_SIZE, COMMITMENT, NUM_CODEBOOKS
from keras_ssl.core.errors import UserError
from keras_ssl.core.serialization import Configured, register
from keras_ssl.ops.precision import Tensor, at_least_float32, float_spec


def vector_quantize(z: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    """Replace every vector by the nearest code of its codebook.

    Args:
        z: (batch, L, dim).
        codebook: (L, V, dim).

    Returns:
        indices: (batch, L) int32, of the nearest codes by Euclidean distance.
        quantized: (batch, L, dim), with gradients to the codebook and none to `z`.

    Reference: van den Oord et al., Neural discrete representation learning, 2017, eqs. 1 and 2.
    """
    z, codebook = at_least_float32(z), at_least_float32(codebook)
    frozen, codes = ops.stop_gradient(z), ops.stop_gradient(codebook)
    norms = ops.sum(ops.square(codes), axis=-1)  # (L, V)
    distances = norms - 2.0 * ops.einsum("bld,lvd->blv", frozen, codes)  # up to |z|^2
    indices = ops.cast(ops.argmin(distances, axis=-1), "int32")
    # A product: the gradient of a gather is a scattered sum, whose last bit is not always the same.
    chosen = ops.one_hot(indices, codebook.shape[1], dtype=codebook.dtype)
    return indices, ops.einsum("blv,lvd->bld", chosen, codebook)


def quantization_losses(z: Tensor, quantized: Tensor) -> tuple[Tensor, Tensor]:
    """Codebook loss `mean((sg(z) - e)^2)` and commitment `mean((z - sg(e))^2)`: two scalars.

    Reference: van den Oord et al., 2017, eq. 3, second and third term.
    """
    z, quantized = at_least_float32(z), at_least_float32(quantized)
    codebook_loss = ops.mean(ops.square(ops.stop_gradient(z) - quantized))
    return codebook_loss, ops.mean(ops.square(z - ops.stop_gradient(quantized)))


def straight_through(z: Tensor, quantized: Tensor) -> Tensor:
    """The value of `quantized` with the gradient of `z`."""
    z = at_least_float32(z)
    # In this order the difference is exactly 0, and the sum exactly `quantized`.
    return ops.stop_gradient(quantized) + (z - ops.stop_gradient(z))


@register
class VectorQuantizer(Configured, keras.layers.Layer):
    """Every chunk of the input replaced by the nearest code of its own codebook.

    In training the codebook loss and `commitment` times the commitment are added by `add_loss`,
    unless the codebook is frozen.

    Args:
        num_codebooks: int > 0. L; must divide the features.
        codebook_size: int > 1. V.
        commitment: float >= 0. Weight of the loss that moves the input towards its code.

    Raises:
        UserError: for sizes out of range, or if `num_codebooks` does not divide the features.

    Example:

    >>> VectorQuantizer(num_codebooks=4, codebook_size=8)(keras.ops.ones((5, 12))).shape
    TensorShape([5, 12])

    Reference: van den Oord et al., Neural discrete representation learning, 2017, eqs. 1 to 3;
    sizes: Lavoie et al., Simplicial Embeddings, table 2.
    """

    def __init__(
        self,
        num_codebooks: Count = NUM_CODEBOOKS,
        codebook_size: TwoOrMore = CODEBOOK_SIZE,
        commitment: Weight = COMMITMENT,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_codebooks = num_codebooks
        self.codebook_size = codebook_size
        self.commitment = commitment

    def build(self, input_shape):
        width = input_shape[-1]
        if width % self.num_codebooks:
            raise UserError(
                f"num_codebooks={self.num_codebooks} must divide the {width} features: "
                f"try {math.gcd(width, self.num_codebooks)} or another divisor."
            )
        bound = 1.0 / self.codebook_size
        self.codebook = self.add_weight(
            name="codebook",
            shape=(self.num_codebooks, self.codebook_size, width // self.num_codebooks),
            initializer=keras.initializers.RandomUniform(-bound, bound),
            autocast=False,
        )

    def call(self, z, training=None):
        chunks, _, quantized = self._nearest(z)
        if training and self.codebook.trainable:
            codebook_loss, commitment = quantization_losses(chunks, quantized)
            self.add_loss(codebook_loss + self.commitment * commitment)
        return ops.reshape(straight_through(chunks, quantized), (-1, z.shape[-1]))

    def codes(self, z):
        """The codes of the nearest vectors: (batch, features) -> (batch, L) int32 in [0, V)."""
        return self._nearest(z)[1]

    def compute_output_spec(self, z, training=None):
        return float_spec(z)

    def _nearest(self, z):
        chunks = at_least_float32(ops.reshape(z, (-1, self.num_codebooks, self.codebook.shape[2])))
        return chunks, *vector_quantize(chunks, ops.cast(self.codebook, chunks.dtype))


@register
class QuantizerCodes(Configured, keras.layers.Layer):
    """The codes of a `VectorQuantizer`, which it shares: -> (batch, L) int32 in [0, V).

    Args:
        quantizer: `VectorQuantizer`.

    Example:

    >>> quantizer = VectorQuantizer(num_codebooks=3, codebook_size=5)
    >>> quantizer.build((None, 6))
    >>> QuantizerCodes(quantizer)(keras.ops.ones((4, 6))).shape
    TensorShape([4, 3])
    """

    def __init__(self, quantizer, **kwargs):
        super().__init__(**kwargs)
        self.quantizer = quantizer

    def build(self, input_shape):
        if not self.quantizer.built:  # when it is read from a file
            self.quantizer.build(input_shape)

    def call(self, z):
        return self.quantizer.codes(z)

    def compute_output_spec(self, z):
        return keras.KerasTensor((z.shape[0], self.quantizer.num_codebooks), dtype="int32")
