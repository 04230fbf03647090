"""Nearest codes: exact, in the promised order, whatever the blocks."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from export import code_search
from export.code_search import search
from keras_ssl.core.errors import UserError
from keras_ssl.layers import code_bits


def random_codes(rows, width, size, seed=0):
    return np.random.default_rng(seed).integers(0, size, (rows, width)).astype("uint16")


def by_sorting(codes, queries, k):
    agreements = (codes[None] == queries[:, None]).sum(axis=2)
    rows = np.argsort(-agreements, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(agreements, rows, axis=1)


@pytest.mark.parametrize("k", [1, 7, 50])
@pytest.mark.parametrize("width, size", [(1, 2), (64, 3), (65, 16), (130, 257)])
def test_neighbors_are_those_of_sorting_with_ties_to_the_earlier_row(width, size, k, monkeypatch):
    for module, name, value in (
        (code_search, "ROWS", 13),
        (code_bits, "ROWS", 5),
        (code_bits, "_QUERIES", 4),
        (code_search, "_PACKED", 9),
    ):
        monkeypatch.setattr(module, name, value)
    codes, queries = random_codes(50, width, size), random_codes(11, width, size, seed=1)
    found = search(codes, queries, k, simplex_size=size)
    rows, agreements = by_sorting(codes, queries, k)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.agreements, agreements)


def test_distances_are_those_of_scikit_learn():
    codes, queries = random_codes(300, 40, 13), random_codes(20, 40, 13, seed=1)
    found = search(codes, queries, 10, simplex_size=13)
    brute = NearestNeighbors(n_neighbors=10, metric="hamming", algorithm="brute").fit(codes)
    np.testing.assert_allclose(1 - found.agreements / 40, brute.kneighbors(queries)[0], atol=1e-12)


def test_a_code_is_its_own_first_neighbor():
    codes = random_codes(30, 90, 5)
    found = search(codes, codes, 1, simplex_size=5)
    assert found.rows.ravel().tolist() == list(range(30))
    assert (found.agreements == 90).all()


def test_a_memory_map_and_signed_integers_do_as_well(tmp_path):
    codes = random_codes(30, 20, 5)
    np.save(tmp_path / "codes.npy", codes)
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    expected = search(codes, codes[:3], 4, simplex_size=5)
    found = search(mapped, codes[:3].astype("int64"), 4, simplex_size=5)
    np.testing.assert_array_equal(found.rows, expected.rows)


def test_ones_are_counted_alike_with_and_without_the_function_of_numpy_2():
    words = np.random.default_rng(0).integers(0, 2**64, 100, "uint64")
    words[:2] = 0, 2**64 - 1
    expected = [int(word).bit_count() for word in words]
    np.testing.assert_array_equal(code_bits.count_bits_by_halves(words), expected)
    np.testing.assert_array_equal(code_bits.count_bits(words), expected)


CODES = random_codes(6, 4, 3)


@pytest.mark.parametrize(
    "codes, queries, k, what",
    [
        (CODES, CODES[:, :3], 1, "same number of simplices"),
        (CODES, CODES + 1, 1, "query codes must lie in 0 to 2"),
        (CODES, CODES.astype(int) - 1, 1, "query codes must lie in 0 to 2"),
        (CODES + 1, CODES, 1, "stored codes must lie in 0 to 2"),
        (CODES, CODES, 7, "k=7 neighbors do not fit 6 codes"),
        (CODES, CODES, 0, "k=0 neighbors"),
        (CODES[:0], CODES, 1, "stored codes must be a non-empty matrix"),
        (CODES, CODES[0], 1, "query codes must be a non-empty matrix"),
        (CODES, np.full((1, 4), np.nan), 1, "query codes must be integers"),
    ],
)
def test_what_does_not_fit_is_refused(codes, queries, k, what):
    with pytest.raises(UserError, match=what):
        search(codes, queries, k, simplex_size=3)
