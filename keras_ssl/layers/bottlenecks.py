"""What the SEM paper compares its simplices with: no bottleneck, Gumbel, vector quantisation."""

import math

import keras
from keras import ops

from keras_ssl.core.checks import UserError
from keras_ssl.core.precision import at_least_float32
from keras_ssl.core.serialization import Configured, register
from keras_ssl.layers.simplicial import simplicial_embedding


def gumbel_softmax(z, noise, *, temperature):
    """Softmax samples and their one-hot vectors: `softmax((z + noise) / temperature)` per simplex.

    Args:
        z: (batch, L * V). Logits.
        noise: (batch, L, V). Samples of the standard Gumbel distribution; zeros for none.
        temperature: float > 0. Smaller is nearer to one-hot.

    Returns:
        soft, hard: (batch, L * V) each. `hard` is exactly one-hot in every group of V (the first
        of equal entries) and has the gradient of `soft`.

    Example:

    >>> z = keras.ops.convert_to_tensor([[0.0, 2.0, 1.0, 0.0]])
    >>> gumbel_softmax(z, keras.ops.zeros((1, 2, 2)), temperature=2.0)[1].numpy().tolist()
    [[0.0, 1.0, 1.0, 0.0]]

    Reference: Jang et al., 2017, sec. 2.2; Lavoie et al., Simplicial Embeddings, table 2.
    """
    z = at_least_float32(z)
    _, num_simplices, simplex_size = noise.shape
    noisy = ops.reshape(z, (-1, num_simplices, simplex_size)) + ops.cast(noise, z.dtype)
    soft = simplicial_embedding(noisy, num_simplices, simplex_size, temperature)
    hard = ops.stop_gradient(simplicial_embedding(noisy, num_simplices, simplex_size, 0))
    return soft, _straight_through(hard, soft)


def vector_quantize(z, codebook):
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


def quantization_losses(z, quantized):
    """Codebook loss `mean((sg(z) - e)^2)` and commitment `mean((z - sg(e))^2)`: two scalars.

    Reference: van den Oord et al., 2017, eq. 3, second and third term.
    """
    z, quantized = at_least_float32(z), at_least_float32(quantized)
    codebook_loss = ops.mean(ops.square(ops.stop_gradient(z) - quantized))
    return codebook_loss, ops.mean(ops.square(z - ops.stop_gradient(quantized)))


def straight_through(z, quantized):
    """The value of `quantized` with the gradient of `z`."""
    return _straight_through(ops.stop_gradient(quantized), at_least_float32(z))


@register
class IdentityBottleneck(Configured, keras.layers.Layer):
    """L groups of V coordinates as they are, in at least float32: SEM without its softmax.

    It has no weights. It is the control that shows what the softmax adds.

    Args:
        num_simplices: int > 0. L.
        simplex_size: int > 1. V.

    Raises:
        UserError: for sizes out of range, or an input of another width.

    Reference: Lavoie et al., Simplicial Embeddings, fig. 3 and table 20 (BYOL + Embed).
    """

    def __init__(self, num_simplices, simplex_size, **kwargs):
        super().__init__(**kwargs)
        _check_sizes(num_simplices, simplex_size)
        self.num_simplices = num_simplices
        self.simplex_size = simplex_size

    def build(self, input_shape):
        _check_width(input_shape[-1], self.num_simplices, self.simplex_size)

    def call(self, z):
        return at_least_float32(z)

    def compute_output_spec(self, z):
        return keras.KerasTensor(z.shape, dtype=_float_type(z))


