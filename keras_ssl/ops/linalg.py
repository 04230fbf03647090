"""Linear algebra whose gradients stay finite: at zero rows, at equal and at zero eigenvalues.

Factors are computed without a gradient, in float64, and the result is then written as a function of
the matrix with the right value and the right first derivative. Second derivatives are not those of
the factorization. Matrices that are not finite give NaN, and raise nothing.
"""

import keras
from keras import ops

from keras_ssl.ops.precision import Tensor, at_least_float32

_SMALLEST = 1e-15  # of the largest eigenvalue: below it there is only rounding
_TIE = 1e-6  # of two eigenvalues, and 1e-12 of the largest: closer ones count as equal


def l2_normalize(x: Tensor, *, epsilon: float | None = None) -> Tensor:
    """Divide each row of `x` by its Euclidean norm, in at least float32.

    Args:
        x: (..., dim).
        epsilon: float > 0 or None. Floor of the squared norm, so that a zero row stays zero and has
            a slope of one over its root. None is 1e-12, and 1e-6 for float16, whose largest number
            is 65,504.
    """
    if epsilon is None:
        epsilon = 1e-6 if ops.dtype(ops.convert_to_tensor(x)) == "float16" else 1e-12
    x = at_least_float32(x)
    squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squared, epsilon))


def cosine(a: Tensor, b: Tensor, *, epsilon: float | None = None) -> Tensor:
    """Cosine between corresponding rows: (batch, dim), (batch, dim) -> (batch,)."""
    return ops.sum(l2_normalize(a, epsilon=epsilon) * l2_normalize(b, epsilon=epsilon), axis=-1)


def singular_values(matrix: Tensor) -> Tensor:
    """Singular values in descending order: (rows, columns) -> (min(rows, columns),).

    The gradient of value i is `u_i v_i^T`, one of its subgradients at ties, and 0 where the value
    is exactly 0. Eigenvectors of the smaller Gram matrix serve instead of a direct decomposition,
    which compilers turn into long loops. The number of rows must be static if it is below that of
    the columns.
    """
    matrix = at_least_float32(matrix)
    rows, columns = matrix.shape
    tall = rows is None or rows >= columns
    x = ops.cast(ops.transpose(matrix) if tall else matrix, "float64")  # the short side first
    frozen = ops.stop_gradient(x)
    _, vectors = _eigh(_finite(frozen @ ops.transpose(frozen)))
    # Row i is sigma_i v_i; its norm is exact to second order in the error of the vectors.
    squared = ops.sum(ops.square(ops.transpose(vectors) @ x), axis=-1)
    zero = squared <= 0  # and not NaN
    values = ops.where(zero, 0.0, ops.sqrt(ops.where(zero, 1.0, squared)))
    return ops.cast(ops.flip(values), matrix.dtype)


def inverse_square_root(matrix: Tensor) -> Tensor:
    """`matrix ** (-1/2)` of symmetric positive definite float64 matrices: (..., d, d).

    In the eigenbasis a change D of the matrix changes the result by
    `-D_ij / (sqrt(l_i) sqrt(l_j) (sqrt(l_i) + sqrt(l_j)))`, the solution of a Lyapunov equation:
    unlike the derivative of the eigenvectors it never divides by `l_i - l_j`.
    """
    frozen = ops.stop_gradient(matrix)
    values, vectors = _eigh(_finite(frozen))
    floor = _SMALLEST * ops.max(values, axis=-1, keepdims=True)
    root = ops.sqrt(ops.maximum(values, floor))
    rows = ops.swapaxes(vectors, -1, -2)
    inverse = (vectors / root[..., None, :]) @ rows
    a, b = root[..., :, None], root[..., None, :]
    change = rows @ (matrix - frozen) @ vectors / (a * b * (a + b))  # 0, but for its gradient
    return inverse - vectors @ change @ rows


def inverse_root_eigenvectors(matrix: Tensor) -> Tensor:
    """`U Lambda^(-1/2)` of symmetric positive definite float64 matrices: (..., d, d).

    Columns are the eigenvectors by descending eigenvalue, each over the root of its eigenvalue. Of
    the two signs of an eigenvector the one with a diagonal entry >= 0 is taken.

    A change D of the matrix, in the eigenbasis, turns eigenvector j towards i by
    `D_ij / (l_j - l_i)`. Without a limit at equal eigenvalues, whose eigenvectors are any basis of
    their plane: there the turn is left out of the gradient, which is then that of the scale alone.
    Near such a tie the gradient is large, up to 1e6 times that of `inverse_square_root`.
    """
    frozen = ops.stop_gradient(matrix)
    values, vectors = (ops.flip(each, axis=-1) for each in _eigh(_finite(frozen)))
    diagonal = ops.diagonal(vectors, axis1=-2, axis2=-1)
    vectors = ops.where(diagonal[..., None, :] < 0, -vectors, vectors)
    largest = ops.max(values, axis=-1, keepdims=True)
    values = ops.maximum(values, _SMALLEST * largest)
    root = ops.sqrt(values)[..., None, :]
    change = ops.swapaxes(vectors, -1, -2) @ (matrix - frozen) @ vectors  # 0, but for its gradient
    a, b = values[..., :, None], values[..., None, :]
    tie = ops.abs(a - b) <= _TIE * (a + b) + 1e-6 * _TIE * largest[..., None]
    turn = ops.where(tie, 0.0, 1.0 / ops.where(tie, 1.0, b - a))
    identity = ops.eye(matrix.shape[-1], dtype=matrix.dtype)
    return vectors @ (identity + change * (turn - 0.5 * identity / b)) / root


def cholesky(matrix: Tensor) -> Tensor:
    """The lower factor of symmetric positive definite matrices: (..., d, d) -> (..., d, d)."""
    known = _are_finite(matrix)
    return ops.where(known, ops.cholesky(_finite(matrix)), float("nan"))


def off_diagonal_energy(matrix: Tensor) -> Tensor:
    """`sum_{i != j} M_ij^2`: (dim, dim) -> scalar >= 0."""
    # Masked and not subtracted: the diagonal is far larger than what is sought.
    return ops.sum(ops.square(matrix * (1.0 - ops.eye(matrix.shape[0], dtype=matrix.dtype))))


def _finite(matrix):
    """The matrices, with the identity for one that has an entry which is not finite.

    TensorFlow raises where it cannot factorize, in the middle of a step that is to be skipped.
    """
    identity = ops.eye(matrix.shape[-1], dtype=matrix.dtype)
    return ops.where(_are_finite(matrix), matrix, identity)


def _are_finite(matrix):
    return ops.all(ops.isfinite(matrix), axis=(-2, -1), keepdims=True)


def _eigh(matrix):
    """Eigenvalues and eigenvectors, by the CPU even where the rest runs on a GPU.

    Many GPUs compute float64 at a small fraction of their speed, and small eigenproblems keep none
    of them busy. Inside a function that XLA compiles the place has no effect.
    """
    with keras.device("cpu:0"):
        return ops.eigh(matrix)
