"""The generalization bound of Simplicial Embeddings (theorem 1), evaluated.

Two embeddings whose simplices have the same largest entries lie in the same cell. The bound of the
downstream error grows with the size of the cells, `phi`, which a softmax makes small.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from keras_ssl.analysis.simplices import simplices_at
from keras_ssl.core.errors import UserError


def phi_base(simplex_size: int, *, margin: float = 0.0, half_range: float = 1.0) -> float:
    """Largest squared distance of two logit vectors with the same largest entry, in closed form.

    `phi_base = V (2 h - margin)^2`: the cell of entry i is a polytope, and its farthest corners are
    `(h, h - margin, ..., h - margin)` and `(margin - h, -h, ..., -h)`.

    Args:
        simplex_size: int >= 2. V.
        margin: float in [0, 2 h]. By how much the largest entry exceeds the others (Delta).
        half_range: float > 0. h; the paper takes logits in [-1, 1].

    Returns:
        A float >= 0.

    Raises:
        UserError: for sizes out of range.

    Example:

    >>> phi_base(13)
    52.0

    Reference: Lavoie et al., Simplicial Embeddings, appendix A; the corners are those of lemma 6.
    """
    _check(simplex_size, margin, half_range)
    return simplex_size * (2.0 * half_range - margin) ** 2


def phi_sem(
    simplex_size: int, temperature: float, *, margin: float = 0.0, half_range: float = 1.0
) -> float:
    """Largest squared distance of two simplices with the same largest entry, in closed form.

    With `a = exp(-2 h / tau)` and `b = exp(-margin / tau)` the softmax takes a cell onto
    `{p : a p_i <= p_j <= b p_i}`, a polytope again. Its corners have k entries `b p_i` and the
    others `a p_i`; the largest distance is the one of two corners, over k, k' = 0 to V - 1, with as
    few of these entries in common as there can be.

    It vanishes as tau goes to 0 for a margin above 0 only: with none, equal logits and a one-hot
    vector are in one cell, at a squared distance of 1 - 1/V. It also vanishes as tau grows, where
    all simplices become uniform, so it has a maximum between the two.

    Args:
        simplex_size: int >= 2. V.
        temperature: float >= 0. tau; at 0 simplices are one-hot and cells are points.
        margin, half_range: as for `phi_base`.

    Returns:
        A float in [0, 2).

    Raises:
        UserError: for sizes out of range.

    Example:

    >>> [round(phi_sem(13, tau, margin=0.1), 4) for tau in (0.01, 0.1, 1.0, 10.0)]
    [0.0, 0.7201, 0.1462, 0.0025]

    Reference: Lavoie et al., Simplicial Embeddings, appendix A, where lemma 4 bounds it.
    """
    a, b = _ratios(simplex_size, temperature, margin, half_range)
    others = simplex_size - 1
    k = np.arange(simplex_size)
    first = 1.0 / (1.0 + k * b + (others - k) * a)  # the largest entry, where k are near it
    p, q = first[:, None], first[None, :]
    both = np.maximum(0, k[:, None] + k[None, :] - others)
    only_p, only_q = k[:, None] - both, k[None, :] - both
    neither = others - both - only_p - only_q
    squared = (p - q) ** 2 * (1.0 + both * b**2 + neither * a**2)
    squared += only_p * (b * p - a * q) ** 2 + only_q * (a * p - b * q) ** 2
    return float(squared.max())


def phi_lemma4(
    simplex_size: int, temperature: float, *, margin: float = 0.0, half_range: float = 1.0
) -> float:
    """The paper's upper bound of `phi_sem`, the sum of the ranges of the entries, squared.

    Proofs of lemmas 5 and 6 print a factor n before its second term, which lemma 4 has not and
    which does not belong there.

    Args:
        simplex_size, temperature, margin, half_range: as for `phi_sem`.

    Returns:
        A float >= `phi_sem`.

    Raises:
        UserError: for sizes out of range.

    Example:

    >>> [round(phi_lemma4(13, tau, margin=0.1), 4) for tau in (0.01, 0.1, 1.0, 10.0)]
    [0.0, 1.5327, 0.8649, 0.0081]

    Reference: Lavoie et al., Simplicial Embeddings, lemma 4.
    """
    a, b = _ratios(simplex_size, temperature, margin, half_range)
    others = simplex_size - 1
    largest = 1.0 / (1.0 + others * a) - 1.0 / (1.0 + others * b)
    # b / (b + 1 + ...) is the lemma's 1 / (1 + exp(margin / tau) ...), which overflows.
    other = b / (b + 1.0 + (others - 1) * a) - a / (a + 1.0 + (others - 1) * b)
    return largest**2 + others * other**2


def phi_gap_bound(simplex_size: int) -> float:
    """What theorem 1 says that `phi_sem - phi_base` is at most, `3 (1 - V) / 4`.

    True for every temperature if the margin is at most half the range of the logits (Delta <= 1 for
    logits in [-1, 1], which the proof uses without saying so); for margins near the range both
    phi go to 0, and the difference exceeds the bound.

    Example:

    >>> phi_sem(13, 0.1) - phi_base(13) <= phi_gap_bound(13)
    True
    >>> phi_sem(13, 0.1, margin=1.5) - phi_base(13, margin=1.5) <= phi_gap_bound(13)
    False

    Reference: Lavoie et al., Simplicial Embeddings, theorem 1 and lemma 6.
    """
    _check(simplex_size, 0.0, 1.0)
    return 0.75 * (1 - simplex_size)


def phi_sampled(
    simplex_size: int,
    temperature: float | None,
    *,
    margin: float = 0.0,
    pairs: int = 10_000,
    seed: int = 0,
) -> float:
    """The largest squared distance of pairs drawn from a cell, a lower bound of phi.

    Half of the vectors are uniform in the cell's cube of gaps to the largest entry, half are its
    corners, where the suprema lie. The pair of corners of `phi_base` is one of 2^(2 V - 2), so its
    supremum is not met for large V.

    Args:
        simplex_size: int >= 2. V.
        temperature: float >= 0 for simplices, or None for the logits in [-1, 1] themselves.
        margin: float in [0, 2].
        pairs: int >= 1.
        seed: int.

    Returns:
        A float, at most `phi_sem` or `phi_base`.

    Raises:
        UserError: for sizes out of range.

    Example:

    >>> round(phi_sampled(3, 0.5, margin=0.2), 4), round(phi_sem(3, 0.5, margin=0.2), 4)
    (0.4332, 0.4332)
    """
    _check(simplex_size, margin, 1.0)
    random = np.random.default_rng(seed)
    logits = _cell(random, 2 * pairs, simplex_size, margin)
    if temperature is not None:
        logits = simplices_at(logits, temperature)
    return float(np.square(logits[:pairs] - logits[pairs:]).sum(axis=1).max())


def _cell(random, count, size, margin):
    """(count, size) vectors in [-1, 1] whose first entry exceeds the others by the margin."""
    gaps = random.uniform(margin, 2.0, (count, size - 1))
    share = random.uniform(size=(count, 1))  # of large gaps: corners of every kind
    corners = np.where(random.uniform(size=gaps.shape) < share, 2.0, margin)
    gaps = np.where(np.arange(count)[:, None] % 2 == 0, gaps, corners)
    low = gaps.max(axis=1, keepdims=True) - 1.0  # where the smallest entry is -1
    first = np.where(random.uniform(size=(count, 1)) < 0.5, 1.0, low)
    return np.concatenate([first, first - gaps], axis=1)


def phi_observed(points: ArrayLike, codes: ArrayLike) -> np.ndarray:
    """Squared distance of far images of one cell, for each simplex: what phi is on a sample.

    In each cell the image farthest from the mean is taken, and then the one farthest from that: at
    least a quarter of the largest squared distance, mostly all of it.

    Args:
        points: float (images, L, V). Logits or simplices.
        codes: integers (images, L). Index of the largest entry of each simplex.

    Returns:
        (L,) float64. The proof of theorem 1 holds with their sum in place of `L phi`, on the
        sample.

    Raises:
        UserError: for shapes that do not match.

    Example:

    >>> phi_observed([[[1.0, 0.0]], [[1.0, 0.5]], [[0.0, 1.0]]], [[0], [0], [1]])
    array([0.25])

    Reference: Lavoie et al., Simplicial Embeddings, proof of lemma 2.
    """
    points, codes = np.asarray(points), np.asarray(codes)
    if points.ndim != 3 or codes.shape != points.shape[:2]:
        raise UserError(
            "phi needs points (images, L, V) and codes (images, L). "
            f"Received {points.shape} and {codes.shape}."
        )
    return np.array([_widest_cell(points[:, i], codes[:, i]) for i in range(points.shape[1])])


def _widest_cell(points, codes):
    widest = 0.0
    for code in np.unique(codes):
        cell = points[codes == code].astype(np.float64)
        far = np.square(cell - cell.mean(axis=0)).sum(axis=1).argmax()
        widest = max(widest, np.square(cell - cell[far]).sum(axis=1).max())
    return widest


def margin_loss(scores: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """`min(1, max(0, 1 - (s_y - max_{c != y} s_c)))`: a loss that theorem 1 holds for.

    It lies in [0, 1], as the theorem assumes and cross-entropy does not, and is at least the 0-1
    loss of answers that are wrong or tied.

    Args:
        scores: float (images, classes), two classes or more.
        labels: integers (images,), columns of the scores.

    Returns:
        (images,).

    Example:

    >>> margin_loss([[2.0, 0.0], [0.25, 0.0], [0.0, 3.0]], [0, 0, 0])
    array([0.  , 0.75, 1.  ])
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    rows = np.arange(len(scores))
    others = scores.copy()
    others[rows, labels] = -np.inf
    return np.clip(1.0 - scores[rows, labels] + others.max(axis=1), 0.0, 1.0)


