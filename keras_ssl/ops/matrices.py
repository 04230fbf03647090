"""Square matrices of features by features."""

from keras import ops


def off_diagonal_energy(matrix):
    """`sum_{i != j} M_ij^2`: (dim, dim) -> scalar >= 0."""
    # Masked and not subtracted: the diagonal is far larger than what is sought.
    return ops.sum(ops.square(matrix * (1.0 - ops.eye(matrix.shape[0], dtype=matrix.dtype))))
