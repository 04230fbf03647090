"""Probes of the transformation: all of what is there, nothing of what is not."""

import numpy as np
import pytest

from keras_ssl.analysis.transformations import (
    random_projection,
    standardization,
    transformation_accuracy,
)
from keras_ssl.core.errors import UserError


def features(count=200, dim=6, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dim))


def test_an_invariant_encoder_leaves_exactly_chance():
    x = features()
    for count in (2, 4):
        found = transformation_accuracy({str(number): x for number in range(count)})
        assert found.accuracy == pytest.approx(found.chance) == pytest.approx(1 / count)


def test_a_direction_that_moves_is_found_and_noise_is_not():
    x = features()
    moved = x + 6.0 * np.eye(6)[0]
    assert transformation_accuracy({"original": x, "moved": moved}).accuracy > 0.95
    other = features(seed=1)
    assert 0.4 < transformation_accuracy({"original": x, "other": other}).accuracy < 0.6


def test_more_columns_than_images_are_not_learned_by_heart():
    x, other = features(60, 500), features(60, 500, seed=1)
    assert transformation_accuracy({"original": x, "other": other}).accuracy < 0.7
    other[:, :100] += 1.5
    assert transformation_accuracy({"original": x, "other": other}).accuracy > 0.95


def test_rotations_that_look_alike_are_guessed_between():
    x = features(400)
    turned = x + 6.0 * np.eye(6)[0]
    found = transformation_accuracy({"0": x, "90": turned, "180": x, "270": turned})
    assert found.accuracy == pytest.approx(0.5, abs=0.01) and found.chance == 0.25


def test_scale_and_shift_of_columns_do_not_matter():
    x, moved = features(), features() + 1.0
    one = transformation_accuracy({"original": x, "moved": moved})
    scale = np.logspace(-4, 4, 6)
    two = transformation_accuracy({"a": 3 + scale * x, "b": 3 + scale * moved})
    assert one.accuracy == pytest.approx(two.accuracy, abs=0.01)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e5])
def test_collapsed_features_know_nothing(value):
    x = np.full((50, 3), value, "float32")
    noisy = x * (1 + 1e-7 * np.random.default_rng(0).normal(size=x.shape))
    for other in (x, noisy.astype("float32")):
        assert transformation_accuracy({"original": x, "other": other}).accuracy == 0.5


def test_split_has_all_images_once():
    found = transformation_accuracy({"a": features(), "b": features()}, test_share=0.25)
    assert (found.train_images, found.test_images) == (150, 50)


def test_the_same_seed_gives_the_same_split():
    blocks = {"original": features(), "other": features() + 0.2}
    first, second, third = (transformation_accuracy(blocks, seed=seed) for seed in (0, 0, 1))
    assert first == second != third


def test_columns_without_spread_are_told_from_small_ones():
    rows = np.stack([np.full(100, 0.1), 1e-9 * np.arange(100.0)], axis=1)
    mean, spread = standardization(rows)
    assert spread[0] == np.inf and 0 < spread[1] < 1e-6
    assert np.all(np.isfinite((rows - mean) / spread))


def test_a_random_projection_keeps_products_and_what_is_narrow():
    rows = features(20, 5000)
    narrow = random_projection(rows, 2000)
    assert narrow.shape == (20, 2000) and narrow.dtype == "float32"
    np.testing.assert_allclose(narrow @ narrow.T, rows @ rows.T, atol=5 * 5000 / np.sqrt(2000))
    np.testing.assert_array_equal(random_projection(2 * rows, 2000), 2 * narrow)
    np.testing.assert_array_equal(random_projection(rows, 5000), np.float32(rows))


def test_a_random_projection_adds_or_subtracts_each_column_once():
    each = random_projection(np.eye(50), 7)
    assert np.all(np.abs(each).sum(axis=1) == 1) and set(np.unique(each)) == {-1, 0, 1}


def test_features_that_cannot_be_compared_are_refused():
    with pytest.raises(UserError, match="two or more"):
        transformation_accuracy({"original": features()})
    with pytest.raises(UserError, match="shapes"):
        transformation_accuracy({"original": features(), "other": features(100)})
    with pytest.raises(UserError, match="4 images"):
        transformation_accuracy({"original": features(3), "other": features(3)})
