"""Rows: a matrix read in blocks is the matrix."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation import validation
from keras_ssl.evaluation.rows import Rows, as_rows, in_memory
from keras_ssl.evaluation.validation import checked_row_pair


def _source(count=7):
    return np.random.default_rng(0).normal(size=(count, 3)).astype("float32")


def _doubled(features):
    return tf.concat([features, 2 * features], axis=1)


@pytest.mark.parametrize("on_disk", [False, True])
def test_blocks_are_the_matrix_wherever_its_source_lies(on_disk, tmp_path):
    source = _source()
    np.save(tmp_path / "source.npy", source)
    stored = np.load(tmp_path / "source.npy", mmap_mode="r") if on_disk else source
    rows, whole = Rows(stored, _doubled), np.hstack([source, 2 * source])
    assert rows.shape == whole.shape and rows.dtype == np.float32 and rows.nbytes == whole.nbytes
    np.testing.assert_array_equal(rows, whole)
    np.testing.assert_array_equal(np.concatenate([b for _, b in rows.blocks(count=2)]), whole)
    np.testing.assert_array_equal(rows[2:4], whole[2:4])
    some = rows.take(np.array([5, 1]))
    np.testing.assert_array_equal(some, whole[[5, 1]])
    np.testing.assert_array_equal(some.take(np.array([1])).held(), whole[[1]])
    np.testing.assert_array_equal(Rows(stored).take(np.array([5, 1])), source[[5, 1]])
    np.testing.assert_array_equal(rows.held(), whole)


def test_one_trace_serves_blocks_of_any_size():
    traces = []

    def read(features):
        traces.append(1)
        return features

    rows = Rows(_source(), read)
    for count in (1, 3, 7):
        list(rows.blocks(count))
    assert len(traces) == 1
    compiled = tf.function(rows.read)
    for one in (Rows(_source(), compiled), Rows(_source(5), compiled).take(np.array([1, 2]))):
        np.testing.assert_array_equal(one[:2], one.source[:2])
    assert len(traces) == 2


def test_rows_are_taken_by_copy_only_where_the_memory_has_room():
    taken = [Rows(_source(), memory=memory).take(np.array([5, 1])) for memory in (192, 191)]
    assert in_memory(taken[0].source) and not in_memory(taken[1].source)
    for one in taken:
        np.testing.assert_array_equal(one, _source()[[5, 1]])
        np.testing.assert_array_equal(one.take(np.array([1]))[:], _source()[[1]])


def test_a_matrix_beyond_the_memory_is_refused_whole_and_given_in_blocks():
    rows = Rows(_source(), _doubled, memory=7 * 6 * 4 - 1)
    assert rows.held() is rows
    assert sum(len(block) for _, block in rows.blocks(count=2)) == 7
    with pytest.raises(UserError, match="evaluation.memory"):
        np.asarray(rows)


def test_arrays_are_rows_and_rows_stay_what_they_are():
    rows = as_rows(_source())
    assert as_rows(rows) is rows and rows.held() is rows
    np.testing.assert_array_equal(rows, _source())


def _pair(bad=None, **options):
    source = _source()
    if bad is not None:
        source[bad] = np.nan
    return Rows(source, _doubled, **options), Rows(_source(), _doubled)


def test_features_beyond_the_memory_are_checked_and_stay_as_they_are():
    train, test = _pair(memory=1)
    assert checked_row_pair(train, test) == (train, test)
    arrays = checked_row_pair(_source(), _source().tolist())
    assert [one.dtype for one in arrays] == ["float64", "float64"]
    np.testing.assert_array_equal(arrays[0], _source())


@pytest.mark.parametrize("count", [1, 2, 100])
def test_features_that_are_not_finite_are_counted_over_all_blocks(count, monkeypatch):
    monkeypatch.setattr(validation, "BLOCK_VALUES", 3 * count)
    train, test = _pair(bad=[1, 4, 6])
    with pytest.raises(UserError, match="NaN or infinite values in 3 of 7 rows"):
        checked_row_pair(train, test)


def test_rows_of_other_widths_and_of_zeros_are_refused():
    train, test = _pair()
    with pytest.raises(UserError, match="Received 6 and 3"):
        checked_row_pair(train, _source())
    with pytest.raises(UserError, match="7 of 7 test features are all zero"):
        checked_row_pair(train, Rows(np.zeros((7, 6), "float32")))
