"""Transformations as motions of the features: Lie generators, and a toy of rotated images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm
from scipy.ndimage import affine_transform

from keras_ssl.core.errors import lookup

RANK = 16  # of a generator: more need more pairs of features than an analysis has


@dataclass(frozen=True)
class LieGenerator:
    """A generator `G = output @ basis` of a one-parameter group, `h(strength) = exp(strength G) h`.

    Attributes:
        output: float64 (features, rank). Its columns span those of G.
        basis: float64 (rank, features), orthonormal rows: the directions of h that G looks at.

    Example:

    >>> turn = LieGenerator(np.array([[0.0, -1.0], [1.0, 0.0]]), np.eye(2))
    >>> turn.transform([[1.0, 0.0]], np.pi / 2).round(6).tolist()  # a quarter turn
    [[0.0, 1.0]]
    """

    output: np.ndarray
    basis: np.ndarray

    def linear(self, features: ArrayLike, strengths: ArrayLike) -> np.ndarray:
        """The motion to first order, `strength G h` (eq. 12): (rows, features)."""
        strengths = np.broadcast_to(np.asarray(strengths, "float64"), len(features))
        return strengths[:, None] * (np.asarray(features, "float64") @ self.basis.T @ self.output.T)

    def transform(self, features: ArrayLike, strength: float) -> np.ndarray:
        """`exp(strength G) h` of every row, by an exponential of a matrix as small as the rank."""
        features, rank = np.asarray(features, "float64"), len(self.basis)
        small = np.zeros((2 * rank, 2 * rank))  # exp of it holds (e^A - 1) / A, A = basis output
        small[:rank, :rank] = strength * (self.basis @ self.output)
        small[:rank, rank:] = strength * np.eye(rank)
        inner = expm(small)[:rank, rank:]
        return features + features @ self.basis.T @ (self.output @ inner).T

    def explained(self, first: ArrayLike, second: ArrayLike, strengths: ArrayLike) -> float:
        """Share of the motion `second - first` that is linear in `first`: at most 1.

        Below 0 the generator predicts worse than no motion at all; 1 where nothing moves.
        """
        motion = np.asarray(second, "float64") - np.asarray(first, "float64")
        missed = np.sum(np.square(motion - self.linear(first, strengths)))
        total = np.sum(np.square(motion))
        return float(1.0 - missed / total) if total > 0 else 1.0


def lie_generator(
    first: ArrayLike, second: ArrayLike, strengths: ArrayLike = 1.0, *, rank: int = RANK
) -> LieGenerator:
    """Estimate the generator of a transformation from features before and after it.

        min over G of sum_i |h2_i - h1_i - strength_i G h1_i|^2

    by least squares on the `rank` largest directions of h1, so that no matrix features x features
    is formed and few pairs suffice. Take small strengths: the estimate is of first order.

    Args:
        first, second: float (rows, features). Features of images, and of the transformed images.
        strengths: float or (rows,). How much each was transformed, of either sign.
        rank: int > 0. Directions of h1, at most an eighth of the rows.

    Returns:
        A `LieGenerator`; one of zeros where nothing moves.

    Example:

    >>> h = np.random.default_rng(0).normal(size=(50, 2))
    >>> turn = LieGenerator(np.array([[0.0, -1.0], [1.0, 0.0]]), np.eye(2))
    >>> found = lie_generator(h, turn.transform(h, 1e-4), 1e-4)
    >>> np.allclose(found.output @ found.basis, turn.output, atol=1e-3)
    True

    Reference: Cosentino et al., Toward a geometrical understanding of self-supervised contrastive
    learning, 2022, eqs. 7, 12 and 25.
    """
    first, second = np.asarray(first, "float64"), np.asarray(second, "float64")
    strengths = np.broadcast_to(np.asarray(strengths, "float64"), len(first))
    basis = _largest_directions(first, min(rank, max(len(first) // 8, 1)))
    inputs = strengths[:, None] * (first @ basis.T)
    output, *_ = np.linalg.lstsq(inputs, second - first, rcond=1e-6)
    return LieGenerator(output.T, basis)


def _largest_directions(rows, most):
    """Orthonormal rows along the largest directions of `rows`, by the smaller Gram matrix."""
    wide = rows.shape[0] < rows.shape[1]
    values, vectors = np.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)
    values, vectors = values[::-1][:most], vectors[:, ::-1][:, :most]
    kept = max(int(np.sum(values > 1e-10 * values[0])), 1) if values[0] > 0 else 1
    if not wide:
        return vectors[:, :kept].T
    scale = np.sqrt(np.maximum(values[:kept], np.finfo("float64").tiny))
    return (vectors[:, :kept].T @ rows) / scale[:, None]


def transformed(images: ArrayLike, kind: str, strengths: ArrayLike) -> np.ndarray:
    """Images moved a little along one of `TRANSFORMATIONS`, each by its own strength.

    Args:
        images: uint8 (rows, height, width, channels).
        kind: "rotation" (strength 1: 10 degrees, clockwise), "translation" (a sixteenth of the
            width, to the right), "zoom" (larger by a tenth), "brightness" (by a fifth) or
            "saturation" (by half; gray images stay).
        strengths: float (rows,), of either sign; 0 leaves an image as it is.

    Returns:
        uint8 images, bilinear between pixels and mirrored at the edges.

    Raises:
        UserError: for another kind.

    Example:

    >>> images = np.full((1, 4, 4, 1), 100, "uint8")
    >>> transformed(images, "brightness", [0.5])[0, 0, 0].tolist()
    [110]
    """
    change = lookup(TRANSFORMATIONS, kind, "transformation")
    moved = [change(image.astype("float32"), s) for image, s in zip(images, strengths, strict=True)]
    return np.rint(np.clip(moved, 0, 255)).astype("uint8")


def rotated_one_hot(
    largest_angle: float, *, count: int = 500, size: int = 32, seed: int = 0
) -> np.ndarray:
    """One white pixel at a random place, rotated about the center by random angles.

    Args:
        largest_angle: float, degrees. Angles are uniform in [0, largest_angle].
        count: int > 0. Images.
        size: int > 0. Height and width.
        seed: int. Draws the pixel and the angles.

    Returns:
        float64 (count, size, size), bilinear between pixels, black outside.

    Example:

    >>> images = rotated_one_hot(0.0, count=3, size=4)
    >>> images.sum(axis=(1, 2)).tolist(), bool((images == images[0]).all())
    ([1.0, 1.0, 1.0], True)

    Reference: Cosentino et al., appendix E.
    """
    generator = np.random.default_rng(seed)
    place = generator.integers(0, size, size=2)
    angles = np.deg2rad(generator.uniform(0.0, largest_angle, size=count))[:, None, None]
    center = (size - 1) / 2
    y, x = np.mgrid[:size, :size] - center
    # Where each pixel of the rotated image was before.
    before_x = np.cos(angles) * x + np.sin(angles) * y + center
    before_y = np.cos(angles) * y - np.sin(angles) * x + center
    near_x = np.maximum(1.0 - np.abs(before_x - place[1]), 0.0)
    near_y = np.maximum(1.0 - np.abs(before_y - place[0]), 0.0)
    return near_x * near_y


def rotation_rank(
    largest_angle: float, *, runs: int = 5, count: int = 500, size: int = 32, seed: int = 0
) -> tuple[float, float]:
    """Rank of the covariance of rotated one-hot images: mean and standard deviation over runs.

    It grows with the angle; a linear map that is invariant to the rotation must have all of it in
    its kernel.

    Args:
        largest_angle, count, size: as `rotated_one_hot` takes them.
        runs: int > 0. Pixels that are drawn, with seeds from `seed` on.

    Returns:
        (mean, standard deviation) of ranks from 0 (one image) to count - 1.

    Example:

    >>> rotation_rank(0.0, count=20, size=8)
    (0.0, 0.0)

    Reference: Cosentino et al., fig. 10.
    """
    ranks = []
    for run in range(runs):
        images = rotated_one_hot(largest_angle, count=count, size=size, seed=seed + run)
        rows = images.reshape(count, -1)
        rows = rows[:, rows.any(axis=0)] - rows[:, rows.any(axis=0)].mean(axis=0)
        largest = np.abs(rows).max(initial=0.0)
        ranks.append(np.linalg.matrix_rank(rows) if largest > 1e-12 else 0)
    return float(np.mean(ranks)), float(np.std(ranks))


def _warped(image, matrix, shift=(0.0, 0.0)):
    """The image under the inverse of `matrix` about its center."""
    center = (np.array(image.shape[:2]) - 1) / 2
    offset = center - matrix @ (center + np.array(shift))
    channels = [
        affine_transform(channel, matrix, offset, order=1, mode="mirror")
        for channel in np.moveaxis(image, -1, 0)
    ]
    return np.stack(channels, axis=-1)


def _rotated(image, strength):
    angle = np.deg2rad(10.0 * strength)
    cos, sin = np.cos(angle), np.sin(angle)
    return _warped(image, np.array([[cos, -sin], [sin, cos]]))


def _translated(image, strength):
    return _warped(image, np.eye(2), (0.0, strength * image.shape[1] / 16))


def _zoomed(image, strength):
    return _warped(image, np.eye(2) * 1.1**-strength)


def _brightened(image, strength):
    return image * (1.0 + 0.2 * strength)


def _saturated(image, strength):
    gray = image.mean(axis=-1, keepdims=True)
    return gray + (image - gray) * (1.0 + 0.5 * strength)


TRANSFORMATIONS = {
    "rotation": _rotated,
    "translation": _translated,
    "zoom": _zoomed,
    "brightness": _brightened,
    "saturation": _saturated,
}
