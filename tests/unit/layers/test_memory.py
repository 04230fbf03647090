"""Spherical k-means."""

import numpy as np
from keras import ops

from keras_ssl.layers import memory
from keras_ssl.layers.memory import nearest, spherical_kmeans
from tests.unit.support import random_unit


def test_spherical_kmeans_is_its_loop():
    rows = random_unit(30, 4)
    for clusters, seed in ((3, 0), (7, (1, 2, 3)), (30, 4)):
        first = np.random.default_rng(seed).choice(30, clusters, replace=False)
        centroids = rows[first]
        for _ in range(5):
            labels = np.argmax(rows @ centroids.T, axis=1)
            for k in set(labels):
                total = rows[labels == k].sum(0)
                centroids[k] = total / np.linalg.norm(total)
        labels = np.argmax(rows @ centroids.T, axis=1)
        found = spherical_kmeans(ops.array(rows), clusters, num_iterations=5, seed=seed)
        np.testing.assert_allclose(found[0], centroids, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found[1], labels)


def test_a_cluster_that_lost_its_rows_keeps_its_centroid():
    rows = ops.array([[1.0, 0.0]] * 4)
    centroids, labels = spherical_kmeans(rows, 3)
    np.testing.assert_array_equal(centroids, [[1.0, 0.0]] * 3)
    np.testing.assert_array_equal(labels, [0, 0, 0, 0])


def test_clusters_do_not_depend_on_the_blocks_they_are_found_in(monkeypatch):
    rows = ops.array(random_unit(30, 4))
    whole = spherical_kmeans(rows, 5, seed=3)
    monkeypatch.setattr(memory, "BLOCK", 7)
    parts = spherical_kmeans(rows, 5, seed=3)
    np.testing.assert_allclose(whole[0], parts[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(whole[1], parts[1])
    np.testing.assert_array_equal(nearest(rows, whole[0]), whole[1])
