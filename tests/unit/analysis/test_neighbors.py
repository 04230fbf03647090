"""Neighbors and typical images, of collapsed representations too."""

import numpy as np
import pytest

from keras_ssl.analysis.neighbors import (
    nearest_images,
    sample_rows,
    typical_of_clusters,
)
from keras_ssl.ops.rows import unit_rows

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
