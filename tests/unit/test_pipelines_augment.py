import numpy as np
import pytest
import tensorflow as tf

from pipelines.augment import make_augment
from pipelines.errors import DataError
from pipelines.policies import POLICIES, ViewPolicy, policy_for

SEED = tf.constant([3, 7])
STILL = {
    "crop_scale": (1.0, 1.0),
    "jitter_probability": 0.0,
    "grayscale": 0.0,
    "flip": 0.0,
}


def random_images(batch=4, size=8, channels=3):
    rng = np.random.default_rng(0)
    return tf.constant(rng.integers(0, 256, (batch, size, size, channels)), tf.uint8)


def augment_with(size=8, channels=3, num_views=1, **settings):
    views = num_views * (ViewPolicy(**(STILL | settings)),)
    augment = make_augment(views, size, mean=channels * [0.0], std=channels * [1.0])
    return lambda images, seed: augment(images, seed)["global"]


def as_floats(images):
    return tf.cast(images, tf.float32) / 255.0


@pytest.fixture(scope="module")
def everything():
    """A function with every operator that gray images have, compiled once."""
    settings = {"blur": 0.5, "solarize": 0.2, "noise": 0.1, "erase": 0.5, "rotation": 10.0}
    return make_augment(policy_for("gray", **settings), 8, mean=[0.5], std=[0.25])


@pytest.mark.slow
@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_gives_finite_views_in_range(name):
    channels = 1 if name in ("digits", "gray") else 3
    augment = make_augment(POLICIES[name], 8, mean=channels * [0.5], std=channels * [0.25])
    views = augment(random_images(channels=channels), SEED)["global"]
    assert views.shape == (4, 2, 8, 8, channels)
    assert np.abs(views).max() <= 2.0 + 1e-5 and np.isfinite(views).all()


def test_views_have_the_stated_shape_type_and_range(everything):
    views = everything(random_images(channels=1), SEED)["global"]
    assert views.shape == (4, 2, 8, 8, 1) and views.dtype == tf.float32
    assert np.abs(views).max() <= 2.0 + 1e-5 and np.isfinite(views).all()


def test_the_seed_decides_every_bit(everything):
    images = random_images(channels=1)
    first = everything(images, SEED)["global"].numpy()
    np.testing.assert_array_equal(first, everything(images, SEED)["global"])
    assert np.any(first != everything(images, SEED + 1)["global"])


def test_images_and_views_draw_for_themselves(everything):
    images = tf.repeat(random_images(1, channels=1), 4, axis=0)
    views = everything(images, SEED)["global"].numpy()
    different = {views[i, j].tobytes() for i in range(4) for j in range(2)}
    assert len(different) == 8


def test_one_shape_is_compiled_once(everything):
    before = everything.experimental_get_tracing_count()
    for step in range(3):
        everything(random_images(channels=1), tf.constant([0, step]))
    assert everything.experimental_get_tracing_count() - before <= 1


def test_a_policy_without_operators_only_normalises():
    images = random_images()
    augment = make_augment((ViewPolicy(**STILL),), 8, mean=[0.1, 0.2, 0.3], std=[0.5, 1.0, 2.0])
    expected = (as_floats(images) - [0.1, 0.2, 0.3]) / [0.5, 1.0, 2.0]
    np.testing.assert_allclose(augment(images, SEED)["global"][:, 0], expected, atol=1e-6)


def test_floats_in_the_unit_range_and_their_bytes_give_the_same_views():
    images = random_images()
    augment = augment_with(crop_scale=(0.3, 0.9))
    np.testing.assert_allclose(augment(images, SEED), augment(as_floats(images), SEED), atol=1e-6)


def test_a_flip_comes_for_half_of_the_images():
    images = random_images(batch=200)
    views = augment_with(flip=0.5)(images, SEED)[:, 0].numpy()
    floats = as_floats(images).numpy()
    kept = np.isclose(views, floats, atol=1e-5).all(axis=(1, 2, 3))
    flipped = np.isclose(views, floats[:, :, ::-1], atol=1e-5).all(axis=(1, 2, 3))
    assert (kept ^ flipped).all() and 70 < flipped.sum() < 130


def test_grayscale_comes_as_often_as_its_probability():
    views = augment_with(grayscale=0.2)(random_images(batch=400), SEED).numpy()
    gray = np.isclose(views.max(-1), views.min(-1)).all(axis=(1, 2, 3))
    assert 50 < gray.sum() < 110


def test_the_jitter_changes_as_many_images_as_its_probability():
    views = augment_with(jitter_probability=0.8, hue=0.0)(tf.repeat(random_images(1), 400, 0), SEED)
    changed = ~np.isclose(views[:, 0], as_floats(random_images(1)), atol=1e-4).all(axis=(1, 2, 3))
    assert 290 < changed.sum() < 350


def test_sizes_may_change_and_images_need_not_be_square():
    images = tf.zeros((2, 12, 20, 1), tf.uint8)
    assert augment_with(size=8, channels=1)(images, SEED).shape == (2, 1, 8, 8, 1)


def test_noise_has_its_standard_deviation():
    images = tf.fill((16, 8, 8, 1), tf.constant(128, tf.uint8))
    views = augment_with(channels=1, noise=0.05)(images, SEED)
    assert abs(np.std(views) - 0.05) < 0.005


def test_geometry_of_digits_uncovers_nothing_but_black():
    digit = np.zeros((4, 16, 16, 1), np.uint8)
    digit[:, 4:12, 7:9] = 255
    policy = policy_for("digits", crop_scale=(1.0, 1.0), jitter_probability=0.0, blur=0.0)
    augment = make_augment(policy, 16, mean=[0.0], std=[1.0])
    views = augment(tf.constant(digit), SEED)["global"].numpy()
    assert views.min() == 0.0 and (views.sum(axis=(2, 3, 4)) > 4.0).all()
    assert not views[:, :, 0, 0].any()


def test_images_of_other_channels_are_refused():
    with pytest.raises(DataError, match="1 or 3"):
        augment_with()(tf.zeros((2, 8, 8, 4), tf.uint8), SEED)
    with pytest.raises(DataError, match="one value per channel"):
        augment_with(channels=3)(tf.zeros((2, 8, 8, 1), tf.uint8), SEED)
