"""Prototypes: products of a unit feature with learned unit vectors."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_ssl.core.bounds import Count
from keras_ssl.core.serialization import Configured, register
from keras_ssl.ops.linalg import l2_normalize
from keras_ssl.ops.precision import Tensor, at_least_float32, float_spec

_ROUNDING = 1e-6  # of a squared length in float32; below it, scaling would only stir the last bits


@register
class L2Normalization(Configured, keras.layers.Layer):
    """Layer form of `l2_normalize`: rows of length 1 in at least float32; a zero row stays zero.

    Its gradient is finite at zero rows, unlike that of `keras.layers.UnitNormalization`.

    Example:

    >>> L2Normalization()(keras.ops.array([[3.0, 4.0], [0.0, 0.0]])).numpy().round(1).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def call(self, x):
        return l2_normalize(x)

    def compute_output_spec(self, x):
        return float_spec(x)


@register
class Prototypes(Configured, keras.layers.Layer):
    """Scores of unit features by unit prototypes that are renormalized in place, without bias.

        scores = x @ prototypes.T

    The features are used as they are: normalize them before (`l2_normalize`). The gradient is that
    of the matrix as it is, not of its normalization, so call `normalize` after every update (SwAV).
    Scores are in at least float32 under any dtype policy.

    Args:
        num_prototypes: int > 0.

    Example:

    >>> layer = Prototypes(num_prototypes=5)
    >>> layer(keras.ops.ones((4, 8))).shape
    TensorShape([4, 5])

    Reference: Caron et al., SwAV, 2020, sec. 3.1; facebookresearch/swav.
    """

    def __init__(self, num_prototypes: Count, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.num_prototypes = num_prototypes

    def build(self, input_shape):
        self.prototypes = self.add_weight(
            name="prototypes",
            shape=(self.num_prototypes, input_shape[-1]),
            initializer=unit_rows,
            autocast=False,
        )

    def call(self, x):
        return _scores(x, at_least_float32(self.prototypes))

    def normalize(self):
        """Scale every prototype back to length 1; those that have it up to rounding stay as is."""
        rows = ops.convert_to_tensor(self.prototypes)
        squared = ops.sum(ops.square(rows), axis=-1, keepdims=True)
        scaled = ops.cast(l2_normalize(rows), rows.dtype)
        self.prototypes.assign(ops.where(ops.abs(squared - 1.0) > _ROUNDING, scaled, rows))

    def compute_output_spec(self, x):
        return float_spec(x, self.num_prototypes)


@register
class WeightNormalizedPrototypes(Configured, keras.layers.Layer):
    """Scores of unit features by prototypes that are unit vectors by construction, without bias.

        scores = x @ (scale * directions / |directions|).T

    The features are used as they are: normalize them before (`L2Normalization`). The gradient goes
    through the normalization of the prototypes, so they stay unit vectors without help. Scores are
    in at least float32 under any dtype policy.

    Args:
        num_prototypes: int > 0.
        learnable_scale: bool. Whether each prototype has a factor that is trained, 1 at first
            (Self-Classifier), or a length of 1 for good (DINO).

    Example:

    >>> layer = WeightNormalizedPrototypes(num_prototypes=5, learnable_scale=True)
    >>> layer(keras.ops.ones((4, 8))).shape
    TensorShape([4, 5])

    Reference: Salimans and Kingma, Weight normalization, 2016, eq. 2; DINO, appendix C.
    """

    def __init__(self, num_prototypes: Count, learnable_scale: bool = False, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.num_prototypes = num_prototypes
        self.learnable_scale = learnable_scale

    def build(self, input_shape):
        # torch's default: it leaves directions of length 0.6, which sets how fast they turn.
        bound = input_shape[-1] ** -0.5
        self.directions = self.add_weight(
            name="directions",
            shape=(self.num_prototypes, input_shape[-1]),
            initializer=keras.initializers.RandomUniform(-bound, bound),
            autocast=False,
        )
        if self.learnable_scale:
            self.scale = self.add_weight(
                name="scale", shape=(self.num_prototypes,), initializer="ones", autocast=False
            )

    def call(self, x):
        scores = _scores(x, l2_normalize(self.directions))
        return scores * at_least_float32(self.scale) if self.learnable_scale else scores

    def compute_output_spec(self, x):
        return float_spec(x, self.num_prototypes)


def unit_rows(shape: Sequence[int], dtype: str | None = None) -> Tensor:
    """Initializer: rows drawn uniformly from the unit sphere."""
    return l2_normalize(keras.initializers.RandomNormal(stddev=1.0)(shape, dtype=dtype))


def _scores(x, prototypes):
    return ops.matmul(at_least_float32(x), ops.transpose(prototypes))
