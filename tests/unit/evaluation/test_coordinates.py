"""Coordinates: as many as rows, at the same distances, whatever the memory."""

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.cluster import KMeans

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation import rows as rows_module
from keras_ssl.evaluation.clustering import kmeans_agreement, matched
from keras_ssl.evaluation.coordinates import compact
from keras_ssl.evaluation.rows import Rows


def _wide(images=40, columns=300, dtype="float64", seed=0):
    draw = np.random.default_rng(seed)
    labels = np.arange(images) % 4
    features = 3 * draw.normal(size=(4, columns))[labels] + 2 * draw.normal(size=(images, columns))
    return (features + 5).astype(dtype), labels


def _unit(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float32", 1e-4)])
def test_distances_stay(dtype, tolerance, normalize):
    wide, _ = _wide(dtype=dtype)
    narrow = compact(wide, normalize=normalize)
    assert narrow.dtype == dtype and narrow.shape[1] <= 40
    expected = pdist(_unit(wide) if normalize else wide)
    np.testing.assert_allclose(pdist(narrow), expected, rtol=tolerance)


def test_rows_that_are_narrow_stay_as_they_are():
    wide, _ = _wide(columns=40)
    np.testing.assert_array_equal(compact(wide, normalize=False), wide)


def test_blocks_of_any_memory_give_the_same_bits(monkeypatch):
    wide, _ = _wide(dtype="float32")
    monkeypatch.setattr(rows_module, "BLOCK_VALUES", 7 * 300)
    expected = compact(wide, normalize=True)
    for memory in (16 * 40**2, 30_000, float("inf")):
        rows = Rows(wide / 2, lambda x: 2 * x, memory=memory)
        np.testing.assert_array_equal(compact(rows, normalize=True), expected)


def test_equal_rows_stay_equal_and_rounding_is_no_dimension():
    wide, _ = _wide(dtype="float32")
    twice = compact(np.concatenate([wide, wide]), normalize=True)
    np.testing.assert_allclose(twice[:40], twice[40:], atol=1e-3)
    assert twice.shape[1] < 45
    assert not compact(np.ones((3, 9)), normalize=False).any()


def test_what_does_not_fit_is_refused_with_its_size():
    rows = Rows(np.ones((100, 300), "float32"), memory=16 * 100**2 - 1)
    with pytest.raises(UserError, match="100 rows of 300 features need .*evaluation.memory"):
        compact(rows, normalize=False)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_coordinates_take_no_more_than_what_is_checked(dtype, monkeypatch):
    monkeypatch.setattr(rows_module, "BLOCK_VALUES", 10 * 500)
    rows = Rows(np.random.default_rng(0).normal(size=(400, 500)).astype(dtype), memory=16 * 400**2)
    tracemalloc.start()
    compact(rows, normalize=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * rows.memory


@pytest.mark.parametrize("memory", [float("inf"), 16 * 40**2])
def test_k_means_finds_what_it_finds_in_all_columns(memory):
    wide, labels = _wide()
    labels[::3] = 0
    found = kmeans_agreement(Rows(wide, memory=memory), labels, repeats=3)
    assigned = KMeans(4, n_init=3, random_state=0, algorithm="lloyd").fit_predict(_unit(wide))
    np.testing.assert_array_equal(found.correct[0], matched(assigned, labels))
    assert 30 < found.accuracy < 100
