"""CPLearn's projector: similarities of an embedding with a fixed dictionary of random codes."""

import math

import keras
from keras import ops

from keras_ssl.core.bounds import Count, PositiveShare, Seed, TwoOrMore
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.core.replicas import num_replicas
from keras_ssl.core.serialization import Configured, register
from keras_ssl.ops.linalg import l2_normalize
from keras_ssl.ops.precision import Tensor, at_least_float32, float_spec


def tanh_embedding(x: Tensor) -> Tensor:
    """`tanh(x)`, what the authors' code trains; rows have norms up to sqrt(dim)."""
    return ops.tanh(at_least_float32(x))


def l2_embedding(x: Tensor, batch_size: int | Tensor) -> Tensor:
    """Rows of `x` scaled to the norm `sqrt(dim / batch_size)`, as the paper's eq. 1 prints."""
    return l2_normalize(x) * (x.shape[-1] / batch_size) ** 0.5


ACTIVATIONS = {"tanh": lambda x, batch_size: tanh_embedding(x), "l2": l2_embedding}


def code_temperature(
    dim: int, batch_size: int | Tensor, num_codes: int, *, epsilon: float = 1e-8
) -> float | Tensor:
    """The temperature at which an aligned embedding is assigned with `1 - epsilon (c - 1)`.

        tau = dim / (sqrt(batch_size) log((1 - epsilon (c - 1)) / epsilon))

    It assumes rows of norm `sqrt(dim / batch_size)` (`l2_embedding`) and orthogonal codes; the
    authors use the same value with `tanh_embedding`.

    Args:
        dim: int. Width of the embedding.
        batch_size: int or scalar tensor. Rows handed to the projector at once.
        num_codes: int. c, the size of the dictionary.
        epsilon: float in (0, 1 / c). Probability left to each other code.

    Raises:
        UserError: if `epsilon * num_codes` is not between 0 and 1.

    Example:

    >>> round(code_temperature(2048, 64, 16384), 1)
    13.9

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, sec. 3.
    """
    if not 0 < epsilon * num_codes < 1:
        raise UserError(
            f"epsilon must lie between 0 and 1 / num_codes. Received epsilon={epsilon} with "
            f"num_codes={num_codes}: try {0.01 / num_codes:.0e}."
        )
    return dim / (batch_size**0.5 * math.log((1 - epsilon * (num_codes - 1)) / epsilon))


@register
class HyperdimensionalProjection(Configured, keras.layers.Layer):
    """Logits of `num_codes` fixed random codes: `activation(x) @ codes / temperature`.

    The codes have entries -1 and 1 with equal probability and are never trained. Put a Dense and a
    batch normalization before it.

    Args:
        num_codes: int > 1. c, the size of the dictionary.
        activation: "tanh" (authors' code) or "l2" (the paper's eq. 1).
        epsilon: float in (0, 1 / num_codes). Sets the temperature, see `code_temperature`.
        batch_size: int or None. Rows that the temperature is made for; None for those of the
            global batch at hand, so that logits of another batch size are scaled differently.
        seed: int. Of the codes.

    Raises:
        UserError: for an unknown activation or an epsilon out of range.

    Example:

    >>> HyperdimensionalProjection(num_codes=32)(keras.ops.ones((4, 8))).shape
    TensorShape([4, 32])

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, eq. 1.
    """

    def __init__(
        self,
        num_codes: TwoOrMore = 16384,  # CIFAR-10, released configuration
        activation: str = "tanh",
        epsilon: PositiveShare = 1e-8,
        batch_size: Count | None = None,
        seed: Seed = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        lookup(ACTIVATIONS, activation, "activation")
        code_temperature(1, 1, num_codes, epsilon=epsilon)
        self.num_codes = num_codes
        self.activation = activation
        self.epsilon = epsilon
        self.batch_size = batch_size
        self.seed = seed

    def build(self, input_shape):
        self.codes = self.add_weight(
            name="codes",
            shape=(input_shape[-1], self.num_codes),
            initializer=self._rademacher,
            trainable=False,
            autocast=False,
        )

    def call(self, x):
        x = at_least_float32(x)
        dim, rows = x.shape[-1], self._rows(x)
        tau = code_temperature(dim, rows, self.num_codes, epsilon=self.epsilon)
        return self.embed(x) @ ops.cast(self.codes, x.dtype) / tau

    def embed(self, x: Tensor) -> Tensor:
        """The activation of `x`, (rows, dim): what is compared with the codes."""
        x = at_least_float32(x)
        return ACTIVATIONS[self.activation](x, self._rows(x))

    def compute_output_spec(self, x):
        return float_spec(x, self.num_codes)

    def _rows(self, x):
        if self.batch_size is not None:
            return self.batch_size
        rows = ops.shape(x)[0]
        return (rows if isinstance(rows, int) else ops.cast(rows, x.dtype)) * num_replicas()

    def _rademacher(self, shape, dtype=None):
        bits = keras.random.randint(shape, 0, 2, seed=self.seed)
        return ops.cast(2 * bits - 1, dtype)
