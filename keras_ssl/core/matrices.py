"""Matrices whose rows are the images of a batch, and the square ones made of them."""

from keras import ops

from keras_ssl.core.checks import UserError
from keras_ssl.core.replicas import all_gather, num_replicas


def gather_rows(x):
    """The rows of all replicas, with the static shape that a plain gather loses.

    Args:
        x: (batch, ...) of this replica, as many rows on each.

    Returns:
        (global batch, ...), in replica order and differentiable.

    Raises:
        UserError: if the number of rows is not known when the step is traced.
    """
    if x.shape[0] is None:
        raise UserError(
            "The loss needs batches of one size. Received batches of unknown size: make the data "
            "set by batch(size, drop_remainder=True)."
        )
    return ops.reshape(all_gather(x), (x.shape[0] * num_replicas(), *x.shape[1:]))


def off_diagonal_energy(matrix):
    """`sum_{i != j} M_ij^2`: (dim, dim) -> scalar >= 0."""
    # Masked and not subtracted: the diagonal is far larger than what is sought.
    return ops.sum(ops.square(matrix * (1.0 - ops.eye(matrix.shape[0], dtype=matrix.dtype))))
