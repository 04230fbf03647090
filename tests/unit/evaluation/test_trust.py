"""Judges on real features: the same bits twice, chance by chance only, scikit-learn's numbers."""

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment
from scipy.special import softmax
from scipy.stats import binom
from sklearn import metrics
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.cluster import contingency_matrix
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler, normalize

from keras_ssl.evaluation.clustering import cluster_agreement, code_agreement, kmeans_agreement
from keras_ssl.evaluation.knn import knn_accuracy, knn_scores, top_accuracy
from keras_ssl.evaluation.probes import logistic
from keras_ssl.evaluation.probes.blocks import CodeBlocks, DenseBlocks
from keras_ssl.evaluation.probes.linear import linear_probe, linear_probe_few
from keras_ssl.evaluation.probes.sgd import PROBES, probe_grid
from keras_ssl.evaluation.probes.transfer import codes_probe, dense_probe
from keras_ssl.evaluation.representation import extract
from keras_ssl.evaluation.rows import Rows
from keras_ssl.evaluation.splits import few_labels
from pipelines.data.load import load

GRID = replace(PROBES["sem_sgd"], learning_rates=(0.5, 0.05), l1=(0.0,), epochs=10)
FALSE_ALARM = 1e-6  # how rarely a test of chance fails where there is nothing to find


@functools.cache
def _images():
    """(train images, labels, test images, labels) of handwritten digits, equally many of each."""
    data = load("digits")
    parts = []
    for images, labels, count in (
        (data.train_images, data.train_labels, 60),
        (data.test_images, data.test_labels, 30),
    ):
        rows = few_labels(labels, count)
        parts += [np.asarray(images[:])[rows], labels[rows]]
    return parts


def _encoder():
    """A network with random weights that stay the same."""
    layers = keras.layers
    start = keras.initializers.HeNormal
    return keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(16, 3, 2, "same", activation="relu", kernel_initializer=start(seed=1)),
            layers.Conv2D(16, 3, 2, "same", activation="relu", kernel_initializer=start(seed=2)),
            layers.Flatten(),
            layers.Dense(32, kernel_initializer=start(seed=3)),
        ]
    )


def _features(encoder):
    train, labels, test, test_labels = _images()
    parts = [extract(encoder, x, lambda x: tf.cast(x, "float32") / 255) for x in (train, test)]
    return parts[0], labels, parts[1], test_labels


@functools.cache
def _data():
    return _features(_encoder())


def _codes(features):
    """Simplices of two: the signs."""
    return (features > 0).astype("uint8")


MEASURES = {
    "knn": lambda *data: knn_accuracy(*data),
    "knn, euclidean": lambda *data: knn_accuracy(*data, metric="euclidean"),
    "linear_probe": lambda *data: linear_probe(*data),
    "linear_probe_few": lambda *data: linear_probe_few(*data, per_class=10, subsets=2),
    "probe_grid": lambda *data: probe_grid(*data, protocol=GRID)["features"],
    "dense_probe": lambda *data: dense_probe(*data, strengths=12),
    "codes_probe": lambda a, y, b, z: codes_probe(
        _codes(a), y, _codes(b), z, simplex_size=2, strengths=12
    ),
}
CLUSTERS = {
    "kmeans_agreement": lambda a, y, b, z: kmeans_agreement(b, z, repeats=3),
    "code_agreement": lambda a, y, b, z: code_agreement(_codes(b), z),
}


@functools.cache
def _found(name):
    return (MEASURES | CLUSTERS)[name](*_data())


@functools.cache
def _again():
    """The data of the same encoder, saved and opened anew."""
    with tempfile.TemporaryDirectory() as folder:
        _encoder().save(Path(folder) / "encoder.keras")
        return _features(keras.saving.load_model(Path(folder) / "encoder.keras"))


def _bits(result):
    """All that a measurement holds, as values that compare."""
    return {name: _comparable(value) for name, value in vars(result).items()}


