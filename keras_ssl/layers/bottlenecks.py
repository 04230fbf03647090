"""What the SEM paper compares its softmax with: none at all, and one-hot Gumbel samples."""

import keras
from keras import ops

from keras_ssl.core.bounds import Count, Seed, Temperature, TwoOrMore
from keras_ssl.core.constants import GUMBEL_TEMPERATURE
from keras_ssl.core.serialization import Configured, register
from keras_ssl.layers.quantizer import straight_through
from keras_ssl.layers.simplicial import check_width, simplicial_embedding
from keras_ssl.ops.precision import Tensor, at_least_float32, float_spec
from keras_ssl.ops.random import uniform


def gumbel_softmax(z: Tensor, noise: Tensor, *, temperature: float) -> Tensor:
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
    hard = simplicial_embedding(noisy, num_simplices, simplex_size, 0)
    return soft, straight_through(soft, hard)


@register
class IdentityBottleneck(Configured, keras.layers.Layer):
    """L groups of V coordinates as they are, in at least float32: SEM without its softmax.

    It has no weights. It is the control that shows what the softmax adds.

    Args:
        num_simplices: int > 0. L.
        simplex_size: int > 1. V.

    Raises:
        UserError: for sizes out of range, or an input of another width.

    Example:

    >>> IdentityBottleneck(num_simplices=2, simplex_size=2)(keras.ops.ones((1, 4))).numpy()
    array([[1., 1., 1., 1.]], dtype=float32)

    Reference: Lavoie et al., Simplicial Embeddings, fig. 3 and table 20 (BYOL + Embed).
    """

    def __init__(self, num_simplices: Count, simplex_size: TwoOrMore, **kwargs):
        super().__init__(**kwargs)
        self.num_simplices = num_simplices
        self.simplex_size = simplex_size

    def build(self, input_shape):
        check_width(input_shape[-1], self.num_simplices, self.simplex_size)

    def call(self, z):
        return at_least_float32(z)

    def compute_output_spec(self, z):
        return float_spec(z)


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

    Example:

    >>> z = keras.random.normal((4, 6), seed=1)
    >>> samples = GumbelBottleneck(num_simplices=2, simplex_size=3)(z, training=True)
    >>> keras.ops.sum(samples, axis=1).numpy().tolist()  # one entry of each simplex is 1
    [2.0, 2.0, 2.0, 2.0]

    Reference: Lavoie et al., Simplicial Embeddings, table 2 (Gumbel S.-T., tau = 2).
    """

    def __init__(
        self,
        num_simplices: Count,
        simplex_size: TwoOrMore,
        temperature: Temperature = GUMBEL_TEMPERATURE,
        seed: Seed | None = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_simplices = num_simplices
        self.simplex_size = simplex_size
        self.temperature = temperature
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        check_width(input_shape[-1], self.num_simplices, self.simplex_size)

    def call(self, z, training=None):
        z = at_least_float32(z)
        shape = (ops.shape(z)[0], self.num_simplices, self.simplex_size)
        noise = ops.zeros(shape, dtype=z.dtype)
        if training:
            draws = ops.cast(uniform(shape, self.generator.next()), z.dtype)
            noise = -ops.log(-ops.log(draws))
        return gumbel_softmax(z, noise, temperature=self.temperature)[1]

    def save_own_variables(self, store):
        # Keras does not count a generator's state among a layer's variables.
        store["noise"] = ops.convert_to_numpy(self.generator.state)

    def load_own_variables(self, store):
        self.generator.state.assign(store["noise"])

    def compute_output_spec(self, z, training=None):
        return float_spec(z)
