"""Pairs of views."""

import itertools

import pytest

from keras_ssl.ops.pairs import mean_over_pairs


def test_mean_over_pairs_takes_every_pair_once():
    seen = []
    mean_over_pairs(lambda a, b: seen.append((a, b)) or 0.0, "abcd")
    assert seen == list(itertools.combinations("abcd", 2))
    with pytest.raises(ValueError, match="two or more views"):
        mean_over_pairs(lambda a, b: 0.0, "a")
