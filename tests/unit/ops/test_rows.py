"""Rows of matrices and counts."""

import numpy as np
import pytest

from keras_ssl.ops.counts import effective_number, entropy_of_counts
from keras_ssl.ops.rows import blocks, some_rows, unit_rows


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-35, 1.0, 1e35])
def test_unit_rows_have_length_one_at_any_scale_and_keep_their_dtype(dtype, scale):
    rows = np.random.default_rng(0).normal(size=(6, 9)).astype(dtype)
    unit = unit_rows(rows * np.asarray(scale, dtype))
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(unit, unit_rows(rows), rtol=1e-5)
    assert unit.dtype == dtype


def test_rows_without_a_direction_are_zero():
    assert not unit_rows([[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]]).any()


def test_blocks_cover_every_row_once():
    assert np.concatenate([np.arange(7)[rows] for rows in blocks(7, 3)]).tolist() == list(range(7))


def test_some_rows_are_different_and_the_same_at_every_call():
    rows = some_rows(100, 30, seed=2)
    assert len(set(rows)) == 30 and np.array_equal(rows, some_rows(100, 30, seed=2))


def test_equal_counts_among_zeros_are_as_many_as_they_are():
    counts = np.array([[4, 4, 4, 0], [9, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(effective_number(counts), [3, 1, 1])
    assert entropy_of_counts(counts[:1], axis=None) == pytest.approx(np.log(3))
