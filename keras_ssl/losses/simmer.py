"""SimMER: agreement of many views, with entropy and rank of their means against collapse.

Representations are (batch, views, dim) of the global batch; nothing is normalized.
"""

from keras import ops

from keras_ssl.core.errors import lookup
from keras_ssl.ops.linalg import singular_values
from keras_ssl.ops.pairs import nearest_distances
from keras_ssl.ops.precision import Tensor, at_least_float32

_SMALLEST = 1e-12  # a matrix of smaller norm has no direction to speak of


def simmer_loss(
    z: Tensor,
    *,
    alpha_entropy: float = 0.1,
    alpha_rank: float = 2e-4,
    rank_term: str = "r2",
    bias: bool = False,
) -> Tensor:
    """Total variance + `alpha_entropy` times the entropy loss + `alpha_rank` times a rank term.

    Args:
        z: (batch, views, dim), two or more views.
        alpha_entropy: float >= 0. Weight of the entropy.
        alpha_rank: float >= 0. Weight of the rank term; the paper takes 2e-4 with r2 and 2e-3 with
            the others.
        rank_term: name in `RANK_TERMS`.
        bias: bool. Whether a column of ones belongs to the matrix.

    Returns:
        A scalar in at least float32.

    Raises:
        UserError: for an unknown rank term.

    Example:

    >>> z = keras.random.normal((8, 4, 3), seed=1)
    >>> bool(simmer_loss(z) < simmer_loss(0.0 * z))
    True

    Reference: SimMER, eqs. 2, 5 and 8 to 15.
    """
    means = view_means(z)
    rank = rank_loss(means, rank_term=rank_term, bias=bias)
    return total_variance(z) + alpha_entropy * entropy_loss(means) + alpha_rank * rank


def view_means(z: Tensor) -> Tensor:
    """Mean over the views of every image: (batch, views, dim) -> (batch, dim)."""
    return ops.mean(at_least_float32(z), axis=1)


def total_variance(z: Tensor) -> Tensor:
    """Squared distance of the views to their mean, averaged over images and views: a scalar.

    Reference: SimMER, eq. 2, with the expectation over views that its text asks for.
    """
    z = at_least_float32(z)
    difference = z - ops.mean(z, axis=1, keepdims=True)
    return ops.mean(ops.sum(ops.square(difference), axis=-1))


def entropy_loss(means: Tensor) -> Tensor:
    """`-mean_b log(distance of row b to its nearest other row)`: (batch, dim) -> scalar.

    Duplicates count as 1e-12 apart and have no gradient.

    Reference: SimMER, eq. 5, up to constants.
    """
    return -ops.mean(ops.log(nearest_distances(means)))


def rank_loss(means: Tensor, *, rank_term: str = "r2", bias: bool = False) -> Tensor:
    """The rank term of that name, of (batch, dim) or, with `bias`, of it and a column of ones.

    Raises:
        UserError: for an unknown rank term.
    """
    term = lookup(RANK_TERMS, rank_term, "rank term")
    means = at_least_float32(means)
    if bias:
        means = ops.concatenate([means, ops.ones_like(means[:, :1])], axis=1)
    return term(singular_values(means))


def smallest_value(values: Tensor) -> Tensor:
    """R1: minus the smallest singular value, in (-inf, 0]."""
    return -ops.min(values)


def nuclear_norm(values: Tensor) -> Tensor:
    """R2: minus the sum of the singular values, in (-inf, 0]."""
    return -ops.sum(values)


def nuclear_over_spectral(values: Tensor) -> Tensor:
    """R3: minus the nuclear by the spectral norm, by min(rows, columns): in [-1, 0]."""
    return -ops.mean(values / _scale(ops.max(values)))


def nuclear_over_frobenius(values: Tensor) -> Tensor:
    """R4: minus the squared nuclear by the Frobenius norm, by min(rows, columns): in [-1, 0]."""
    unit = values / _scale(ops.max(values))  # so that squares neither overflow nor underflow
    return -ops.square(ops.sum(unit)) / _scale(ops.sum(ops.square(unit))) / values.shape[0]


RANK_TERMS = {
    "r1": smallest_value,
    "r2": nuclear_norm,
    "r3": nuclear_over_spectral,
    "r4": nuclear_over_frobenius,
}


def _scale(norm):
    """`norm` to divide by; 1 for a zero matrix, whose ratios are then 0 with finite gradients."""
    return ops.where(norm > _SMALLEST, norm, 1.0)
