"""Coherence of dictionaries of codes against theory."""

import numpy as np
import pytest
from scipy.linalg import hadamard

from keras_ssl.analysis import dictionary
from keras_ssl.core.errors import UserError


def test_a_hadamard_dictionary_is_orthogonal():
    found = dictionary.code_coherence(hadamard(64))
    assert found.max_abs < 1e-12
    assert found.pairs == 64 * 63 // 2 == found.counts.sum()


def test_coherence_in_blocks_is_that_of_the_whole_matrix(monkeypatch):
    codes = np.random.default_rng(0).normal(size=(7, 23))
    unit = codes / np.linalg.norm(codes, axis=0)
    cosines = (unit.T @ unit)[np.triu_indices(23, 1)]
    monkeypatch.setattr(dictionary, "_BLOCK", 5)
    found = dictionary.code_coherence(codes)
    expected = cosines.mean(), cosines.std(), np.abs(cosines).mean(), np.abs(cosines).max()
    got = found.mean, found.std, found.mean_abs, found.max_abs
    np.testing.assert_allclose(got, expected, rtol=1e-10)
    np.testing.assert_array_equal(found.counts, np.histogram(cosines, found.edges)[0])


@pytest.mark.parametrize("dim", [50, 100, 1000])
def test_random_codes_have_the_cosines_that_theory_says(dim):
    found = dictionary.sampled_coherence(dim, 1000)
    assert abs(found.mean) < 1e-3
    assert found.std == pytest.approx(dictionary.cosine_std(dim), rel=0.01)
    assert found.mean_abs == pytest.approx(dictionary.mean_cosine(dim), rel=0.01)
    assert found.max_abs < dictionary.largest_cosine(dim, 1000)


def test_the_variance_of_cosines_does_not_grow_with_the_number_of_codes():
    few, many = (dictionary.sampled_coherence(64, count).std for count in (200, 4000))
    assert many == pytest.approx(few, rel=0.03)


@pytest.mark.parametrize("dim", [1, 2, 3, 6, 7])
def test_the_mean_cosine_is_that_of_all_bipolar_codes(dim):
    signs = 2 * np.array(np.meshgrid(*[[0, 1]] * dim)).reshape(dim, -1) - 1
    expected = np.abs(signs.sum(axis=0)).mean() / dim
    assert dictionary.mean_cosine(dim) == pytest.approx(expected)


def test_no_dictionary_is_below_the_welch_bound():
    found = dictionary.sampled_coherence(8, 100)
    assert found.max_abs >= dictionary.welch_bound(8, 100) > 0
    simplex = np.eye(4) - 0.25  # 4 directions in 3 dimensions, as far apart as they can be
    assert dictionary.code_coherence(simplex).max_abs == pytest.approx(dictionary.welch_bound(3, 4))


def test_more_codes_lie_closer_to_a_random_direction():
    few, many = (dictionary.chance_alignment(64, count) for count in (10, 10_000))
    assert few < many < np.sqrt(2 * np.log(10_000) / 64)


def test_a_large_dictionary_is_compared_in_part():
    codes = dictionary.random_codes(16, 500, seed=3)
    found = dictionary.code_coherence(codes, max_codes=100)
    assert found.codes == 100
    assert found.std == pytest.approx(dictionary.cosine_std(16), rel=0.05)


def test_codes_of_zeros_have_cosine_zero():
    assert dictionary.code_coherence(np.zeros((4, 3))).max_abs == 0.0


def test_a_single_code_is_refused():
    with pytest.raises(UserError, match="two or more"):
        dictionary.code_coherence(np.ones((4, 1)))
