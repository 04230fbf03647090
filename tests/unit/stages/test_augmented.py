"""Features of augmented images are those of every train image, once an epoch."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.probes.sgd import PROBES, probe_grid
from keras_ssl.evaluation.representation import extract
from pipelines.data.load import load
from pipelines.views.policy import ViewPolicy
from stages.augmented import PROBE_VIEW, augmented_features
from stages.inputs import Preprocessing

NOTHING = replace(PROBE_VIEW, crop_scale=(1.0, 1.0), flip=0.0)
TARGET = Preprocessing(8, 3, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


def inputs_of(images):
    return SimpleNamespace(
        data=SimpleNamespace(train_images=images, image_size=8), preprocessing=TARGET
    )


def images_of(count=10, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3)).astype("uint8")


def means(images, training):
    """An encoder that tells images apart, and at a look."""
    return tf.reduce_mean(images, axis=(1, 2))


@pytest.fixture(scope="module")
def encoder():
    return keras_ssl.create_backbone("tiny", (8, 8, 3), width=4)


@pytest.mark.parametrize("batch_size", [1, 4, 256])
def test_a_policy_that_changes_nothing_gives_the_plain_features_in_order(batch_size):
    images = images_of()
    features = augmented_features(means, inputs_of(images), policy=NOTHING, batch_size=batch_size)
    expected = extract(means, images, TARGET.function)
    for epoch in (0, 3):
        np.testing.assert_allclose(features(epoch, 0), expected, rtol=1e-5, atol=1e-6)


def test_features_are_read_in_inference_mode_in_float32(encoder):
    images = images_of()
    before = encoder.get_weights()
    found = augmented_features(encoder, inputs_of(images), policy=NOTHING, batch_size=4)(0, 0)
    np.testing.assert_allclose(found, extract(encoder, images, TARGET.function), atol=1e-5)
    assert found.dtype == np.float32
    for a, b in zip(before, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_epochs_differ_and_each_has_the_same_bits_whenever_it_is_asked_for(encoder):
    images = images_of()
    first = augmented_features(encoder, inputs_of(images), batch_size=4)
    epochs = [first(epoch, 3) for epoch in range(3)]
    again = augmented_features(encoder, inputs_of(images), batch_size=4)
    for epoch in (2, 0):
        np.testing.assert_array_equal(again(epoch, 3), epochs[epoch])
    for a, b in ((epochs[0], epochs[1]), (epochs[1], epochs[2])):
        assert (a != b).any(axis=1).all()  # of every image


def test_features_beyond_the_memory_have_the_same_bits_in_one_file(encoder):
    images = images_of()
    kept = augmented_features(encoder, inputs_of(images), batch_size=4)
    on_disk = augmented_features(encoder, inputs_of(images), batch_size=4, memory=10)
    found = []
    for epoch in range(2):
        found.append(on_disk(epoch, 3))
        assert isinstance(found[-1], np.memmap)
        np.testing.assert_array_equal(found[-1], kept(epoch, 3))
    assert found[0] is found[1]


def test_another_seed_draws_other_views():
    inputs, flips = inputs_of(images_of(40)), replace(NOTHING, flip=0.5)
    one, other = (augmented_features(None, inputs, policy=flips)(0, s) for s in (0, 1))
    assert 8 < (one != other).any(axis=1).sum() < 32


def test_pixels_of_images_that_are_not_square_are_no_pixels_to_train_on():
    images, labels = images_of(12)[:, :, :6], np.arange(12) % 2
    pixels = images.reshape(12, -1) / 255
    with pytest.raises(UserError, match="shape .12, 192., .*12, 144"):
        views = augmented_features(None, inputs_of(images), batch_size=5)
        probe_grid(pixels, labels, pixels, labels, protocol="adam", views=views)


def test_a_view_shows_a_part_of_its_own_image():
    ramp = np.arange(10)[:, None, None, None] * 25
    images = np.broadcast_to(ramp, (10, 8, 8, 3)).astype("uint8")
    found = augmented_features(None, inputs_of(images), batch_size=4)(1, 0)
    np.testing.assert_allclose(found, images.reshape(10, -1) / 255, atol=1e-5)


def test_pixels_are_those_of_the_images_mirrored_or_not():
    images = images_of(40)
    flips = replace(NOTHING, flip=0.5)
    found = augmented_features(None, inputs_of(images), policy=flips, batch_size=16)(0, 0)
    plain, mirrored = (part.reshape(40, -1) / 255 for part in (images, images[:, :, ::-1]))
    as_is, turned = (np.isclose(found, part, atol=1e-5).all(axis=1) for part in (plain, mirrored))
    assert (as_is ^ turned).all() and 8 < turned.sum() < 32


def test_a_probe_view_is_a_crop_and_a_flip_and_leaves_the_colours():
    still = {"jitter_probability": 0.0, "grayscale": 0.0, "interpolation": "bicubic"}
    assert ViewPolicy(**still) == PROBE_VIEW
    assert (PROBE_VIEW.crop_scale, PROBE_VIEW.flip) == ((0.08, 1.0), 0.5)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SSL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "images").mkdir()
    for number, image in enumerate(images_of(7)):
        (tmp_path / "images" / f"{number}.png").write_bytes(tf.io.encode_png(image).numpy())
    return f"folder:{tmp_path}/images"


def test_images_in_files_have_the_features_of_the_same_images_in_memory(folder):
    parts = [
        load(folder, image_size=8, in_memory=kept, log=lambda _: None).train_images
        for kept in (True, False)
    ]
    array, files = (augmented_features(None, inputs_of(part), batch_size=3)(2, 0) for part in parts)
    assert np.mean(np.abs(array - files)) < 0.01  # crops of files have 8 bits
    assert np.mean(np.abs(array - files[::-1])) > 0.1


def test_a_probe_trains_on_the_views_of_its_epochs(encoder):
    images, labels = images_of(12), np.arange(12) % 2
    plain, drawn = extract(encoder, images, TARGET.function), []
    views = augmented_features(encoder, inputs_of(images), batch_size=5)
    result = probe_grid(
        plain,
        labels,
        plain,
        labels,
        protocol=replace(PROBES["adam"], epochs=3, batch_size=6),
        views=lambda epoch, seed: drawn.append(epoch) or views(epoch, seed),
    )["features"]
    assert drawn == [0, 1, 2] and result.protocol["views"] == "augmented"
