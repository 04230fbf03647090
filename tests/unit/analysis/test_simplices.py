"""Entropy of simplices: from the logits, by blocks, at any temperature."""

import numpy as np
import pytest

from keras_ssl.analysis.simplices import (
    entropy_histogram,
    logit_entropies,
    margins,
)
from keras_ssl.core.errors import UserError
from keras_ssl.layers.simplicial import simplicial_entropy


def logits(shape=(7, 5, 4), scale=1.0):
    return scale * np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.01, 0.3, 5.0])
def test_entropies_are_those_of_the_layer(temperature):
    z = logits(scale=3.0)
    expected = simplicial_entropy(z.reshape(7, 20), 5, 4, temperature)
    assert np.allclose(logit_entropies(z, temperature), expected, atol=1e-5)


def test_entropies_of_huge_equal_and_collapsed_logits_are_finite():
    assert np.allclose(logit_entropies(np.full((2, 3, 4), 1e30), 1e-3), np.log(4.0))
    assert not logit_entropies(logits(scale=1e6), 1e-2).any()
    assert not logit_entropies(logits(), 0.0).any()


def test_blocks_of_images_change_nothing(monkeypatch):
    z = logits((11, 5, 4))
    whole = logit_entropies(z, 0.5)
    monkeypatch.setattr("keras_ssl.analysis.simplices._BLOCK", 40)
    assert np.array_equal(logit_entropies(z, 0.5), whole)


def test_histogram_counts_every_simplex_of_every_image():
    two = np.array([0.0, 0.0, -50.0, -50.0])
    z = np.stack([np.zeros((5, 4)), np.eye(4)[[0] * 5] * 50.0, np.tile(two, (5, 1))])
    edges, counts = entropy_histogram(z, (1.0,), bins=8)
    assert counts.sum() == 15 and counts[0, 0] == counts[0, -1] == 5
    assert counts[0, np.searchsorted(edges, np.log(2.0), side="right") - 1] == 5


def test_lower_temperatures_make_sparser_simplices():
    mean = [logit_entropies(logits(), tau).mean() for tau in (0.01, 0.1, 1.0, 10.0)]
    assert np.all(np.diff(mean) > 0) and mean[0] < 0.05 and mean[-1] > 0.95 * np.log(4)


def test_margins_are_zero_at_ties():
    assert margins(np.zeros((2, 3, 4))).tolist() == [[0.0] * 3] * 2


def test_logits_that_are_not_cut_are_refused():
    with pytest.raises(UserError, match="reshape"):
        logit_entropies(np.zeros((3, 4)), 1.0)