def _comparable(value):
    if isinstance(value, tuple):
        return tuple(map(_comparable, value))
    return (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("name", MEASURES | CLUSTERS)
def test_the_same_encoder_evaluated_twice_gives_the_same_bits(name):
    assert all(a.tobytes() == b.tobytes() for a, b in zip(_data(), _again(), strict=True))
    assert _bits((MEASURES | CLUSTERS)[name](*_again())) == _bits(_found(name))


@pytest.mark.parametrize("name", MEASURES)
def test_shuffled_labels_are_at_chance_where_the_true_ones_are_not(name):
    """The labels of either part are permuted.

    The number of correct ones then has the mean of Binomial(test images, 1 / 10), as there
    are equally many images of each digit, and at most n / (n - 1) times its variance; a mean over
    subsets varies less.
    """
    train, labels, test, test_labels = _data()
    draw = np.random.RandomState(0)
    result = MEASURES[name](train, draw.permutation(labels), test, draw.permutation(test_labels))
    low, high = binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], len(test), 0.1)
    assert low <= result.accuracy / 100 * len(test) <= high
    assert _found(name).accuracy / 100 * len(test) > 2 * high


@pytest.mark.parametrize("name", CLUSTERS)
def test_clusters_agree_with_shuffled_labels_by_chance_only(name):
    train, labels, test, test_labels = _data()
    shuffled = np.random.RandomState(0).permutation(test_labels)
    chance, found = CLUSTERS[name](train, labels, test, shuffled), _found(name)
    for score in ("ami", "ari"):
        assert abs(chance.metrics[score]) < 1 < found.metrics[score]


# scikit-learn and SciPy


def _doubles():
    train, labels, test, test_labels = _data()
    return train.astype("float64"), labels, test.astype("float64"), test_labels


@pytest.mark.parametrize("k", [1, 20, 600])
@pytest.mark.parametrize(
    "metric, weights",
    [
        ("cosine", lambda distance: np.exp((1 - distance) / 0.07)),
        ("euclidean", lambda distance: 1 / (distance + 1e-5)),
    ],
)
def test_neighbours_answer_as_those_of_scikit_learn(metric, weights, k):
    train, labels, test, test_labels = _doubles()
    theirs = KNeighborsClassifier(k, weights=weights, metric=metric, algorithm="brute")
    shares = theirs.fit(train, labels).predict_proba(test)
    result = knn_accuracy(train, labels, test, test_labels, k=k, metric=metric)
    assert np.array_equal(result.correct[0], shares.argmax(axis=1) == test_labels)
    assert result.accuracy == pytest.approx(100 * theirs.score(test, test_labels))
    if k == len(train):  # with fewer, classes without a vote are equal and order decides
        top5 = metrics.top_k_accuracy_score(test_labels, shares, k=5)
        assert result.accuracy < result.metrics["top5"] == pytest.approx(100 * top5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_of_neighbours_are_scikit_learns(dtype):
    train, labels, test, _ = (x.astype(dtype) if x.dtype.kind == "f" else x for x in _data())
    weights = lambda distance: np.exp((1 - distance) / 0.07)  # noqa: E731
    theirs = KNeighborsClassifier(20, weights=weights, metric="cosine", algorithm="brute")
    expected = theirs.fit(train, labels).predict_proba(test)
    scores = knn_scores(train, labels, test, num_classes=10)
    shares = scores / scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, expected, atol=1e-12 if dtype == "float64" else 1e-4)


def _logistic(train, labels, test, c):
    return LogisticRegression(C=c, tol=1e-6, max_iter=5000).fit(train, labels).predict_proba(test)


def _scaled(train, test):
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test)


def test_the_linear_probe_answers_as_logistic_regression_of_scikit_learn():
    train, labels, test, test_labels = _doubles()
    result = linear_probe(train, labels, test, test_labels)
    train, test = _scaled(train, test)
    theirs = _logistic(train, labels, test, result.details["c"][0]).argmax(axis=1) == test_labels
    assert np.mean(result.correct[0] != theirs) <= 1 / len(test)


