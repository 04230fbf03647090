"""Embeddings seen by the code that each is closest to: alignment, blocks, decorrelation (CPLearn).

No matrix of images x images or features x features is held whole: sums are taken in blocks, and
what is shown is pooled or drawn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.core.errors import UserError
from keras_ssl.ops.counts import effective_number
from keras_ssl.ops.rows import as_matrix, blocks, rows_at_once, spaced, unit_rows

_BLOCK = 256  # rows of a product


@dataclass(frozen=True)
class CodeAlignment:
    """How close embeddings are to the code that each has the largest product with.

    Attributes:
        code: int (n,). The code of each embedding.
        cosine: (n,). Cosine with it.
        runner_up: (n,). Cosine with the code of the next largest product.
        agreement: (n,). Share of coordinates that have the sign of the code.
        num_codes: int. c.

    Example:

    >>> found = code_alignment([[2.0, 1.0]], np.eye(2))
    >>> found.code.tolist(), found.runner_up.round(3).tolist()
    ([0], [0.447])
    """

    code: np.ndarray
    cosine: np.ndarray
    runner_up: np.ndarray
    agreement: np.ndarray
    num_codes: int

    def per_code(self) -> dict[str, np.ndarray]:
        """{"code", "images", "cosine", "agreement"}: means of the codes with an image, the most
        used first, (used,) each.

        Example:

        >>> found = code_alignment(np.eye(2), np.eye(2)).per_code()
        >>> found["images"].tolist(), found["cosine"].tolist()
        ([1, 1], [1.0, 1.0])
        """
        codes, index, images = np.unique(self.code, return_inverse=True, return_counts=True)
        order = np.argsort(-images, kind="stable")
        means = {
            name: (np.bincount(index, weights=values) / images)[order]
            for name, values in (("cosine", self.cosine), ("agreement", self.agreement))
        }
        return {"code": codes[order], "images": images[order], **means}


def code_alignment(embeddings: ArrayLike, codes: ArrayLike) -> CodeAlignment:
    """Cosine and sign agreement of each embedding with its code.

    Perfect alignment has cosine 1 (Corollary 1). Of equal products the first code counts.

    Args:
        embeddings: (n, f). What is compared with the codes; zeros have cosine 0 with all.
        codes: (f, c), a code in each column.

    Returns:
        `CodeAlignment`.

    Raises:
        UserError: if the widths do not match, or there are no embeddings or fewer than two codes.

    Example:

    >>> found = code_alignment([[0.1, 0.1], [2.0, -1.0]], [[1, 1], [1, -1]])
    >>> found.code.tolist(), found.cosine.round(3).tolist(), found.agreement.tolist()
    ([0, 1], [1.0, 0.949], [1.0, 1.0])

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, theorem 1.
    """
    embeddings, codes = as_matrix(embeddings, "embeddings"), as_matrix(codes, "codes")
    _check_pair(embeddings, codes)
    lengths = np.linalg.norm(codes, axis=0)
    found = []
    block = rows_at_once(codes.shape[1], _BLOCK)
    for some in blocks(len(embeddings), block):
        rows = embeddings[some]
        products = rows @ codes  # (rows, c)
        every = np.arange(len(rows))
        best = products.argmax(axis=1)
        first = products[every, best]
        products[every, best] = -np.inf
        second = products.argmax(axis=1)
        norms = np.linalg.norm(rows, axis=1)
        cosines = [
            _ratio(value, norms * lengths[which])
            for value, which in ((first, best), (products[every, second], second))
        ]
        same = (np.sign(rows) == np.sign(codes[:, best].T)).mean(axis=1)
        found.append((best, *cosines, same))
    return CodeAlignment(*map(np.concatenate, zip(*found, strict=True)), codes.shape[1])


def by_code(assignments: ArrayLike) -> np.ndarray:
    """Order of the images in which those of a code are neighbors, the most used code first.

    Example:

    >>> by_code([5, 7, 5, 7, 7]).tolist()
    [1, 3, 4, 0, 2]
    """
    _, index, counts = np.unique(assignments, return_inverse=True, return_counts=True)
    return np.lexsort((index, -counts[index]))


def ordered_adjacency(
    embeddings: ArrayLike, assignments: ArrayLike, *, size: int = 200
) -> np.ndarray:
    """The cosines of all pairs of embeddings, ordered by code and averaged in cells.

    Perfect alignment shows as blocks of ones on the diagonal, n / c images wide, and zeros
    elsewhere (Corollary 3). A cell is the product of the mean directions of its rows and of its
    columns, so that no matrix of images x images is formed; cells of the diagonal include the
    images themselves.

    Args:
        embeddings: (n, f); rows of zeros have cosine 0 with all.
        assignments: integers (n,), the code of each.
        size: int > 0. Cells a side, at most; n where that is less.

    Returns:
        (cells, cells) with values in [-1, 1].

    Example:

    >>> ordered_adjacency([[1, 0], [0, 1], [2, 0]], [0, 1, 0]).tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, corollary 3
    and figures 4, 8 and 9.
    """
    unit = unit_rows(as_matrix(embeddings, "embeddings"))
    edges = np.linspace(0, len(unit), min(size, len(unit)) + 1).astype(int)
    order = by_code(assignments)
    parts = zip(edges[:-1], edges[1:], strict=True)
    means = np.stack([unit[order[start:stop]].mean(axis=0) for start, stop in parts])
    return np.clip(means @ means.T, -1.0, 1.0)


@dataclass(frozen=True)
class Blocks:
    """Cosines of images of one code and of different codes; None where there is no such pair.

    Attributes:
        within: mean cosine of two images of the same code.
        between: mean cosine of two images of different codes.
        used: number of codes with an image.
        effective: exponential of the entropy of the shares of the codes.
        largest: share of the images that the most used code has.

    Example:

    >>> block_structure([[1, 0], [1, 0], [1, 0], [0, 1]], [0, 0, 0, 1]).largest
    0.75
    """

    within: float | None
    between: float | None
    used: int
    effective: float
    largest: float


def block_structure(embeddings: ArrayLike, assignments: ArrayLike) -> Blocks:
    """How far the adjacency of embeddings is block-diagonal, from sums over the codes.

    Args:
        embeddings: (n, f).
        assignments: integers (n,), the code of each.

    Returns:
        `Blocks`; 1 within and 0 between where the embeddings are orthogonal codes.

    Example:

    >>> found = block_structure([[1, 0], [1, 0], [0, 1]], [0, 0, 1])
    >>> found.within, found.between, found.used
    (1.0, 0.0, 2)

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, corollary 3.
    """
    unit = unit_rows(as_matrix(embeddings, "embeddings").astype("float64"))
    _, index, counts = np.unique(assignments, return_inverse=True, return_counts=True)
    order = np.argsort(index, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(unit[order], starts, axis=0)  # (used, f)
    squares = np.square(sums).sum()
    itself = np.square(unit).sum()
    same = (counts * (counts - 1)).sum()
    other = len(unit) * (len(unit) - 1) - same
    total = np.square(unit.sum(axis=0)).sum()
    return Blocks(
        within=float((squares - itself) / same) if same else None,
        between=float((total - squares) / other) if other else None,
        used=len(counts),
        effective=float(effective_number(counts)),
        largest=float(counts.max() / counts.sum()),
    )


@dataclass(frozen=True)
class Decorrelation:
    """The second moments of the features of embeddings, relative to their mean.

    Attributes:
        off_diagonal: root mean square of the entries off the diagonal; 0 is decorrelated.
        diagonal_std: standard deviation of those on it, whose mean is 1.
        participation: `trace^2 / sum of squares`, the dimensions that are filled; at most f.

    Example:

    >>> decorrelation([[1, 1], [1, 1]])  # a constant
    Decorrelation(off_diagonal=1.0, diagonal_std=0.0, participation=1.0)
    """

    off_diagonal: float
    diagonal_std: float
    participation: float


def embedding_covariance(embeddings: ArrayLike, *, size: int = 200) -> np.ndarray:
    """`H'H` of embeddings, scaled to a mean diagonal of 1, for at most `size` features.

    Not centered, as in the paper: decorrelated features that fill the space are the identity
    (Corollary 2), and a constant embedding is a matrix of -1 and 1. Of more features than `size`
    as many are taken, evenly spaced: averaging cells would hide what lies off the diagonal.

    Args:
        embeddings: (n, f).
        size: int > 0.

    Returns:
        (features, features); zeros for embeddings of zeros.

    Example:

    >>> embedding_covariance([[1, 1], [1, -1]]).tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, corollary 2
    and figures 4, 8 and 9.
    """
    embeddings = as_matrix(embeddings, "embeddings")
    some = spaced(embeddings.T, size).T
    scale = np.square(embeddings, dtype="float64").mean()
    return some.T @ some / (len(some) * scale) if scale else np.zeros((some.shape[1],) * 2)


def decorrelation(embeddings: ArrayLike) -> Decorrelation:
    """How far `H'H` is from the identity, from the smaller of `H'H` and `HH'`, in blocks.

    Args:
        embeddings: (n, f), not centered; f > 1.

    Returns:
        `Decorrelation`. With embeddings that are m orthogonal codes used equally, `participation`
        is m. Zeros have 0 for all.

    Example:

    >>> found = decorrelation([[1, 1], [1, -1]])
    >>> found.off_diagonal, found.participation
    (0.0, 2.0)

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, corollary 2.
    """
    embeddings = as_matrix(embeddings, "embeddings")
    count, width = embeddings.shape
    scale = np.square(embeddings, dtype="float64").mean()
    if not scale:
        return Decorrelation(0.0, 0.0, 0.0)
    scaled = embeddings / np.sqrt(scale, dtype=embeddings.dtype)
    diagonal = np.square(scaled, dtype="float64").mean(axis=0)
    rows = scaled if count <= width else scaled.T
    squares = sum(
        np.square(rows[some] @ rows.T).sum(dtype="float64") for some in blocks(len(rows), _BLOCK)
    )
    squares /= count**2  # the same for H'H and HH'
    off = max(squares - np.square(diagonal).sum(), 0.0) / max(width * (width - 1), 1)
    return Decorrelation(float(np.sqrt(off)), float(diagonal.std()), float(width**2 / squares))


def _ratio(values, by):
    return np.clip(values / np.where(by > 0, by, 1.0), -1.0, 1.0)


def _check_pair(embeddings, codes):
    if embeddings.shape[1] != codes.shape[0] or codes.shape[1] < 2:
        raise UserError(
            f"Embeddings (n, f) are compared with two codes (f, c) or more. Received the shapes "
            f"{embeddings.shape} and {codes.shape}."
        )
