"""How well clusters agree with classes: NMI, AMI, ARI and accuracy under the best matching."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike
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
from keras_ssl.evaluation.coordinates import compact
from keras_ssl.evaluation.feature_cache import scratch_array
from keras_ssl.evaluation.representation import FeatureExtractor
from keras_ssl.evaluation.results import Measurement, Result
from keras_ssl.evaluation.rows import Rows
from keras_ssl.evaluation.validation import checked_labels, checked_rows
from keras_ssl.layers.codes import checked_matrix, code_dtype
from keras_ssl.layers.necks import bottleneck_of, code_sizes, codes_of

_CODED = 1024  # images of which codes are held as an encoder gives them


def cluster_agreement(assignments: ArrayLike, labels: ArrayLike) -> Measurement:
    """Compare the clusters of images with their classes.

    - `accuracy`: images whose cluster is matched to their class, by the one-to-one matching (of as
      many as there are) that maximizes it: the Hungarian algorithm.
    - `nmi`: normalized mutual information, by the arithmetic mean of the two entropies.
    - `ami`, `ari`: mutual information and Rand index adjusted for chance; 0 at chance, also below.

    Args:
        assignments: integers (images,) >= 0, the cluster of each image under any numbering; such
            as the argmax over the prototypes, codes or classes of a clustering method.
        labels: integers (images,) >= 0.

    Returns:
        `Measurement` in percent, with the number of `clusters` that have an image in its details.

    Raises:
        UserError: for assignments or labels that are not integers >= 0, or not one per image.

    Example:

    >>> cluster_agreement([5, 5, 2, 2], [0, 0, 1, 1]).metrics
    {'accuracy': 100.0, 'nmi': 100.0, 'ami': 100.0, 'ari': 100.0}

    Reference: Sansone et al. 2025, CPLearn, tables 1 and 2 (NMI of the argmax); Xie et al. 2016,
    arXiv:1511.06335, eq. 10 (accuracy).
    """
    labels = checked_labels(labels, labels, "class")
    assignments = checked_labels(assignments, labels, "cluster")
    correct = matched(assignments, labels)
    scores = {
        "accuracy": correct.mean(),
        "nmi": normalized_mutual_info_score(labels, assignments),
        "ami": adjusted_mutual_info_score(labels, assignments),
        "ari": adjusted_rand_score(labels, assignments),
    }
    metrics = {name: 100.0 * float(score) for name, score in scores.items()}
    protocol = {"clusters": "given", "nmi_average": "arithmetic", "images": len(labels)}
    details = {"clusters": len(np.unique(assignments))}
    return Measurement(metrics, protocol, correct=correct[None], details=details)


def matched(assignments: np.ndarray, labels: np.ndarray) -> np.ndarray:
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


def code_agreement(codes: ArrayLike, labels: ArrayLike) -> Measurement:
    """`cluster_agreement` of discrete codes with the classes, as a mean over their columns.

    For Simplicial Embeddings: each simplex clusters the images into V, and the mean says what a
    single simplex knows of the classes. Hardly any two images share a whole code.

    Args:
        codes: integers (images, L) >= 0.
        labels: integers (images,) >= 0.

    Returns:
        `Measurement` of means over the columns, also of the number of `clusters`; without
        predictions.

    Raises:
        UserError: if `codes` is not a matrix of integers with a row per image.

    Example:

    >>> code_agreement(np.array([[0, 0], [1, 0]]), [3, 4]).accuracy
    75.0
    """
    codes = checked_matrix(codes, "given")
    labels = checked_labels(labels, codes, "class")
    found = [cluster_agreement(column, labels) for column in codes.T]
    metrics = {name: _mean(one.metrics[name] for one in found) for name in found[0].metrics}
    protocol = {**found[0].protocol, "clusters": "given, mean over columns"}
    protocol["columns"] = codes.shape[1]
    details = {"clusters": _mean(one.details["clusters"] for one in found)}
    return Measurement(metrics, protocol, details=details)


def _mean(values):
    return float(np.mean(list(values)))


def kmeans_agreement(
    features: ArrayLike | Rows,
    labels: ArrayLike,
    *,
    clusters: int | None = None,
    repeats: int = 10,
    normalize: bool = True,
    seed: int = 0,
) -> Measurement:
    """`cluster_agreement` of k-means on features with the classes.

    Where there are more columns than images, k-means runs on coordinates in the space that the
    images span, at the same distances (`compact`).

    Args:
        features: float (images, F), an array or `Rows`.
        labels: integers (images,) >= 0.
        clusters: int >= 2 or None. None for as many as there are classes.
        repeats: int >= 1. Restarts (k-means++), of which the one of least inertia counts.
        normalize: bool. Divide every feature by its norm, so that directions are compared.
        seed: int. Of the restarts.

    Returns:
        `Measurement`, as of `cluster_agreement`.

    Raises:
        UserError: for invalid features or labels, fewer images than clusters, features of zeros
            that are to be normalized, fewer distinct features than clusters, or more images than
            the memory of `Rows` allows.

    Example:

    >>> kmeans_agreement(np.repeat(np.eye(3), 4, axis=0), np.repeat([0, 1, 2], 4)).accuracy
    100.0
    """
    features = checked_rows(features, "k-means")
    labels = checked_labels(labels, features, "class")
    classes = len(np.unique(labels))
    clusters = classes if clusters is None else clusters
    if not 2 <= clusters <= len(features):
        raise UserError(
            f"clusters={clusters} does not fit {len(features)} images of {classes} classes: use 2 "
            "to as many as there are images."
        )
    options = {"n_init": repeats, "random_state": seed, "algorithm": "lloyd", "copy_x": False}
    model = KMeans(clusters, **options)
    found = cluster_agreement(_fitted(model, compact(features, normalize=normalize)), labels)
    settings = {"clusters": "k-means (scikit-learn, Lloyd, k-means++)", "k": clusters}
    settings |= {"repeats": repeats, "normalize": normalize, "seed": seed}
    return replace(found, protocol={**found.protocol, **settings})


def _fitted(model, features):
    # One thread: sums are then in the same order, and the bits the same, on any number of cores.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return model.fit_predict(features)
        except ConvergenceWarning:
            raise UserError(
                f"k-means needs {model.n_clusters} different features or more: the encoder "
                "collapsed."
            ) from None


def head_clusters(method: object, data: object, preprocess: Callable) -> list[Result]:
    """Results of the argmax of `cluster_scores` on the test images; none without clusters.

    The readout is the head. The number of clusters is part of the protocol, as chance gives more
    NMI to more clusters.

    Args:
        method: `Method` in float32.
        data: `ImageData` whose test images have labels.
        preprocess: callable `uint8 batch -> float batch`.

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, 2025,
    tables 1 to 3, and 8: of Barlow Twins too, which learns no clusters, by the argmax of its
    projection.
    """
    if method.cluster_head is None:
        return []

    def assign(images, training):
        # As floats, like all features: exact up to 2^24 clusters.
        return ops.argmax(method.cluster_scores(images), axis=-1)

    assignments = FeatureExtractor(assign, preprocess)(data.test_images).astype("int64")
    clusters = method.cluster_scores(preprocess(data.test_images[:1])).shape[-1]
    found = cluster_agreement(assignments, data.test_labels)
    found = _among(found, int(clusters), clusters="argmax")
    return found.results("argmax", data.name, source="pretrained", readout=method.cluster_head)


def code_clusters(
    encoder: keras.Model, data: object, preprocess: Callable, memory: float = float("inf")
) -> list[Result]:
    """Results of the codes of the test images, means over simplices or codebooks; or none.

    Args:
        encoder: keras.Model.
        data, preprocess: as for `head_clusters`.
        memory: float. Bytes that the codes may take; others go to a file that is removed.
    """
    if bottleneck_of(encoder) is None:
        return []
    extract, size = FeatureExtractor(codes_of(encoder), preprocess), code_sizes(encoder)[1]
    images, codes = data.test_images, None
    for start in range(0, len(images), _CODED):
        part = extract(images[start : start + _CODED])
        if codes is None:
            codes = scratch_array((len(images), part.shape[1]), code_dtype(size), memory)
        codes[start : start + len(part)] = part
    found = _among(code_agreement(codes, data.test_labels), size)
    return found.results("codes", data.name, source="pretrained", readout="codes")


def _among(found, k, **protocol):
    """With the number of clusters to choose from, and the percentage that have an image."""
    used = {"used": 100 * found.details["clusters"] / k}
    protocol = {**found.protocol, **protocol, "k": k}
    return replace(found, metrics={**found.metrics, **used}, protocol=protocol)
