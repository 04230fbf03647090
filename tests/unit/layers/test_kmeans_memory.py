"""Plain k-means, and the features that it is given."""

import numpy as np
import pytest
from keras import ops
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from keras_ssl.layers import memory
from keras_ssl.layers.kmeans_memory import kmeans, whitened
from tests.unit.support import normal, unit


def blobs(seed=0):
    """60 points around 3 centers far apart, and which of them each is of."""
    draw = np.random.default_rng(seed)
    labels = np.arange(60) % 3
    centers = 20.0 * np.eye(3, 4)
    return (centers[labels] + draw.normal(size=(60, 4))).astype("float32"), labels


def same_partition(one, other):
    pairs = set(zip(np.asarray(one).tolist(), np.asarray(other).tolist(), strict=True))
    return len(pairs) == len(set(np.asarray(one).tolist())) == len(set(np.asarray(other).tolist()))


@pytest.mark.parametrize("seed", range(5))
def test_well_separated_data_get_the_labels_of_scikit_learn(seed):
    rows, truth = blobs(seed)
    wanted = KMeans(3, n_init=10, random_state=0).fit(rows)
    # A start with two rows of one blob may stay there: the better of several starts is taken.
    runs = [kmeans(ops.array(rows), 3, num_iterations=20, seed=start) for start in range(8)]
    inertia = [np.sum((rows - np.asarray(c)[np.asarray(y)]) ** 2) for c, y in runs]
    assert min(inertia) == pytest.approx(wanted.inertia_, rel=1e-4)
    labels = runs[int(np.argmin(inertia))][1]
    assert same_partition(labels, wanted.labels_) and same_partition(labels, truth)


def test_from_the_same_start_k_means_is_that_of_scikit_learn():
    rows = np.asarray(normal(80, 3))
    first = np.random.default_rng(4).choice(80, 5, replace=False)
    wanted = KMeans(5, init=rows[first], n_init=1, max_iter=100, tol=0).fit(rows)
    centroids, labels = kmeans(ops.array(rows), 5, num_iterations=100, seed=4)
    np.testing.assert_array_equal(labels, wanted.labels_)
    np.testing.assert_allclose(centroids, wanted.cluster_centers_, rtol=1e-4, atol=1e-5)


def test_a_cluster_that_lost_its_rows_takes_half_of_another():
    rows = np.repeat(np.array([[0.0, 0.0], [9.0, 9.0]], "float32"), 10, axis=0)
    rows = rows + 0.1 * np.asarray(normal(20, 2))
    rows = np.concatenate([rows, np.repeat(rows[:1], 20, axis=0)])  # many equal rows
    _, labels = kmeans(ops.array(rows), 6, num_iterations=30, seed=1)
    assert len(set(np.asarray(labels).tolist())) >= 5


def test_clusters_do_not_depend_on_the_blocks_they_are_found_in(monkeypatch):
    rows = normal(30, 4)
    whole = kmeans(rows, 5, seed=3), whitened(rows)
    monkeypatch.setattr(memory, "BLOCK", 7)
    parts = kmeans(rows, 5, seed=3), whitened(rows)
    np.testing.assert_allclose(whole[0][0], parts[0][0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(whole[0][1], parts[0][1])
    np.testing.assert_allclose(whole[1], parts[1], rtol=1e-4, atol=1e-5)


def test_features_are_whitened_by_their_principal_components_and_normalized():
    rows = np.asarray(normal(50, 6)) * np.arange(1, 7, dtype="float32") + 3.0
    wanted = unit(PCA(4, whiten=True).fit_transform(rows))
    found = np.asarray(whitened(ops.array(rows), 4))
    np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, rtol=1e-3, atol=1e-4)


def test_directions_without_variance_are_left_out():
    rows = np.asarray(normal(20, 3)) @ np.asarray(normal(3, 8, seed=2))
    assert whitened(ops.array(rows)).shape == (20, 3)
    constant = whitened(ops.ones((5, 4)))
    assert np.all(np.isfinite(constant)) and constant.shape[0] == 5
