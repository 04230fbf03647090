"""How sparse the simplices of an encoder are."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.core.errors import UserError
from keras_ssl.ops.rows import blocks

_BLOCK = 1 << 22  # logits that are worked on at a time


def simplices_at(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of the last axis in the logits' dtype; one-hot of the largest at temperature 0.

    Args:
        logits: float (..., V).
        temperature: float >= 0.

    Example:

    >>> simplices_at(np.array([[0.0, np.log(3.0)]]), 1.0).round(2).tolist()
    [[0.25, 0.75]]

    Reference: Lavoie et al., Simplicial Embeddings, eq. 1.
    """
    if temperature == 0:
        return np.eye(logits.shape[-1], dtype=logits.dtype)[logits.argmax(axis=-1)]
    simplices = logits - logits.max(axis=-1, keepdims=True)
    simplices /= temperature
    np.exp(simplices, out=simplices)
    simplices /= simplices.sum(axis=-1, keepdims=True)
    return simplices


def margins(logits: ArrayLike) -> np.ndarray:
    """By how much the largest entry of each simplex exceeds the second, Delta of theorem 1.

    Args:
        logits: float (images, L, V).

    Returns:
        (images, L), 0 at ties.

    Example:

    >>> margins([[[3.0, 1.0, 2.0], [5.0, 5.0, 0.0]]])
    array([[1., 0.]])
    """
    top = np.partition(np.asarray(logits), -2, axis=-1)[..., -2:]
    return top[..., 1] - top[..., 0]


def logit_entropies(logits: ArrayLike, temperature: float) -> np.ndarray:
    """Entropy in nats of the softmax of the last axis, from 0 (one-hot) to log(V) (uniform).

    `H = log sum_j e_j - sum_j e_j x_j / sum_j e_j` with `x = (z - max z) / tau`, `e = exp(x)`: from
    the logits, so that probabilities that underflow count as 0.

    Args:
        logits: float (images, L, V).
        temperature: float >= 0. At 0 all entropies are 0.

    Returns:
        (images, L), in the dtype of the logits.

    Example:

    >>> logit_entropies(np.zeros((1, 2, 4)), 1.0).round(3)
    array([[1.386, 1.386]])

    Reference: Lavoie et al., Simplicial Embeddings, sec. 3.1.
    """
    logits = _checked(logits)
    if temperature == 0:
        return np.zeros(logits.shape[:2], logits.dtype)
    entropies = np.empty(logits.shape[:2], logits.dtype)
    for some, block in _blocks(logits):
        x = np.ascontiguousarray(np.moveaxis(block, -1, 0))  # short axes are slow to reduce
        x -= x.max(axis=0)
        x /= temperature
        e = np.exp(x)
        total = e.sum(axis=0)
        np.multiply(e, x, out=e)
        # A difference of equal numbers may round below 0.
        entropies[some] = np.maximum(0.0, np.log(total) - e.sum(axis=0) / total)
    return entropies


def entropy_histogram(
    logits: ArrayLike, temperatures: Sequence[float], *, bins: int = 50
) -> tuple[np.ndarray, np.ndarray]:
    """Histograms of the entropies of all simplices of all images, for each temperature.

    A peak at 0 is one-hot simplices, at log(2) simplices with two entries near one half, at log(V)
    uniform ones.

    Args:
        logits: float (images, L, V).
        temperatures: floats >= 0.
        bins: int > 0, of equal width from 0 to log(V).

    Returns:
        The edges (bins + 1,) and the counts (temperatures, bins), each row of which adds up to
        images times L.

    Raises:
        UserError: for logits that are not cut into simplices.

    Example:

    >>> edges, counts = entropy_histogram([[[9.0, 0.0], [0.0, 0.0]]], (1.0, 0.0), bins=4)
    >>> counts.tolist()
    [[1, 0, 0, 1], [2, 0, 0, 0]]

    Reference: Lavoie et al., Simplicial Embeddings, fig. 2b.
    """
    logits = _checked(logits)
    edges = np.linspace(0.0, np.log(logits.shape[-1]), bins + 1)
    counts = np.zeros((len(temperatures), bins), int)
    for row, temperature in enumerate(temperatures):
        entropies = np.minimum(logit_entropies(logits, temperature), edges[-1])
        counts[row] = np.histogram(entropies, bins=edges)[0]
    return edges, counts


def _blocks(logits) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of images that fit a processor's cache better than all of them would."""
    step = max(1, _BLOCK // (logits.shape[1] * logits.shape[2]))
    for some in blocks(len(logits), step):
        yield some, logits[some]


def _checked(logits):
    logits = np.asarray(logits)
    if logits.dtype not in (np.float32, np.float64):
        logits = logits.astype(np.float32)
    if logits.ndim != 3 or logits.shape[-1] < 2:
        raise UserError(
            "Simplices are read from logits (images, L, V), V 2 or more. "
            f"Received {logits.shape}: reshape the embedding."
        )
    return logits
