"""Whitening matrices: what makes features white, as functions of their covariance.

All of them whiten and differ by a rotation (Kessy et al., 2018, table 1; features are rows here, so
that theirs are the transposed):

    zca        cov^(-1/2)               stays nearest to the features
    zca_cor    V^(-1/2) P^(-1/2)        stays nearest to the standardized features
    pca        U Lambda^(-1/2)          sorts: the first entry says most of the features
    pca_cor    V^(-1/2) G Theta^(-1/2)  sorts: the first says most of the standardized features
    cholesky   L^(-T), cov = L L^T      entry k depends on the features 1 to k alone

with V the variances, P the correlations, and U Lambda U^T and G Theta G^T the decompositions of
covariance and correlation. Those by correlation do not depend on the scale of a feature.

Beware of `pca` and `pca_cor` in training. Eigenvectors change their order from batch to batch, and
jump where two eigenvalues cross, so that an entry of the result means something else in each
("stochastic axis swapping": Huang et al., 2018, sec. 3.1, who take ZCA for that); two views that
are whitened apart are compared entry by entry all the same, and a running mean of such matrices
is none of them. Their gradient grows without a limit towards equal eigenvalues, where it is taken
for 0 (`keras_ssl.ops.linalg.inverse_root_eigenvectors`).
"""

from keras import ops

from keras_ssl.ops.linalg import cholesky, inverse_root_eigenvectors, inverse_square_root
from keras_ssl.ops.precision import Tensor

_JITTER = 1e-14  # of the trace: above the rounding of float64, below any tolerance of float32


def zca_matrix(covariance: Tensor, *, epsilon: float = 0.0) -> Tensor:
    """`(covariance + epsilon I)^(-1/2)`: float64 (..., d, d) -> (..., d, d), symmetric."""
    return inverse_square_root(definite(covariance, epsilon))


def pca_matrix(covariance: Tensor, *, epsilon: float = 0.0) -> Tensor:
    """`U Lambda^(-1/2)`, columns by descending eigenvalue: float64 (..., d, d) -> (..., d, d).

    Signs are such that the diagonal of U is not negative (Kessy et al., 2018, sec. 4).

    Args:
        covariance: float64 (..., d, d), symmetric.
        epsilon: float >= 0. Added to the eigenvalues.

    Example:

    >>> pca_matrix(keras.ops.array([[4.0, 0.0], [0.0, 25.0]], dtype="float64")).numpy().round(3)
    array([[0. , 0.5],
           [0.2, 0. ]])
    """
    return inverse_root_eigenvectors(definite(covariance, epsilon))


def zca_cor_matrix(covariance: Tensor, *, epsilon: float = 0.0) -> Tensor:
    """`zca_matrix` of the correlations, after the features are standardized.

    Args:
        covariance: float64 (..., d, d), symmetric. A feature without variance stays as it is.
        epsilon: float >= 0. Added to the eigenvalues of the correlation matrix.
    """
    correlation, scale = _standardized(covariance)
    return scale[..., :, None] * zca_matrix(correlation, epsilon=epsilon)


def pca_cor_matrix(covariance: Tensor, *, epsilon: float = 0.0) -> Tensor:
    """`pca_matrix` of the correlations, after the features are standardized.

    Args:
        covariance: float64 (..., d, d), symmetric. A feature without variance stays as it is.
        epsilon: float >= 0. Added to the eigenvalues of the correlation matrix.
    """
    correlation, scale = _standardized(covariance)
    return scale[..., :, None] * pca_matrix(correlation, epsilon=epsilon)


def cholesky_matrix(covariance: Tensor, *, epsilon: float = 0.0) -> Tensor:
    """`L^(-T)` of `covariance + epsilon I = L L^T`: float64 (..., d, d), upper triangular.

    Kessy et al. take `L^T` of `cov^(-1) = L L^T`, which is triangular the other way round; W-MSE
    takes this.
    """
    factor = cholesky(definite(covariance, epsilon))
    identity = ops.zeros_like(factor) + ops.eye(covariance.shape[-1], dtype=factor.dtype)
    return ops.swapaxes(ops.solve_triangular(factor, identity, lower=True), -1, -2)


def newton_matrix(covariance: Tensor, iterations: int, *, epsilon: float = 0.0) -> Tensor:
    """`zca_matrix` approximated by Newton's iteration `P <- (3 P - P^3 S) / 2`, S of trace 1."""
    covariance = definite(covariance, epsilon)
    trace = ops.trace(covariance, axis1=-2, axis2=-1)[..., None, None]
    scaled = covariance / trace
    root = ops.eye(covariance.shape[-1], dtype="float64") + ops.zeros_like(scaled)
    for _ in range(iterations):
        root = 1.5 * root - 0.5 * (root @ root @ root @ scaled)
    return root / ops.sqrt(trace)


# Exact ones by name: covariance, epsilon= -> matrix that features (rows) are multiplied by.
WHITENINGS = {
    "cholesky": cholesky_matrix,
    "pca": pca_matrix,
    "pca_cor": pca_cor_matrix,
    "zca": zca_matrix,
    "zca_cor": zca_cor_matrix,
}


def definite(covariance: Tensor, epsilon: float) -> Tensor:
    """Add `epsilon`, and as little more as makes the factorizations of any batch succeed.

    Equal rows, whose covariance is 0, get the identity where `epsilon` is 0, so that the gradient
    is of the usual size.
    """
    trace = ops.trace(covariance, axis1=-2, axis2=-1)[..., None, None]
    without_variance = 0.0 if epsilon else 1.0
    jitter = ops.stop_gradient(ops.where(trace > 0, _JITTER * trace, without_variance))
    return covariance + (epsilon + jitter) * ops.eye(covariance.shape[-1], dtype="float64")


def _standardized(covariance):
    """Correlation matrix, and one over the standard deviations (1 for a feature without one)."""
    variance = ops.diagonal(covariance, axis1=-2, axis2=-1)
    known = variance > 0
    scale = ops.where(known, ops.rsqrt(ops.where(known, variance, 1.0)), 1.0)
    return scale[..., :, None] * covariance * scale[..., None, :], scale
