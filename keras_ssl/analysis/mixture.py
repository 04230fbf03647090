"""Entropy of embeddings by a mixture of Gaussians: low where images of a cluster are all alike."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from keras_ssl.ops.rows import some_rows
from keras_ssl.ops.spread import column_blocks

COMPONENTS = (10, 20, 50, 100, 200, 500, 1000)  # of the paper
FLOOR = 1e-6  # least variance of a component along an axis, of a mean variance of 1
SAMPLES = 10_000  # points drawn for an entropy, as in the paper
MAX_WIDTH = 256  # columns; wider embeddings are projected
_ROWS_EACH = 10  # images per component: of fewer, a component describes the images one by one


@dataclass(frozen=True)
class MixtureEntropy:
    """What `mixture_entropy` found.

    Attributes:
        components: Gaussians of the mixture.
        per_dimension: nats per dimension of the embeddings scaled to a mean variance of 1, which
            makes widths and scales comparable. At most `log(2 pi e) / 2` = 1.419, of independent
            values of equal variance; the least is -5.49, of images that are equal (`FLOOR`).
        nats: of the embeddings as they are, the paper's number; -inf if all are equal.
        error: standard error of `per_dimension` from the sampling alone.
        samples, width: images that were fitted, and columns.
        images, columns: images and columns that were given.

    Example:

    >>> mixture_entropy(np.zeros((20, 2)), 1, samples=10).nats
    -inf
    """

    components: int
    per_dimension: float
    nats: float
    error: float
    samples: int
    width: int
    images: int
    columns: int


def gaussian_entropy(variances: ArrayLike) -> float:
    """Differential entropy of a Gaussian: `sum log(2 pi e variance) / 2` nats.

    Args:
        variances: float (d,) > 0. Along independent axes.

    Example:

    >>> round(gaussian_entropy([1.0]), 3), round(gaussian_entropy([4.0, 0.25]), 3)
    (1.419, 2.838)
    """
    return float(0.5 * np.sum(np.log(2 * math.pi * math.e * np.asarray(variances, "float64"))))


def mixture_entropy(
    z: ArrayLike,
    components: int,
    *,
    samples: int = SAMPLES,
    max_rows: int = 2000,
    max_width: int = MAX_WIDTH,
    iterations: int = 20,
    seed: int = 0,
) -> MixtureEntropy:
    """Entropy of a mixture of Gaussians with diagonal covariances that is fitted to embeddings.

    `-mean log p(x)` over `samples` points `x` drawn from the mixture `p`. Images of one cluster
    that have nearly the same embedding (an intracluster collapse) give a low entropy, but so does
    a dimensional collapse. Compare runs at the same number of components, images and columns.

    Args:
        z: float (images, width), finite.
        components: int > 0. Gaussians; at most one for each image.
        samples: int > 0. Points drawn; the paper's are 10,000.
        max_rows: int > 0. Most images that are fitted; drawn at random.
        max_width: int > 0. Most columns; wider embeddings are projected onto so many random
            orthonormal directions, which leaves Gaussians Gaussians.
        iterations: int > 0. Most steps of expectation maximization.
        seed: int >= 0.

    Raises:
        ValueError: for more components than images.

    Example:

    >>> z = np.random.default_rng(0).normal(size=(2000, 4))
    >>> found = mixture_entropy(3 * z, 1)
    >>> round(found.per_dimension, 1), abs(found.nats - gaussian_entropy([9.0] * 4)) < 0.1
    (1.4, True)

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, 2025,
    sec. 5 (fig. 6b) and appendix K. The paper does not say how embeddings of different methods were
    scaled; `per_dimension` is this project's answer.
    """
    options = {"max_rows": max_rows, "max_width": max_width, "seed": seed}
    return _entropies(z, [components], samples, iterations, **options)[0]


def entropy_curve(
    z: ArrayLike,
    components: Sequence[int] = COMPONENTS,
    *,
    samples: int = SAMPLES,
    max_rows: int = 2000,
    max_width: int = MAX_WIDTH,
    iterations: int = 20,
    seed: int = 0,
) -> list[MixtureEntropy]:
    """`mixture_entropy` for growing numbers of components, as far as the images reach.

    Counts that leave fewer than ten images for each component are left out (but the first): such a
    mixture describes the images, not their distribution, and its entropy falls without any
    collapse.

    Args:
        z: float (images, width), finite.
        components: ints > 0, ascending.
        samples, max_rows, max_width, iterations, seed: those of `mixture_entropy`.

    Example:

    >>> z = np.random.default_rng(0).normal(size=(200, 2))
    >>> [found.components for found in entropy_curve(z, samples=100)]
    [10, 20]

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, 2025,
    figs. 6b, 13b and 15.
    """
    rows = min(len(z), max_rows)
    counts = [each for each in components if each * _ROWS_EACH <= rows]
    counts = counts or [min(components[0], rows)]
    options = {"max_rows": max_rows, "max_width": max_width, "seed": seed}
    return _entropies(z, counts, samples, iterations, **options)


def _entropies(z, counts, samples, iterations, *, max_rows, max_width, seed):
    z = np.asarray(z)
    images, columns = z.shape
    if max(counts) > images:
        raise ValueError(f"{max(counts)} components are more than the {images} images.")
    with threadpool_limits(1):  # the same bits on any number of cores
        scaled, scale = _scaled(*_reduced(z, max(max_rows, max(counts)), max_width, seed))
        sizes = (*scaled.shape, images, columns)
        return [
            MixtureEntropy(each, *_entropy(scaled, scale, each, samples, iterations, seed), *sizes)
            for each in counts
        ]


def _entropy(scaled, scale, components, samples, iterations, seed):
    """Nats per dimension of the scaled rows, nats of the rows, and the error of the former."""
    mixture = _fitted(scaled, components, iterations, seed)
    drawn, _ = mixture.sample(samples)
    scores = mixture.score_samples(drawn)
    width = scaled.shape[1]
    each = float(-scores.mean() / width)
    nats = width * (each + math.log(scale)) if scale > 0 else -math.inf
    return each, nats, float(scores.std() / math.sqrt(samples) / width)


def _reduced(z, max_rows, max_width, seed):
    """Some rows of `z`, with the first subtracted so that equal rows are exact zeros."""
    generator = np.random.default_rng(seed)
    if len(z) > max_rows:
        z = z[some_rows(len(z), max_rows, seed)]
    squares = sum(np.square(block).sum() for block in column_blocks(z))
    rounding = np.finfo("float32").eps * math.sqrt(squares / z.size)
    if z.shape[1] <= max_width:
        return z.astype("float64") - z[:1], rounding
    directions, _ = np.linalg.qr(generator.normal(size=(z.shape[1], max_width)))
    projected, begin = np.zeros((len(z), max_width)), 0
    for block in column_blocks(z):
        end = begin + block.shape[1]
        projected += (block - block[:1]) @ directions[begin:end]
        begin = end
    return projected, rounding


def _scaled(z, rounding):
    """Centered rows divided by the root of their mean variance, and that root."""
    centered = z - z.mean(axis=0)
    scale = math.sqrt(np.square(centered).mean())
    return (centered / scale, scale) if scale > rounding else (np.zeros_like(z), 0.0)


def _fitted(z, components, iterations, seed):
    mixture = GaussianMixture(
        components,
        covariance_type="diag",
        init_params="k-means++",
        max_iter=iterations,
        reg_covar=FLOOR,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the steps are limited on purpose
        return mixture.fit(z)
