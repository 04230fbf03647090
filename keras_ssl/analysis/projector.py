"""The weights of a projector: the matrix of a linear one, and how many directions it keeps."""

import keras
import numpy as np

from keras_ssl.analysis.spectrum import effective_rank, relative_rank

RELATIVE = 0.1  # of the largest singular value, 1 % of its energy: smaller ones count as lost


def linear_weights(method: keras.Model) -> np.ndarray | None:
    """The matrix W of a method whose `projector` is linear, `g(h) = W^T h` (a bias aside).

    Args:
        method: a model with a `projector`: Dense layers without activation, in a row.

    Returns:
        float64 (encoder's width, projector's width), or None where there is no projector or it is
        not linear.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> linear_weights(keras_ssl.SimCLR(encoder, num_layers=1, projection_dim=4)).shape[1]
    4
    >>> linear_weights(keras_ssl.SimCLR(encoder, num_layers=2)) is None  # a ReLU in between
    True

    Reference: Cosentino et al., Toward a geometrical understanding of self-supervised contrastive
    learning, proposition 3.1.
    """
    layers = getattr(getattr(method, "projector", None), "layers", [])
    if not layers or not all(_is_linear(layer) for layer in layers):
        return None
    kernels = [np.asarray(keras.ops.convert_to_numpy(each.kernel), "float64") for each in layers]
    return np.linalg.multi_dot(kernels) if len(kernels) > 1 else kernels[0]


def weight_spectrum(weights: np.ndarray) -> np.ndarray:
    """Singular values of a matrix in descending order: (min of its sides,); NaN of what is NaN.

    Example:

    >>> weight_spectrum(np.diag([1.0, 3.0])).round(6).tolist()
    [3.0, 1.0]
    """
    weights = np.asarray(weights, "float64")
    if not np.isfinite(weights).all():
        return np.full(min(weights.shape), np.nan)
    return np.linalg.svd(weights, compute_uv=False)


def weight_rank(weights: np.ndarray, *, relative: float = RELATIVE) -> int:
    """Rank_tau of a matrix: its singular values of at least tau = `relative` times the largest.

    The paper states no tau; a share of the largest value does not depend on the scale of W, to
    which a loss of cosines is blind.

    Args:
        weights: (rows, columns).
        relative: float in (0, 1]. The share.

    Returns:
        int from 0 (a matrix of zeros, or with NaN) to the shorter side.

    Example:

    >>> weight_rank(np.diag([5.0, 1.0, 0.01])), weight_rank(np.zeros((3, 2)))
    (2, 0)

    Reference: Cosentino et al., eq. 2.
    """
    return ranks_of(weight_spectrum(weights), relative=relative)[0]


def weight_rankme(weights: np.ndarray) -> float:
    """Effective rank of a matrix: the exponential of the entropy of its singular values' shares.

    Between 1 (one direction) and the shorter side (all equal); no threshold. 0 for a matrix of
    zeros, or with NaN.

    Example:

    >>> round(weight_rankme(np.eye(4)), 6), round(weight_rankme(np.ones((4, 2))), 6)
    (4.0, 1.0)

    Reference: Roy and Vetterli, The effective rank, 2007; Garrido et al., RankMe, 2023, eq. 1.
    """
    return ranks_of(weight_spectrum(weights))[1]


def ranks_of(values: np.ndarray, *, relative: float = RELATIVE) -> tuple[int, float]:
    """`weight_rank` and `weight_rankme` of a matrix whose singular values are at hand.

    Args:
        values: (count,), descending; (0, 0.0) for zeros and NaN.
        relative: float in (0, 1]. Of the largest value.

    Example:

    >>> ranks_of(np.array([3.0, 0.0]))
    (1, 1.0)
    """
    if not values[0] > 0:  # of NaN too
        return 0, 0.0
    rankme = float(effective_rank(values, epsilon=0.0))
    return relative_rank(values, relative), rankme


def _is_linear(layer):
    return isinstance(layer, keras.layers.Dense) and layer.activation is keras.activations.linear
