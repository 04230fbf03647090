"""Lie generators of transformations, and the rank of rotated images."""

import numpy as np
import pytest

from keras_ssl.analysis import unexplained_variance
from keras_ssl.analysis.tangents import (
    TRANSFORMATIONS,
    LieGenerator,
    lie_generator,
    rotated_one_hot,
    rotation_rank,
    transformed,
)
from keras_ssl.core.errors import UserError
from keras_ssl.ops.rows import unit_rows

GENERATOR = np.random.default_rng(0)


def rotation(dim=5):
    """The turn of the first two of `dim` features."""
    output = np.zeros((dim, 2))
    output[:2] = [[0.0, -1.0], [1.0, 0.0]]
    return LieGenerator(output, np.eye(dim)[:2])


def test_strengths_add_up_and_lengths_stay_in_a_group_of_rotations():
    features = GENERATOR.normal(size=(6, 5))
    turn = rotation()
    twice = turn.transform(turn.transform(features, 0.4), 0.7)
    np.testing.assert_allclose(twice, turn.transform(features, 1.1), atol=1e-12)
    lengths = np.linalg.norm(features, axis=1)
    np.testing.assert_allclose(np.linalg.norm(twice, axis=1), lengths)
    np.testing.assert_allclose(turn.transform(features, 0.0), features)


def test_small_motions_are_linear_in_the_strength():
    features = GENERATOR.normal(size=(6, 5))
    motion = rotation().transform(features, 1e-5) - features
    np.testing.assert_allclose(motion, rotation().linear(features, 1e-5), atol=1e-9)


def test_the_generator_is_found_from_pairs_of_any_strength():
    features = GENERATOR.normal(size=(60, 5))
    strengths = GENERATOR.uniform(-0.01, 0.01, size=60)
    after = np.concatenate(
        [rotation().transform(f[None], s) for f, s in zip(features, strengths, strict=True)]
    )
    found = lie_generator(features, after, strengths)
    wanted = rotation().output @ rotation().basis
    np.testing.assert_allclose(found.output @ found.basis, wanted, atol=0.02)
    assert found.explained(features, after, strengths) > 0.999


def test_the_rank_is_kept_and_noise_is_not_explained_on_other_images():
    features, after = GENERATOR.normal(size=(2, 200, 5))
    found = lie_generator(features[:100], after[:100], rank=3)
    assert found.basis.shape == (3, 5) and found.output.shape == (5, 3)
    motion = features + GENERATOR.normal(size=features.shape)  # of no relation to the features
    found = lie_generator(features[:100], motion[:100])
    assert found.explained(features[100:], motion[100:], 1.0) < 0.1


def test_a_projector_with_the_generator_in_its_kernel_sees_no_transformation():
    features, turn = GENERATOR.normal(size=(6, 5)), rotation()
    weights = np.zeros((5, 2))
    weights[2:] = GENERATOR.normal(size=(3, 2))
    assert unexplained_variance(turn.output.T, weights) == pytest.approx(1)
    before, after = (
        unit_rows(features @ weights),
        unit_rows(turn.transform(features, 2.0) @ weights),
    )
    np.testing.assert_allclose(np.sum(before * after, axis=1), 1)  # the invariance is -1: eq. 7
    seen = GENERATOR.normal(size=(5, 2))
    assert unexplained_variance(turn.output.T, seen) < 1
    moved = unit_rows(features @ seen) - unit_rows(turn.transform(features, 2.0) @ seen)
    assert np.abs(moved).max() > 0.1


@pytest.mark.parametrize("features", [np.zeros((8, 3)), np.ones((8, 3))])
def test_what_does_not_move_has_a_generator_of_zeros(features):
    found = lie_generator(features, features)
    assert np.abs(found.output).max() == 0
    assert found.explained(features, features, 1.0) == 1
    np.testing.assert_array_equal(found.transform(features, 3.0), features)


def test_the_rank_of_rotated_images_grows_with_the_angle():
    ranks = [rotation_rank(angle, count=200, size=16)[0] for angle in (0, 20, 90, 180, 360)]
    assert ranks[0] == 0
    assert (np.diff(ranks) > 0).all()
    assert ranks[-1] < 16 * 16


def test_a_quarter_turn_moves_the_pixel_to_another_one():
    images = rotated_one_hot(360.0, count=400, size=5, seed=3)
    assert images.min() >= 0 and images.max() <= 1
    distance = np.hypot(*np.indices((5, 5)) - 2)
    mass = images.sum(axis=(1, 2))
    radius = (images * distance).sum(axis=(1, 2))[mass > 0.99] / mass[mass > 0.99]
    assert np.ptp(radius) < 0.5  # it stays about as far from the center


IMAGES = GENERATOR.integers(0, 256, (3, 8, 8, 3), dtype="uint8")


@pytest.mark.parametrize("kind", TRANSFORMATIONS)
def test_images_at_strength_zero_stay_and_move_with_it(kind):
    np.testing.assert_array_equal(transformed(IMAGES, kind, np.zeros(3)), IMAGES)
    little, more = (transformed(IMAGES, kind, np.full(3, s)) for s in (0.2, 1.0))
    assert little.dtype == "uint8" and little.shape == IMAGES.shape
    moved = [np.abs(each.astype(float) - IMAGES).mean() for each in (little, more)]
    assert 0 < moved[0] < moved[1]


def test_nine_rotations_by_ten_degrees_are_a_quarter_turn():
    turned = transformed(IMAGES, "rotation", np.full(3, 9.0))
    np.testing.assert_array_equal(turned, np.rot90(IMAGES, -1, axes=(1, 2)))


def test_a_translation_goes_to_the_right():
    images = np.zeros((1, 16, 16, 1), "uint8")
    images[0, 8, 8] = 200
    assert np.argmax(transformed(images, "translation", [1.0])[0, 8]) == 9


def test_other_transformations_are_refused_by_name():
    with pytest.raises(UserError, match="Did you mean 'rotation'"):
        transformed(IMAGES, "rotations", np.zeros(3))
