import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics

import keras_ssl
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation import clustering
from keras_ssl.evaluation.clustering import (
    cluster_agreement,
    code_agreement,
    code_clusters,
    kmeans_agreement,
    matched,
)
from keras_ssl.layers.necks import codes_of


def _noisy(images=200, classes=4, clusters=4, seed=0):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, images)
    assignments = np.where(draw.random(images) < 0.4, draw.integers(0, clusters, images), labels)
    return (assignments + 1) % clusters, labels


def _blobs(images=60, classes=3, width=5, seed=0):
    draw = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    return 5 * np.eye(classes, width)[labels] + draw.normal(size=(images, width)), labels


@pytest.mark.parametrize("clusters", [4, 7])
def test_scores_are_those_of_scikit_learn(clusters):
    assignments, labels = _noisy(clusters=clusters)
    result = cluster_agreement(assignments, labels)
    for name, score in (
        ("nmi", metrics.normalized_mutual_info_score),
        ("ami", metrics.adjusted_mutual_info_score),
        ("ari", metrics.adjusted_rand_score),
    ):
        assert result.metrics[name] == pytest.approx(100 * score(labels, assignments))


@pytest.mark.parametrize("clusters", [3, 4, 5])
def test_accuracy_is_the_best_over_all_one_to_one_matchings(clusters):
    assignments, labels = _noisy(images=40, clusters=clusters)
    larger = max(clusters, 4)
    best = max(
        np.mean(np.array(order)[assignments] == labels)
        for order in itertools.permutations(range(larger))
    )
    assert cluster_agreement(assignments, labels).accuracy == pytest.approx(100 * best)


def test_numbers_of_clusters_do_not_matter():
    assignments, labels = _noisy()
    renamed = np.array([40, 7, 0, 12])[assignments]
    first, second = (cluster_agreement(x, labels) for x in (assignments, renamed))
    assert first.accuracy == second.accuracy
    assert (first.metrics["nmi"], first.metrics["ami"], first.metrics["ari"]) == pytest.approx(
        (second.metrics["nmi"], second.metrics["ami"], second.metrics["ari"])
    )


def test_clusters_without_a_partner_have_no_hits():
    assert matched(np.array([0, 1, 2]), np.array([0, 0, 0])).sum() == 1


def test_one_cluster_for_all_images_knows_nothing():
    result = cluster_agreement(np.zeros(30, int), np.arange(30) % 3)
    assert (result.metrics["nmi"], result.metrics["ari"], result.details["clusters"]) == (0, 0, 1)
    assert result.accuracy == pytest.approx(100 / 3)


def test_random_clusters_are_at_chance():
    draw = np.random.default_rng(0)
    result = cluster_agreement(draw.integers(0, 5, 2000), draw.integers(0, 5, 2000))
    assert (
        abs(result.metrics["ami"]) < 1 and abs(result.metrics["ari"]) < 1 and result.accuracy < 25
    )


def test_hits_are_the_images_that_accuracy_counts():
    result = cluster_agreement(*_noisy())
    assert result.correct.dtype == bool
    assert 100 * result.correct.mean() == pytest.approx(result.accuracy)


def test_codes_are_compared_column_by_column():
    assignments, labels = _noisy()
    codes = np.stack([assignments, labels], axis=1)
    mean = code_agreement(codes, labels)
    alone = cluster_agreement(assignments, labels)
    for name in ("nmi", "ami", "ari", "accuracy"):
        assert mean.metrics[name] == pytest.approx((alone.metrics[name] + 100) / 2)
    assert mean.protocol["columns"] == 2


def test_codes_use_as_many_entries_as_a_column_does_on_the_mean():
    codes = np.array([[0, 0], [0, 1], [0, 2], [0, 2]])
    assert code_agreement(codes, [0, 0, 1, 1]).details["clusters"] == 2


def test_k_means_finds_separate_classes():
    assert kmeans_agreement(*_blobs()).accuracy == 100


def test_k_means_twice_agrees_in_every_bit():
    draw = np.random.default_rng(0)
    features, labels = draw.normal(size=(100, 4)), draw.integers(0, 3, 100)
    first, second = (kmeans_agreement(features, labels, repeats=2) for _ in range(2))
    assert (
        np.array_equal(first.correct, second.correct)
        and first.metrics["nmi"] == second.metrics["nmi"]
    )


def test_lengths_of_features_matter_only_if_they_are_not_normalized():
    features, labels = _blobs()
    lengths = np.geomspace(1e-3, 1e3, len(features))[:, None]
    assert kmeans_agreement(features * lengths, labels).accuracy == 100
    assert kmeans_agreement(features * lengths, labels, normalize=False).accuracy < 100


def test_a_protocol_holds_settings_and_no_outcome():
    features, labels = _blobs()
    protocol = kmeans_agreement(features, labels).protocol
    assert protocol == kmeans_agreement(features + 1, labels).protocol
    assert json.loads(json.dumps(protocol)) == protocol
    assert protocol != kmeans_agreement(features, labels, seed=1).protocol


@pytest.mark.parametrize(
    "assignments, labels, message",
    [
        ([0.0, 1.0], [0, 1], "cluster labels must be integers"),
        ([0, 1], [0.5, 1.0], "class labels must be integers"),
        ([0, 1, 1], [0, 1], "one cluster label per image"),
        ([0, -1], [0, 1], "must be 0 or more"),
        ([], [], "no class labels"),
    ],
)
def test_wrong_clusters_and_labels_are_answered_by_what_came(assignments, labels, message):
    with pytest.raises(UserError, match=message):
        cluster_agreement(assignments, labels)


@pytest.mark.parametrize(
    "change, options, message",
    [
        (lambda x: x, {"clusters": 61}, "clusters=61 does not fit 60 images"),
        (lambda x: x, {"clusters": 1}, "clusters=1 does not fit"),
        (lambda x: x * np.nan, {}, "NaN or infinite values in 60 of 60"),
        (lambda x: 0 * x, {}, "60 of 60 features are all zero"),
        (lambda x: 0 * x + 1, {}, "3 different features"),
    ],
)
def test_features_that_k_means_cannot_take_are_refused(change, options, message):
    features, labels = _blobs()
    with pytest.raises(UserError, match=message):
        kmeans_agreement(change(features), labels, **options)


def test_codes_must_be_a_matrix():
    with pytest.raises(UserError, match="matrix"):
        code_agreement(np.zeros(4, int), np.zeros(4, int))


@pytest.mark.parametrize("memory", [float("inf"), 1])
def test_codes_of_images_are_read_in_blocks_and_kept_on_disk(memory, monkeypatch):
    draw = np.random.default_rng(0)
    data = SimpleNamespace(
        name="noise",
        test_images=draw.integers(0, 255, (40, 8, 8, 1)).astype("uint8"),
        test_labels=np.arange(40) % 3,
    )
    encoder = keras_ssl.sem_neck(
        keras_ssl.create_backbone("tiny", (8, 8, 1), width=4), num_simplices=6, simplex_size=3
    )
    preprocess = lambda images: images / 255 - 0.5  # noqa: E731
    codes = codes_of(encoder)(preprocess(data.test_images.astype("float32")))
    expected = code_agreement(np.asarray(codes), data.test_labels)
    monkeypatch.setattr(clustering, "_CODED", 7)
    found = code_clusters(encoder, data, lambda x: preprocess(tf.cast(x, "float32")), memory)
    metrics = {one.metric: one.value for one in found}
    assert metrics.pop("used") == pytest.approx(100 * expected.details["clusters"] / 3)
    assert metrics == pytest.approx(expected.metrics)
