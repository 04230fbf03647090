"""Simplicial Embeddings: a softmax over each of L groups of V coordinates."""

import math

import keras
from keras import ops

from keras_ssl.core.bounds import Count, TemperatureOrZero, TwoOrMore
from keras_ssl.core.errors import UserError
from keras_ssl.core.serialization import Configured, register
from keras_ssl.ops.precision import Tensor, at_least_float32, float_spec

_SMALLEST = 1e-37  # under the logarithm: the smallest power of ten that float32 has in full


def simplicial_embedding(
    z: Tensor, num_simplices: int, simplex_size: int, temperature: float
) -> Tensor:
    """Map `z` to `num_simplices` points of the (simplex_size - 1)-simplex, in at least float32.

    The vector is read row-major as L groups of V entries; each group becomes
    `softmax(group / temperature)`, and the groups are laid out flat again. At temperature 0 each
    group is the one-hot vector of its largest entry (the first one at ties), without a gradient.

    Args:
        z: (batch, L * V).
        num_simplices: int. L.
        simplex_size: int. V.
        temperature: float >= 0. Smaller is closer to one-hot.

    Returns:
        (batch, L * V); each group of V sums to 1.

    Example:

    >>> z = keras.ops.convert_to_tensor([[0.0, 2.0, 1.0, 1.0]])
    >>> simplicial_embedding(z, 2, 2, 0).numpy().tolist()
    [[0.0, 1.0, 1.0, 0.0]]

    Reference: Lavoie et al., Simplicial Embeddings, eq. 1.
    """
    groups = at_least_float32(_groups(z, num_simplices, simplex_size))
    if temperature == 0:
        hard = ops.one_hot(ops.argmax(groups, axis=-1), simplex_size, dtype=groups.dtype)
        return ops.reshape(hard, (-1, num_simplices * simplex_size))
    soft = ops.softmax(groups / temperature, axis=-1)
    return ops.reshape(soft, (-1, num_simplices * simplex_size))


def simplicial_entropy(
    z: Tensor, num_simplices: int, simplex_size: int, temperature: float
) -> Tensor:
    """Entropy in nats of every simplex of `simplicial_embedding(z, ...)`: -> (batch, L).

    Computed from the logits, so that a probability that underflows counts as 0 instead of NaN.
    Ranges from 0 (one-hot) to log(V) (uniform).

    Example:

    >>> entropy = simplicial_entropy(keras.ops.zeros((1, 4)), 2, 2, temperature=1.0)
    >>> (entropy.numpy() / np.log(2)).round(5).tolist()
    [[1.0, 1.0]]
    """
    groups = at_least_float32(_groups(z, num_simplices, simplex_size))
    log_p = ops.log_softmax(groups / temperature, axis=-1)
    return -ops.sum(ops.exp(log_p) * log_p, axis=-1)


def entropy_of_simplices(simplices: Tensor, num_simplices: int, simplex_size: int) -> Tensor:
    """`simplicial_entropy` where only the probabilities are at hand: -> (batch, L), in nats.

    Args:
        simplices: (batch, L * V). Output of `simplicial_embedding`, at any temperature.
        num_simplices: int. L.
        simplex_size: int. V.

    Returns:
        (batch, L) in at least float32, from 0 (one-hot) to log(V) (uniform). A probability of 0
        counts as 0, and has a finite gradient.

    Example:

    >>> entropy_of_simplices(keras.ops.array([[1.0, 0.0, 0.5, 0.5]]), 2, 2).numpy().round(4)
    array([[0.    , 0.6931]], dtype=float32)
    """
    p = at_least_float32(_groups(simplices, num_simplices, simplex_size))
    return ops.sum(p * -ops.log(ops.maximum(p, _SMALLEST)), axis=-1)


def simplicial_codes(z: Tensor, num_simplices: int, simplex_size: int) -> Tensor:
    """The discrete code of `z`: index of the largest entry of every simplex, (batch, L) int32.

    Example:

    >>> simplicial_codes(keras.ops.array([[0.0, 2.0, 1.0, 1.0]]), 2, 2).numpy().tolist()
    [[1, 0]]
    """
    return ops.argmax(_groups(z, num_simplices, simplex_size), axis=-1)


def _groups(z, num_simplices, simplex_size):
    """(batch, L * V) -> (batch, L, V)."""
    cut = tuple(z.shape[1:]) == (num_simplices, simplex_size)
    if len(z.shape) != 2 and not cut:
        raise UserError(
            f"Simplices are cut from (batch, features). Received {tuple(z.shape)}: pool it first."
        )
    return ops.reshape(z, (-1, num_simplices, simplex_size))


