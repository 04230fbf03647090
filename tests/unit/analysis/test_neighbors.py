"""Neighbors and typical images, of collapsed representations too."""

import numpy as np
import pytest

from keras_ssl.analysis import (
    nearest_images,
    sample_rows,
    typical_of_clusters,
    typical_of_codes,
    unit_rows,
)

FEATURES = np.random.RandomState(0).randn(30, 5).astype("float32")


def test_no_image_is_its_own_neighbor_and_similarity_falls():
    rows, cosines = nearest_images(FEATURES, np.arange(30), 29)
    assert all(row not in others for row, others in enumerate(rows))
    assert (np.diff(cosines, axis=1) <= 0).all()


def test_neighbors_are_those_of_a_loop():
    unit = FEATURES / np.linalg.norm(FEATURES, axis=1, keepdims=True)
    expected = max((j for j in range(30) if j != 3), key=lambda j: unit[3] @ unit[j])
    assert nearest_images(FEATURES, [3], 1)[0][0, 0] == expected


def test_lengths_of_features_do_not_matter():
    scaled = FEATURES * np.linspace(0.1, 9, 30)[:, None]
    np.testing.assert_array_equal(
        nearest_images(scaled, [0, 1], 5)[0], nearest_images(FEATURES, [0, 1], 5)[0]
    )


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, 1e38])
def test_collapsed_features_give_images_and_no_nan(value):
    rows, cosines = nearest_images(np.full((6, 3), value, "float32"), [0], 3)
    assert rows.tolist() == [[1, 2, 3]] and np.isfinite(cosines).all()
    assert np.isfinite(unit_rows([[value, value]])).all()


def test_fewer_images_than_neighbors_give_all_others():
    assert nearest_images(FEATURES[:3], [0], 8)[0].shape == (1, 2)


def test_one_image_of_each_class_is_asked_for():
    labels = np.array([3, 3, 1, 0, 1, 2])
    assert labels[sample_rows(labels, 6)].tolist() == [0, 1, 2, 3]
    assert len(sample_rows(np.arange(100), 100, 10)) == 10


def test_typical_images_are_of_their_cluster_and_near_its_mean():
    clusters = np.arange(30) % 3
    found = typical_of_clusters(FEATURES, clusters, 4)
    assert {c: set(clusters[rows]) for c, rows in found.items()} == {0: {0}, 1: {1}, 2: {2}}
    unit = unit_rows(FEATURES)
    mean = unit[clusters == 1].mean(axis=0)
    assert found[1][0] == max(np.flatnonzero(clusters == 1), key=lambda i: unit[i] @ mean)


def test_one_cluster_of_constant_features_gives_its_first_images():
    found = typical_of_clusters(np.ones((5, 2)), np.zeros(5, int), 3)
    assert found[0].tolist() == [0, 1, 2]


def test_typical_images_of_a_code_have_it_most():
    logits = np.random.RandomState(1).randn(40, 3 * 4)
    found = typical_of_codes(logits, (3, 4), codes=2, count=5)
    assert len(found) == 2 and len({simplex for simplex, _ in found}) == 2
    p = np.exp(logits.reshape(40, 3, 4))
    p /= p.sum(axis=2, keepdims=True)
    for (simplex, entry), rows in found.items():
        assert set(rows) == set(np.argsort(-p[:, simplex, entry])[:5])


def test_simplices_taken_a_few_at_a_time_give_the_same_codes(monkeypatch):
    logits = np.random.RandomState(0).randn(40, 12)
    whole = typical_of_codes(logits, (3, 4), count=5)
    monkeypatch.setattr("keras_ssl.analysis.neighbors._BLOCK", 200)
    parts = typical_of_codes(logits, (3, 4), count=5)
    assert list(whole) == list(parts)
    assert all(np.array_equal(whole[code], parts[code]) for code in whole)


def test_codes_of_constant_logits_are_found_without_nan():
    found = typical_of_codes(np.zeros((4, 6)), (2, 3), count=8)
    assert all(len(rows) == 4 for rows in found.values())
