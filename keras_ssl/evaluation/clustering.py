"""How well clusters agree with classes: NMI, AMI, ARI and accuracy under the best matching."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    normalized_mutual_info_score,
)
from threadpoolctl import threadpool_limits

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.validation import checked_features, checked_labels, unit_rows
from keras_ssl.layers.codes import checked_matrix


@dataclass(frozen=True)
class ClusteringResult:
    """Agreement of clusters and classes, in percent.

    Attributes:
        nmi: normalised mutual information, by the arithmetic mean of the two entropies.
        ami: mutual information adjusted for chance; 0 at chance, also below.
        ari: Rand index adjusted for chance; 0 at chance, also below.
        accuracy: images whose cluster is matched to their class, by the one-to-one matching (of
            as many as there are) that makes this the most: the Hungarian algorithm.
        clusters: int. Clusters with an image; of codes the mean over their columns.
        hits: bool (images,), those that `accuracy` counts; None for codes.
        protocol: every setting that the numbers depend on.
    """

    nmi: float
    ami: float
    ari: float
    accuracy: float
    clusters: float
    hits: np.ndarray | None
    protocol: dict


def cluster_agreement(assignments, labels):
    """Compare the clusters of images with their classes.

    Args:
        assignments: integers (images,) >= 0, the cluster of each image, whatever its number; such
            as the argmax over the prototypes, codes or classes of a clustering method.
        labels: integers (images,) >= 0.

    Returns:
        `ClusteringResult`.

    Raises:
        UserError: for assignments or labels that are no integers >= 0, or not one per image.

    Example:

    >>> result = cluster_agreement([5, 5, 2, 2], [0, 0, 1, 1])
    >>> result.nmi, result.ari, result.accuracy
    (100.0, 100.0, 100.0)

    Reference: Sansone et al. 2025, CPLearn, tables 1 and 2 (NMI of the argmax); Xie et al. 2016,
    arXiv:1511.06335, eq. 10 (accuracy).
    """
    labels = checked_labels(labels, labels, "class")
    assignments = checked_labels(assignments, labels, "cluster")
    hits = matched(assignments, labels)
    scores = (
        normalized_mutual_info_score(labels, assignments),
        adjusted_mutual_info_score(labels, assignments),
        adjusted_rand_score(labels, assignments),
        hits.mean(),
    )
    protocol = {"clusters": "given", "nmi_average": "arithmetic", "images": len(labels)}
    found = len(np.unique(assignments))
    return ClusteringResult(*(100.0 * float(x) for x in scores), found, hits, protocol)


def matched(assignments, labels):
    """Which images lie in the cluster that the best one-to-one matching gives to their class.

    Args:
        assignments, labels: integers (images,) >= 0.

    Returns:
        bool (images,).

    Example:

    >>> matched(np.array([1, 1, 1, 0]), np.array([0, 0, 1, 1])).tolist()
    [True, True, False, True]
    """
    clusters, cluster = np.unique(assignments, return_inverse=True)
    classes, label = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(clusters), len(classes)), "int64")
    np.add.at(counts, (cluster, label), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    partner = np.full(len(clusters), -1)
    partner[rows] = columns
    return partner[cluster] == label


def code_agreement(codes, labels):
    """`cluster_agreement` of every column of discrete codes with the classes, as a mean over them.

    For Simplicial Embeddings: each simplex is a clustering of the images into V, and the mean says
    what a single one knows of the classes. An image's whole code is hardly ever shared.

    Args:
        codes: integers (images, L) >= 0.
        labels: integers (images,) >= 0.

    Returns:
        `ClusteringResult` of means over the columns.

    Raises:
        UserError: if `codes` is no matrix of integers with a row per image.

    Example:

    >>> code_agreement(np.array([[0, 0], [1, 0]]), [3, 4]).accuracy
    75.0
    """
    codes = checked_matrix(codes, "given")
    labels = checked_labels(labels, codes, "class")
    results = [cluster_agreement(column, labels) for column in codes.T]
    names = ("nmi", "ami", "ari", "accuracy", "clusters")
    means = {name: float(np.mean([getattr(r, name) for r in results])) for name in names}
    protocol = {**results[0].protocol, "clusters": "given, mean over columns"}
    return ClusteringResult(**means, hits=None, protocol={**protocol, "columns": codes.shape[1]})


def kmeans_agreement(features, labels, *, clusters=None, repeats=10, normalize=True, seed=0):
    """`cluster_agreement` of k-means on features with the classes.

    Args:
        features: float (images, F).
        labels: integers (images,) >= 0.
        clusters: int >= 2 or None. None for as many as there are classes.
        repeats: int >= 1. Starts (k-means++), the best of which by its inertia counts.
        normalize: bool. Divide every feature by its length, so that directions are compared.
        seed: int. Draws the starts.

    Returns:
        `ClusteringResult`.

    Raises:
        UserError: for features or labels that do not fit, fewer images than clusters, features
            without a direction where one is needed, or fewer distinct features than clusters.

    Example:

    >>> kmeans_agreement(np.repeat(np.eye(3), 4, axis=0), np.repeat([0, 1, 2], 4)).nmi
    100.0
    """
    features = checked_features(features, "k-means")
    labels = checked_labels(labels, features, "class")
    classes = len(np.unique(labels))
    clusters = classes if clusters is None else clusters
    if not 2 <= clusters <= len(features):
        raise UserError(
            f"clusters={clusters} does not fit {len(features)} images of {classes} classes: use 2 "
            "to as many as there are images."
        )
    if normalize:
        features = unit_rows(features, "features", "normalize=False")
    model = KMeans(clusters, n_init=repeats, random_state=seed, algorithm="lloyd")
    result = cluster_agreement(_fitted(model, features), labels)
    settings = {"clusters": "k-means (scikit-learn, Lloyd, k-means++)", "k": clusters}
    settings |= {"repeats": repeats, "normalize": normalize, "seed": seed}
    return replace(result, protocol={**result.protocol, **settings})


def _fitted(model, features):
    # One thread, and so the same sums whatever the number of cores.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return model.fit_predict(features)
        except ConvergenceWarning:
            raise UserError(
                f"k-means needs {model.n_clusters} different features or more: the encoder "
                "collapsed."
            ) from None