@register
class GumbelBottleneck(Configured, keras.layers.Layer):
    """One-hot samples in every simplex, trained straight through; in inference, without noise.

    Args:
        num_simplices: int > 0. L.
        simplex_size: int > 1. V.
        temperature: float > 0. Of the soft samples that carry the gradient.
        seed: int or None. Of the noise; None draws one, so that a copy of the layer has its own
            noise. Where the noise stands is saved with the layer.

    Raises:
        UserError: for a temperature or sizes out of range, or an input of another width.

    Reference: Lavoie et al., Simplicial Embeddings, table 2 (Gumbel S.-T., tau = 2).
    """

    def __init__(self, num_simplices, simplex_size, temperature=2.0, seed=0, **kwargs):
        super().__init__(**kwargs)
        if not 0 < temperature < math.inf:
            raise UserError(f"A Gumbel temperature must be above 0. Received {temperature}.")
        _check_sizes(num_simplices, simplex_size)
        self.num_simplices = num_simplices
        self.simplex_size = simplex_size
        self.temperature = temperature
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        _check_width(input_shape[-1], self.num_simplices, self.simplex_size)

    def call(self, z, training=None):
        z = at_least_float32(z)
        shape = (ops.shape(z)[0], self.num_simplices, self.simplex_size)
        noise = ops.zeros(shape, dtype=z.dtype)
        if training:
            # From the smallest normal number, for the logarithm to be finite.
            uniform = keras.random.uniform(shape, 1.2e-38, 1.0, z.dtype, self.generator)
            noise = -ops.log(-ops.log(uniform))
        return gumbel_softmax(z, noise, temperature=self.temperature)[1]

    def save_own_variables(self, store):
        # Keras does not count a generator's state among a layer's variables.
        store["noise"] = ops.convert_to_numpy(self.generator.state)

    def load_own_variables(self, store):
        self.generator.state.assign(store["noise"])

    def compute_output_spec(self, z, training=None):
        return keras.KerasTensor(z.shape, dtype=_float_type(z))


@register
class VectorQuantizer(Configured, keras.layers.Layer):
    """Every chunk of the input replaced by the nearest code of its own codebook.

    In training the codebook loss and `commitment` times the commitment are added by `add_loss`,
    unless the codebook is frozen.

    Args:
        num_codebooks: int > 0. L; must divide the features.
        codebook_size: int > 1. V.
        commitment: float >= 0. Weight of the pull of the input towards its code.

    Raises:
        UserError: for sizes out of range, or if `num_codebooks` does not divide the features.

    Example:

    >>> VectorQuantizer(num_codebooks=4, codebook_size=8)(keras.ops.ones((5, 12))).shape
    TensorShape([5, 12])

    Reference: van den Oord et al., Neural discrete representation learning, 2017, eqs. 1 to 3;
    sizes: Lavoie et al., Simplicial Embeddings, table 2.
    """

    def __init__(self, num_codebooks=512, codebook_size=128, commitment=0.25, **kwargs):
        super().__init__(**kwargs)
        _check_sizes(num_codebooks, codebook_size)
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
        return keras.KerasTensor(z.shape, dtype=_float_type(z))

    def _nearest(self, z):
        chunks = at_least_float32(ops.reshape(z, (-1, self.num_codebooks, self.codebook.shape[2])))
        return chunks, *vector_quantize(chunks, ops.cast(self.codebook, chunks.dtype))


@register
class QuantizerCodes(Configured, keras.layers.Layer):
    """The codes of a `VectorQuantizer`, which it shares: -> (batch, L) int32 in [0, V).

    Args:
        quantizer: `VectorQuantizer`.
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


def _straight_through(value, gradient):
    # In this order the difference is exactly 0, and the sum exactly `value`.
    return value + (gradient - ops.stop_gradient(gradient))


def _check_sizes(groups, size):
    if groups < 1 or size < 2:
        raise UserError(
            f"A bottleneck needs 1 group or more of 2 or more. Received {groups} of {size}."
        )


def _check_width(width, num_simplices, simplex_size):
    if width != num_simplices * simplex_size:
        raise UserError(
            f"{num_simplices} simplices of {simplex_size} read {num_simplices * simplex_size} "
            f"features. Received {width}."
        )


def _float_type(z):
    return "float64" if z.dtype == "float64" else "float32"
