"""Spread over images is 0 for a constant whatever its scale, and needs no pairs."""

import numpy as np
import pytest

from keras_ssl.ops import spread
from keras_ssl.ops.spread import constant_share, feature_std, mean_cosine

GENERATOR = np.random.default_rng(0)
LENGTHS = GENERATOR.uniform(1, 9, (50, 1))
SPREAD = GENERATOR.normal(size=(50, 16))


def test_feature_std_is_zero_for_one_direction_and_one_for_all():
    assert feature_std(LENGTHS * np.ones((50, 16))) == pytest.approx(0, abs=1e-12)
    many = np.random.default_rng(0).normal(size=(5000, 16))
    assert feature_std(many) == pytest.approx(1, abs=0.01)


def test_mean_cosine_is_the_mean_over_pairs_and_ignores_lengths():
    unit = SPREAD / np.linalg.norm(SPREAD, axis=1, keepdims=True)
    pairs = (unit @ unit.T)[~np.eye(50, dtype=bool)]
    assert mean_cosine(LENGTHS * SPREAD) == pytest.approx(pairs.mean(), abs=1e-12)
    assert mean_cosine(LENGTHS * np.ones((50, 16))) == pytest.approx(1)
    with pytest.raises(ValueError, match="two rows"):
        mean_cosine(SPREAD[:1])


def test_rows_of_zeros_are_alike_and_unlike_others():
    assert mean_cosine(np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])) == pytest.approx(1 / 3)
    assert feature_std(np.zeros((4, 3))) == 0


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_constant_columns_are_counted_at_any_scale(scale):
    mixed = SPREAD.copy()
    mixed[:, :4] = 3.0
    assert constant_share(scale * mixed) == 0.25
    assert constant_share(scale * np.ones((50, 16), "float32")) == 1
    assert constant_share(scale * SPREAD) == 0


def test_blocks_of_columns_change_nothing(monkeypatch):
    functions = (feature_std, mean_cosine, constant_share)
    whole = [function(SPREAD) for function in functions]
    monkeypatch.setattr(spread, "_BLOCK", 150)  # three columns
    np.testing.assert_allclose([function(SPREAD) for function in functions], whole, rtol=1e-12)
