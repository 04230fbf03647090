"""Images that stay encoded train as those in memory do."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError, translate_tf_errors
from pipelines.data import encoded
from pipelines.data.load import load
from pipelines.views.policies import policy_for
from pipelines.views.stream import device_views, train_views

SETTINGS = {"batch_size": 4, "image_size": 16, "mean": [0.0] * 3, "std": [1 / 255] * 3}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SSL_CACHE", str(tmp_path / "cache"))
    coarse = np.random.default_rng(0).integers(0, 256, (10, 6, 6, 3))
    smooth = tf.cast(tf.image.resize(coarse, (16, 16)), tf.uint8)
    (tmp_path / "images").mkdir()
    for number, image in enumerate(smooth):
        (tmp_path / "images" / f"{number}.png").write_bytes(tf.io.encode_png(image).numpy())
    return tmp_path / "images"


def images_of(folder, in_memory):
    data = load(f"folder:{folder}", image_size=16, in_memory=in_memory, log=lambda line: None)
    return data.train_images


def stream(images, steps=4, policy="simsiam_cifar", **settings):
    views = train_views(images, policy=policy_for(policy), seed=5, **SETTINGS, **settings)
    return list(itertools.islice(views, steps))


@pytest.mark.parametrize(
    "policy", [pytest.param("simsiam_cifar", marks=pytest.mark.slow), "cifar_asymmetric"]
)
def test_views_of_files_are_those_of_the_same_images_in_memory(folder, policy):
    local_policy = policy_for(policy, 1)
    policy = {"policy": policy, "local_policy": local_policy, "local_size": 8}
    arrays = stream(images_of(folder, True), **policy)
    files = stream(images_of(folder, False), **policy)
    for expected, found in zip(arrays, files, strict=True):
        for name, value in expected.items():
            # Crops of files are rounded to 8 bits, which the colors can enlarge.
            assert np.mean(np.abs(found[name] - value)) < 1.5, name


def test_files_give_the_same_bits_in_parallel_and_from_any_step_on(folder):
    images = images_of(folder, False)
    whole = stream(images, 5, num_parallel_calls=1, with_index=True)
    again = stream(images, 3, num_parallel_calls=8, with_index=True, start_step=2)
    for expected, found in zip(whole[2:], again, strict=True):
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)


def test_crops_of_files_are_finished_on_the_device_bit_for_bit(folder):
    images = images_of(folder, False)
    draw = device_views(policy=policy_for("simsiam_cifar"), **SETTINGS)
    host, raw = stream(images, 2), stream(images, 2, on_device=True)
    for expected, batch in zip(host, raw, strict=True):
        found = draw(batch)
        np.testing.assert_array_equal(found["global"], expected["global"])


def test_a_digest_names_the_images_and_decodes_none(folder, monkeypatch):
    images = images_of(folder, False)
    monkeypatch.setattr(type(images), "__getitem__", None)
    digest = images.digest()
    assert images_of(folder, False).digest() == digest
    others = [
        images.take(np.arange(9)),
        images.take(np.arange(10)[::-1]),
        dataclasses.replace(images, side=8),
    ]
    assert len({digest, *(other.digest() for other in others)}) == 4
    (folder / "3.png").write_bytes((folder / "4.png").read_bytes())  # no folder changes
    assert images.digest() != digest
    (folder / "3.png").unlink()
    images.digest()


def test_a_file_that_went_missing_is_named(folder):
    images = images_of(folder, False)
    (folder / "3.png").unlink()
    with pytest.raises(UserError, match=r"3\.png"):
        images.check(slice(None))


def test_an_order_that_needs_the_whole_image_is_refused(folder):
    with pytest.raises(UserError, match="crop_last"):
        stream(images_of(folder, False), 1, policy="wmse")


def test_another_image_stands_for_one_that_can_be_read_no_more(folder):
    whole, images = images_of(folder, False), images_of(folder, False)
    expected = stream(whole, 4, with_index=True)
    (folder / "3.png").write_bytes(b"damaged since")
    (folder / "4.png").unlink()
    for start in (0, 2):  # the same bits from any step on
        found = stream(images, 4 - start, with_index=True, start_step=start)
        for before, after in zip(expected[start:], found, strict=True):
            index = np.where(np.isin(before["index"], [3, 4]), 5, before["index"])
            np.testing.assert_array_equal(after["index"], index)
            same = before["index"] == index
            np.testing.assert_array_equal(after["global"][same], before["global"][same])
    lines = []
    images.report_lost(lines.append)
    images.report_lost(lines.append)
    assert len(lines) == 1 and "2 images could not be read" in lines[0]
    assert "3.png" in lines[0] and "4.png" in lines[0]


def test_a_disk_that_is_gone_ends_the_stream_in_words(folder, monkeypatch):
    images = images_of(folder, False)
    for file in folder.iterdir():
        file.unlink()
    monkeypatch.setattr(encoded, "_TRIES", 3)
    with (
        pytest.raises(UserError, match="^3 images in a row cannot be read: is their disk") as found,
        translate_tf_errors(),
    ):
        stream(images, 1)
    assert found.value.retry
