"""Discrete codes: an integer in [0, V) for each of the L simplices or codebooks of an encoder."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.core.errors import UserError


def code_dtype(simplex_size: int) -> np.dtype:
    """The smallest unsigned integer type that holds the codes 0 to `simplex_size` - 1.

    Example:

    >>> code_dtype(256), code_dtype(257)
    (dtype('uint8'), dtype('uint16'))
    """
    return np.min_scalar_type(simplex_size - 1)


def checked_codes(codes: ArrayLike, simplex_size: int, name: str) -> np.ndarray:
    """Return `codes` as an array (images, L) of `code_dtype`, or say what is wrong with it.

    Args:
        codes: integers (images, L) in [0, simplex_size).
        simplex_size: int > 1. V.
        name: what to call them in a complaint ("train").

    Raises:
        UserError: for another rank, no codes, numbers that are no integers, or out of range.

    Example:

    >>> checked_codes([[0, 2], [1, 1]], 3, "train").dtype
    dtype('uint8')
    """
    array = checked_matrix(codes, name)
    if simplex_size < 2:
        raise UserError(f"simplex_size must be 2 or more. Received {simplex_size}.")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= simplex_size:
        raise UserError(
            f"The {name} codes must lie in 0 to {simplex_size - 1}. Received {low} to {high}: "
            "give the simplex_size of the encoder that made them."
        )
    return array.astype(code_dtype(simplex_size), copy=False)


def checked_matrix(codes: ArrayLike, name: str) -> np.ndarray:
    """Return `codes` as a non-empty integer matrix; their range is not looked at.

    Raises:
        UserError: for another rank, no codes, or numbers that are no integers.
    """
    array = codes if isinstance(codes, np.ndarray) else np.asarray(codes)
    if array.ndim != 2 or 0 in array.shape:
        raise UserError(
            f"The {name} codes must be a non-empty matrix (images, simplices). "
            f"Received shape {array.shape}."
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise UserError(
            f"The {name} codes must be integers. Received dtype {array.dtype}: "
            "read them with codes_of(encoder), not from the features."
        )
    return array


def check_same_width(first: np.ndarray, second: np.ndarray, names: Sequence[str]) -> None:
    """Refuse codes of different numbers of simplices.

    Raises:
        UserError: with both widths.
    """
    if first.shape[1] != second.shape[1]:
        raise UserError(
            f"{names[0]} and {names[1]} codes must have the same number of simplices. Received "
            f"{first.shape[1]} and {second.shape[1]}: make both with the same encoder."
        )