def lipschitz_constant(weights: ArrayLike) -> float:
    """R of `margin_loss` behind a linear classifier: the largest `|w_c - w_c'|` of two classes.

    Args:
        weights: float (features, classes).

    Example:

    >>> lipschitz_constant([[3.0, 0.0], [0.0, 4.0]])
    5.0
    """
    weights = np.asarray(weights, np.float64)
    with threadpool_limits(1):  # the same bits on any number of cores
        gram = weights.T @ weights
    norms = np.diagonal(gram)
    return float(np.sqrt(np.maximum(0.0, (norms[:, None] + norms[None, :] - 2.0 * gram).max())))


def bound_terms(
    lipschitz: float,
    num_simplices: int,
    phi: float,
    *,
    simplex_size: int,
    classes: int,
    images: int,
    delta: float = 0.05,
) -> dict[str, float]:
    """The two terms that theorem 1 adds to the training loss.

    `R sqrt(L phi)`, the one that SEM makes small, and `c sqrt(ln(2 / delta) / n)`. The paper
    calls c a constant; by the proof of lemma 1 it is `B sqrt(2 K)` with B = 1 and
    `K = classes V^L` cells. So the bound says nothing of the size of the error at any number of
    images in use, only how its first term changes with tau, L and V.

    Args:
        lipschitz: float >= 0. R, such as `lipschitz_constant`.
        num_simplices: int >= 1. L.
        phi: float >= 0. Such as `phi_sem`; for `phi_observed` its mean over the simplices.
        simplex_size: int >= 2. V.
        classes, images: int >= 1.
        delta: float in (0, 1]. The bound holds with probability 1 - delta.

    Returns:
        `expressivity`, the first term, and `log10_confidence`, the logarithm of the second.

    Example:

    >>> terms = bound_terms(0.5, 4, 1.0, simplex_size=3, classes=10, images=5000)
    >>> round(terms["expressivity"], 3), round(terms["log10_confidence"], 3)
    (1.0, 0.039)

    Reference: Lavoie et al., Simplicial Embeddings, theorem 1 and eq. 5.
    """
    log_cells = math.log(classes) + num_simplices * math.log(simplex_size)
    square = math.log(2.0) + log_cells + math.log(math.log(2.0 / delta) / images)
    return {
        "expressivity": lipschitz * math.sqrt(num_simplices * phi),
        "log10_confidence": 0.5 * square / math.log(10.0),
    }


def _ratios(simplex_size, temperature, margin, half_range):
    """Smallest and largest ratio of another entry to the largest one."""
    _check(simplex_size, margin, half_range)
    if temperature < 0:
        raise UserError(f"The temperature must be 0 or more. Received {temperature}.")
    if temperature == 0:
        return 0.0, 0.0
    return math.exp(-2.0 * half_range / temperature), math.exp(-margin / temperature)


def _check(simplex_size, margin, half_range):
    if simplex_size < 2:
        raise UserError(f"simplex_size must be 2 or more. Received {simplex_size}.")
    if not 0 <= margin <= 2 * half_range or half_range <= 0:
        raise UserError(
            f"The margin must lie in 0 to {2 * half_range}, the range of the logits. "
            f"Received {margin}."
        )
