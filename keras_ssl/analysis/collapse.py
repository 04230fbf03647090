"""The four kinds of collapse, measured on outputs of images: numbers, no judgement.

Representations collapse to a constant, dimensions to a subspace, clusters to a few in use, and the
images of a cluster to one point (Sansone et al., 2025, fig. 1). `verdict` says what numbers mean.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from keras_ssl.analysis.mixture import MixtureEntropy, entropy_curve
from keras_ssl.analysis.spectrum import MAX_SIDE, Spectrum, spectrum_of
from keras_ssl.ops.counts import effective_number
from keras_ssl.ops.rows import some_rows
from keras_ssl.ops.spread import column_blocks, constant_share, feature_std, mean_cosine

NUM_COMPONENTS = (10, 50, 200)  # of the mixtures; more take too long after every training
MIN_IMAGES = 5  # of a cluster, from which on its distances tell something
_MIN_CLUSTERS = 5  # of so many images
_FEW = 50  # images beyond one for each cluster, of which a variance within clusters can be told
_DRAWS = 20  # random assignments whose mean usage is the ceiling
ITERATIONS = 10  # of expectation maximization


@dataclass(frozen=True)
class OutputMeasures:
    """What `measure_outputs` found of one kind of output, such as the projections.

    Attributes:
        finite: share of the images whose output is finite; all else is measured on those.
        std: spread of the directions, 0 (one direction) to 1 (`feature_std`).
        deviation: mean over columns of the standard deviation, in the units of the outputs.
        constant: share of the columns that are equal for all images.
        cosine: mean cosine of pairs of images.
        spectrum: `Spectrum`.
        entropies: `MixtureEntropy` for growing numbers of components.

    Example:

    >>> found = measure_outputs(np.ones((20, 4)))
    >>> found.std, found.constant, found.cosine, found.spectrum.dimensions()
    (0.0, 1.0, 1.0, 0)
    """

    finite: float
    std: float
    deviation: float
    constant: float
    cosine: float
    spectrum: Spectrum
    entropies: tuple[MixtureEntropy, ...]


def measure_outputs(
    z: ArrayLike,
    *,
    components: Sequence[int] = NUM_COMPONENTS,
    max_side: int = MAX_SIDE,
    seed: int = 0,
) -> OutputMeasures | None:
    """Measure how much outputs vary, in how many directions, and how evenly.

    Args:
        z: float (images, width), of any scale.
        components: numbers of Gaussians of the mixtures, ascending; none for no mixture.
        max_side: int > 0. Largest matrix whose eigenvalues are taken.
        seed: int >= 0.

    Returns:
        `OutputMeasures`, or None if fewer than two images have finite outputs.

    Example:

    >>> z = np.random.default_rng(0).normal(size=(400, 8))
    >>> found = measure_outputs(z, components=(1,))
    >>> round(found.std, 1), round(found.spectrum.participation_ratio), found.spectrum.dimensions()
    (1.0, 8, 8)
    """
    z = np.asarray(z)
    finite = np.isfinite(z).all(axis=1)
    share = float(finite.mean())
    z = z if finite.all() else z[finite]
    if len(z) < 2:
        return None
    deviation = np.concatenate([block.std(axis=0) for block in column_blocks(z)]).mean()
    spectrum = spectrum_of(z, max_side=max_side, seed=seed)
    entropies = entropy_curve(z, components, iterations=ITERATIONS, seed=seed) if components else []
    spread = feature_std(z), float(deviation), constant_share(z), mean_cosine(z)
    return OutputMeasures(share, *spread, spectrum, tuple(entropies))


@dataclass(frozen=True)
class ClusterUsage:
    """How images are spread over clusters.

    Attributes:
        counts: (clusters,) ints. Images of each.
        prior: (clusters,) floats. Share that each should have.
        ceiling: float. `effective` that so many images drawn from the prior would have on average.

    Example:

    >>> usage = cluster_usage([0, 0, 1, 1], 4)
    >>> usage.effective, usage.empty, usage.largest, round(usage.divergence, 3)
    (2.0, 2, 0.5, 0.693)
    """

    counts: np.ndarray
    prior: np.ndarray
    ceiling: float

    @property
    def effective(self) -> float:
        """Effective number of clusters, exp of the entropy of the shares."""
        return float(effective_number(self.counts))

    @property
    def empty(self) -> int:
        """Clusters without an image."""
        return int(np.sum(self.counts == 0))

    @property
    def largest(self) -> float:
        """Share of the images in the most frequent cluster."""
        return float(self.counts.max() / self.counts.sum())

    @property
    def divergence(self) -> float:
        """`KL(shares || prior)` in nats: 0 where both agree."""
        share = self.counts / self.counts.sum()
        used = share > 0
        return float(np.sum(share[used] * np.log(share[used] / self.prior[used])))

    @property
    def evenness(self) -> float:
        """`log effective / log ceiling`: 0 for one cluster, 1 for what the prior would give."""
        return math.log(self.effective) / math.log(self.ceiling) if self.ceiling > 1 else 1.0


def cluster_usage(
    assignments: ArrayLike, clusters: int, prior: ArrayLike | None = None
) -> ClusterUsage:
    """Count the images of each cluster, empty ones among them.

    Args:
        assignments: integers (images,) in [0, clusters).
        clusters: int > 0.
        prior: float (clusters,) > 0, up to a factor; None for equal shares.

    Example:

    >>> cluster_usage([2, 2, 2], 3).evenness
    0.0

    Reference: Sansone et al., 2025, sec. 3.1 (matched prior) and appendix K.
    """
    counts = np.bincount(np.asarray(assignments), minlength=clusters)
    prior = np.ones(clusters) if prior is None else np.asarray(prior, "float64")
    prior = prior / prior.sum()
    draws = np.random.default_rng(0).multinomial(counts.sum(), prior, _DRAWS)
    return ClusterUsage(counts, prior, float(effective_number(draws).mean()))


def within_share(z: ArrayLike, assignments: ArrayLike) -> float | None:
    """Variance within clusters of the variance of all: 0 for points, 1 for no clusters.

    `(SSW / (n - K)) / (SST / (n - 1))` with K clusters in use, whose degrees of freedom keep random
    clusters at 1 however few images they have. An intracluster collapse is a value near 0.

    Args:
        z: float (images, width), finite.
        assignments: (images,) integers.

    Returns:
        A float, or None where it cannot be told: all outputs are equal, one cluster is used, or
        fewer than 50 images are left beyond one for each cluster.

    Example:

    >>> z = np.random.default_rng(0).normal(size=(400, 3))
    >>> groups = np.arange(400) % 4
    >>> round(within_share(z, groups), 1), round(within_share(z + 20 * groups[:, None], groups), 3)
    (1.0, 0.002)

    Reference: Papyan et al., Prevalence of neural collapse, 2020 (NC1), with traces.
    """
    z = np.asarray(z)
    _, groups, counts = np.unique(assignments, return_inverse=True, return_counts=True)
    if len(z) - len(counts) < _FEW or len(counts) < 2:
        return None
    members = csr_matrix((1.0 / counts[groups], (groups, np.arange(len(z)))))
    within = total = squares = 0.0
    for block in column_blocks(z):
        squares += np.square(block).sum()
        block -= block[:1].copy()  # equal rows become exact zeros
        within += np.square(block - (members @ block)[groups]).sum()
        total += np.square(block - block.mean(axis=0)).sum()
    if total <= np.finfo("float32").eps ** 2 * squares:
        return None
    return float(within / (len(z) - len(counts)) / (total / (len(z) - 1)))


def cluster_overlap(z: ArrayLike, assignments: ArrayLike) -> float | None:
    """Squared distance to the own cluster's mean over that to the nearest other: 0 for points.

    Clusters that tile a continuum, each image about as far from its own mean as from the next, are
    near 1, however many they are; an intracluster collapse, of images that are one point for each
    cluster, is near 0. Distances to the own mean are corrected by `c / (c - 1)` for its c images.

    Args:
        z: float (images, width), finite.
        assignments: (images,) integers.

    Returns:
        A float, or None with fewer than five clusters of five images or more, the others aside.

    Example:

    >>> z, groups = np.random.default_rng(0).normal(size=(500, 9)), np.arange(500) % 5
    >>> round(cluster_overlap(z + 50 * np.eye(9)[groups], groups), 3)
    0.002
    """
    z = np.asarray(z)
    _, groups, counts = np.unique(assignments, return_inverse=True, return_counts=True)
    large = np.flatnonzero(counts >= MIN_IMAGES)
    if len(large) < _MIN_CLUSTERS:
        return None
    kept = np.isin(groups, large)
    z = z if kept.all() else z[kept]
    groups, counts = np.searchsorted(large, groups[kept]), counts[large]
    rows = np.arange(len(z))
    members = csr_matrix((1.0 / counts[groups], (groups, rows)))
    squared = np.zeros((len(z), len(counts)))
    for block in column_blocks(z):
        block -= block[:1].copy()  # equal rows become exact zeros
        means = members @ block
        squared += np.square(block).sum(axis=1)[:, None] + np.square(means).sum(axis=1)
        squared -= 2 * block @ means.T
    squared = np.maximum(squared, 0.0)
    own = squared[rows, groups] * (counts / (counts - 1.0))[groups]
    squared[rows, groups] = np.inf
    nearest = squared.min(axis=1).sum()
    return float(own.sum() / nearest) if nearest > 0 else None


def found_clusters(
    z: ArrayLike, clusters: int, *, max_rows: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of k-means, of outputs of a method that has none: (rows, assignments).

    Args:
        z: float (images, width), finite.
        clusters: int > 0. At most one for each image.
        max_rows: int > 0. Most images; drawn at random.
        seed: int >= 0.

    Returns:
        Indices of the images, ascending, and an integer for each.

    Example:

    >>> rows, groups = found_clusters(np.repeat([[0.0], [9.0]], 5, axis=0), 2)
    >>> len(rows), bool(groups[0] == groups[4] != groups[5])
    (10, True)
    """
    z = np.asarray(z)
    rows = some_rows(len(z), max_rows, seed)
    kmeans = KMeans(min(clusters, len(rows)), n_init=1, random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():  # the same bits on any number of cores
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than clusters
        return rows, kmeans.fit_predict(z[rows])