def test_probes_of_few_labels_answer_as_logistic_regression_of_scikit_learn():
    train, labels, test, test_labels = _doubles()
    result = _found("linear_probe_few")
    train, test = _scaled(train, test)
    for i, c in enumerate(result.details["c"]):
        rows = few_labels(labels, 10, seed=i)
        theirs = _logistic(train[rows], labels[rows], test, c).argmax(axis=1) == test_labels
        assert np.mean(result.correct[i] != theirs) <= 0.02  # it stops at a tolerance of 1e-4


@pytest.mark.parametrize("kind", ["dense", "codes"])
def test_the_transfer_probe_fits_what_logistic_regression_of_scikit_learn_fits(kind, monkeypatch):
    monkeypatch.setattr(logistic, "TOLERANCE", 1e-7)
    train, labels, test, _ = _doubles()
    parts = [DenseBlocks(Rows(x)) for x in (train, test)]
    if kind == "codes":
        parts = [CodeBlocks(_codes(x), 2) for x in (train, test)]
        train, test = (np.eye(2)[_codes(x)].reshape(len(x), -1) for x in (train, test))
    weights = logistic.fit(parts[0], labels, 0.01, logistic.zeros(parts[0], 10))
    found = softmax(np.concatenate([x for _, x in parts[1].logits(weights)]), axis=1)
    np.testing.assert_allclose(found, _logistic(train, labels, test, 0.01), atol=1e-3)


def test_top5_of_logits_is_that_of_scikit_learn():
    train, labels, test, test_labels = _doubles()
    train, test = _scaled(train, test)
    scores = _logistic(train, labels, test, 1e-3)
    expected = metrics.top_k_accuracy_score(test_labels, scores, k=5)
    assert top_accuracy(scores, test_labels, 5) == pytest.approx(100 * expected)


def _hungarian(clusters, labels):
    counts = contingency_matrix(labels, clusters)
    return 100 * counts[linear_sum_assignment(-counts)].sum() / len(labels)


@pytest.mark.parametrize("clusters", [4, 10, 25])
def test_agreement_of_clusters_is_that_of_scikit_learn_and_scipy(clusters):
    _, _, test, labels = _doubles()
    assigned = KMeans(clusters, n_init=1, random_state=0).fit_predict(test)
    result = cluster_agreement(assigned, labels)
    assert result.metrics["nmi"] == pytest.approx(
        100 * metrics.normalized_mutual_info_score(labels, assigned)
    )
    assert result.metrics["ami"] == pytest.approx(
        100 * metrics.adjusted_mutual_info_score(labels, assigned)
    )
    assert result.metrics["ari"] == pytest.approx(
        100 * metrics.adjusted_rand_score(labels, assigned)
    )
    assert result.accuracy == pytest.approx(_hungarian(assigned, labels))


def test_k_means_is_that_of_scikit_learn_on_directions():
    _, _, test, labels = _doubles()
    assigned = KMeans(10, n_init=3, random_state=0).fit_predict(normalize(test))
    result = kmeans_agreement(test, labels, repeats=3)
    assert result.metrics["ari"] == pytest.approx(
        100 * metrics.adjusted_rand_score(labels, assigned)
    )
    assert result.accuracy == pytest.approx(_hungarian(assigned, labels))


def test_agreement_of_codes_is_the_mean_of_scikit_learns_over_the_columns():
    _, _, test, labels = _data()
    nmi = [metrics.normalized_mutual_info_score(labels, column) for column in _codes(test).T]
    accuracy = [_hungarian(column, labels) for column in _codes(test).T]
    found = _found("code_agreement")
    assert found.metrics["nmi"] == pytest.approx(100 * np.mean(nmi))
    assert found.accuracy == pytest.approx(np.mean(accuracy))