def check_width(width: int, num_simplices: int, simplex_size: int) -> None:
    """Refuse an input that is not as wide as its simplices.

    Raises:
        UserError: with the width that is.
    """
    fits = num_simplices * simplex_size
    if width != fits:
        raise UserError(
            f"{num_simplices} simplices of {simplex_size} read {fits} features. "
            f"Received {width}: put a Dense({fits}) before the layer."
        )


@register
class SimplicialEmbedding(Configured, keras.layers.Layer):
    """Layer form of `simplicial_embedding`; it has no weights.

    Args:
        num_simplices: int > 0. L.
        simplex_size: int > 1. V.
        temperature: float >= 0. Of the training representation (tau_p); 0 is one-hot.
        target_temperature: float >= 0 or None. Temperature of the momentum copy of a network that
            ends in this layer, or of the second view where a method has no momentum copy
            (tau'_p); None for the same as `temperature`.

    Raises:
        UserError: for sizes or temperatures out of range, or an input of another width.

    Example:

    >>> layer = SimplicialEmbedding(num_simplices=2, simplex_size=4)
    >>> layer(keras.ops.zeros((1, 8))).numpy().tolist()  # equal logits: uniform
    [[0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25]]

    Reference: Lavoie et al., Simplicial Embeddings, eq. 1; tau_p, tau'_p: tables 7 to 13.
    """

    def __init__(
        self,
        num_simplices: Count,
        simplex_size: TwoOrMore,
        temperature: TemperatureOrZero = 1.0,
        target_temperature: TemperatureOrZero | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_simplices = num_simplices
        self.simplex_size = simplex_size
        self.temperature = temperature
        self.target_temperature = target_temperature

    def build(self, input_shape):
        check_width(input_shape[-1], self.num_simplices, self.simplex_size)

    def call(self, z):
        return simplicial_embedding(z, self.num_simplices, self.simplex_size, self.temperature)

    def compute_output_spec(self, z):
        return float_spec(z)


@register
class SimplicialCodes(Configured, keras.layers.Layer):
    """Layer form of `simplicial_codes`: (batch, L * V) -> (batch, L) int32.

    Example:

    >>> SimplicialCodes(2, 2)(keras.ops.array([[0.0, 2.0, 1.0, 1.0]])).numpy().tolist()
    [[1, 0]]
    """

    def __init__(self, num_simplices: Count, simplex_size: TwoOrMore, **kwargs):
        super().__init__(**kwargs)
        self.num_simplices = num_simplices
        self.simplex_size = simplex_size

    def call(self, z):
        return ops.cast(simplicial_codes(z, self.num_simplices, self.simplex_size), "int32")

    def compute_output_spec(self, z):
        return keras.KerasTensor((z.shape[0], self.num_simplices), dtype="int32")


@register
class BlockDiagonalDense(Configured, keras.layers.Layer):
    """A linear map whose matrix is block-diagonal: `num_blocks` times fewer weights, no bias.

    The input is cut into `num_blocks` consecutive chunks, chunk i is multiplied by block i, and
    the results are concatenated in order.

    Args:
        units: int. Width of the output; a multiple of `num_blocks`.
        num_blocks: int > 0. n; must divide the width of the input too.

    Raises:
        UserError: if `num_blocks` does not divide the width of the input or of the output.

    Example:

    >>> BlockDiagonalDense(20, num_blocks=4)(keras.ops.ones((5, 12))).shape
    TensorShape([5, 20])

    Reference: Lavoie et al., Simplicial Embeddings, appendix D.1.
    """

    def __init__(self, units, num_blocks: Count, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.num_blocks = num_blocks

    def build(self, input_shape):
        width = input_shape[-1]
        if width % self.num_blocks or self.units % self.num_blocks:
            raise UserError(
                f"num_blocks={self.num_blocks} must divide the {width} input features and the "
                f"{self.units} output features: try {math.gcd(width, self.units)} or a divisor."
            )
        chunk = width // self.num_blocks
        # torch's default for the same three-dimensional tensor (kaiming_uniform with a = sqrt(5)),
        # whose fan-in counts all but the first axis.
        bound = 1.0 / math.sqrt(chunk * self.units // self.num_blocks)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.num_blocks, chunk, self.units // self.num_blocks),
            initializer=keras.initializers.RandomUniform(-bound, bound),
        )

    def call(self, x):
        batch = ops.shape(x)[0]
        chunks = ops.reshape(x, (batch, self.num_blocks, self.kernel.shape[1]))
        return ops.reshape(ops.einsum("bnm,nmo->bno", chunks, self.kernel), (batch, self.units))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)
