"""Channel statistics, kept between runs, and what evaluation and serving make of images."""

import base64
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines.data.encoded import EncodedImages
from pipelines.data.load import load
from pipelines.files import VARIABLE, cached_path, read_cached, write_cached
from pipelines.images.resizing import resize_to_square, resized_middle, window_of_square
from pipelines.preprocessing import NAMED, channel_statistics, make_preprocess, normalization
from stages.inputs import Preprocessing

MEAN, STD = (0.1, 0.2, 0.3), (0.5, 1.0, 2.0)


def random_images(count=5, height=8, width=8, channels=3):
    shape = (count, height, width, channels)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def test_statistics_are_the_mean_and_standard_deviation_per_channel():
    images = random_images()
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255.0).mean(axis=(0, 1, 2)), atol=1e-12)
    np.testing.assert_allclose(std, (images / 255.0).std(axis=(0, 1, 2)), atol=1e-12)


def test_a_constant_channel_has_standard_deviation_one():
    assert channel_statistics(np.full((2, 4, 4, 1), 7, np.uint8))[1] == (1.0,)


def test_images_of_the_right_size_are_only_normalized():
    images = random_images()
    found = make_preprocess(8, 3, MEAN, STD)(images)
    np.testing.assert_allclose(found, (images / 255.0 - MEAN) / STD, atol=1e-6)


@pytest.mark.parametrize("height, width", [(12, 12), (10, 16), (16, 10), (5, 6)])
def test_other_sizes_are_resized_on_the_shorter_side_and_cut_in_the_middle(height, width):
    images = random_images(height=height, width=width)
    found = make_preprocess(8, 3, (0.0,) * 3, (1.0,) * 3)(images)
    scale = 8 / min(height, width)
    sides = int(height * scale), int(width * scale)
    resized = tf.image.resize(images, sides, method="bicubic", antialias=True)
    top, left = (round((side - 8) / 2) for side in sides)
    expected = np.clip(resized[:, top : top + 8, left : left + 8], 0, 255) / 255.0
    np.testing.assert_allclose(found, expected, atol=1e-5)


# Noise resized by Pillow and cropped to 8 x 8, sizes and corner by the arithmetic of torchvision's
# `Resize` and `CenterCrop`; uint8 in base64, by (height, width, crop_fraction).
REFERENCE = {
    (13, 17, 1.0): (
        "fH9uoLW9mLF4n5dpZ4GiuzlhT4VVNGs/oaF5gsR8bp1/e6CSmZG9x1tsmYKZiIKVgKiPhjK2j1OjkYtKgbeYnJwr"
        "qJaWdH26m7qihFNqj32NmJikRYRvwa0hsMFfVJ+XTKN+ZHlipoWKkZ+pZZqfP5yQUJaWlqppTG2ZcVtklLyMi2Bp"
        "rIzFpIGImHc8fI+RqbuAmH+ci4SbhjCgi0hjnqA7q4qBXJdfW2rBYo6+gmaGwxp1uUWPh9JHbqhmnaRB"
    ),
    (37, 23, 0.875): (
        "iKlblpVrdXZthWllOkGFlWJ1aHyWc6aViI2Tl5dxZpFak4F4apFjmWCOeVuZe4yAcF16ZG1tg3RukIlpt3SBgHWx"
        "k5OLgIKQco9+Xm14d0l3eGKGX31/e3V/o5ORfouSppOMfbSVe5Wls2eEeW58gYGJo4iPm3eqf4OIiY2EpHSDfXBT"
        "k4KqiYyTiW6ElmNydXxiw5F0o3abbnOKkJdtoINrt3qZl36hwYZqmJSBVYKKnICMqHpzk5xhlZJ9Z3Zm"
    ),
}


@pytest.mark.parametrize("number, shape", enumerate(REFERENCE))
def test_odd_sizes_come_out_as_the_reference_transforms_have_them(number, shape):
    height, width, crop_fraction = shape
    rng = np.random.default_rng(number)
    image = rng.integers(0, 256, (1, height, width, 3)).astype(np.uint8)
    levels = make_preprocess(8, 3, [0.0] * 3, [1 / 255] * 3, crop_fraction=crop_fraction)(image)
    wanted = np.frombuffer(base64.b64decode(REFERENCE[shape]), np.uint8).reshape(1, 8, 8, 3)
    assert np.abs(levels - wanted).max() < 1.0  # which is the rounding to 8 bits


def test_a_strip_is_cut_without_resizing_all_of_it():
    strip = np.full((1, 10, 30_000, 3), 9, np.uint8)
    found = make_preprocess(224, 3, [0.0] * 3, [1 / 255] * 3, crop_fraction=0.875)(strip)
    np.testing.assert_allclose(found, 9.0, atol=1e-3)  # the whole would be 256 x 768,000


@pytest.mark.parametrize("height, width", [(12, 12), (13, 40), (41, 9), (3, 5)])
def test_the_window_of_a_square_is_all_that_it_is_made_of(height, width):
    (image,) = random_images(1, height, width)
    top, left, rows, columns = window_of_square((height, width), 8).numpy()
    assert min(top, left) >= 0 and top + rows <= height and left + columns <= width
    part = image[None, top : top + rows, left : left + columns]
    square = resized_middle(part, (height, width), 8, 8, (top, left))[0]
    np.testing.assert_array_equal(np.rint(square), resize_to_square(image, 8))


def test_crop_fraction_cuts_out_of_a_larger_image():
    images = random_images(height=16, width=16)
    found = make_preprocess(14, 3, (0.0,) * 3, (1.0,) * 3, crop_fraction=0.875)(images)
    np.testing.assert_allclose(found, images[:, 1:15, 1:15] / 255.0, atol=1e-5)


# Of the image below: every 32nd pixel, both ways, of torchvision 0.28's Resize(256, BICUBIC) and
# CenterCrop(224), as base64.
CROPPED = (
    "vF8w1Fp74VSH4lHK2EtTwkc4pUJp3kBdkEThMkkeI02pclLiz1bY21zjeuLjH+NLquOx0eQcNuRwSuOT3OJaH1lmvFQ+"
    "gk7DP0uR4UUmJ0Icpz4yTEUrsEncUU0kq1PYVljEpl2nXGLUw+PLHOOJ0ONza+I5TuKx3uHLJOCa2VKnnk8eHUniekVR"
    "40AdaT0qIzgc"
)


def test_files_are_cropped_as_torchvision_resizes_to_256_and_crops_224(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SSL_CACHE", str(tmp_path / "cache"))
    y, x = np.mgrid[0:300, 0:400]
    waves = np.sin(x * y / 2000), np.sin((3 * x + y) / 9), np.cos(x * x / 3000 + y / 20)
    image = (128 + 100 * np.stack(waves, -1)).astype(np.uint8)
    content = tf.io.encode_png(image)
    tf.io.write_file(str(tmp_path / "files" / "0.png"), content)
    name = f"folder:{tmp_path}/files"
    whole = load(name, image_size=224, in_memory=False, log=lambda _: None).train_images
    crop = whole.cropped(0.875)
    assert crop.digest() != whole.digest() and crop.identity != whole.identity
    assert crop.cropped(1.0).digest() == whole.digest()
    served = Preprocessing(224, 3, (0.0,) * 3, (1 / 255,) * 3, 0.875)
    square, problem = served.decode(content, False, 1, 300, 400)
    wanted = np.frombuffer(base64.b64decode(CROPPED), np.uint8).reshape(7, 7, 3).astype(float)
    for found in (crop[:][0], square.numpy(), served.function(image[None])[0].numpy()):
        assert found.shape == (224, 224, 3)
        assert np.abs(found[::32, ::32] - wanted).max() <= 1.0
    assert problem == b""
    np.testing.assert_array_equal(served.function(crop[:1]), crop[:])  # not cropped again


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    images, preprocess = random_images(), make_preprocess(6, 3, MEAN, STD)
    np.testing.assert_allclose(preprocess(images[:2]), preprocess(images)[:2], atol=1e-6)


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(UserError, match="one value per channel"):
        make_preprocess(8, 3, [0.5], [0.5])
    with pytest.raises(UserError, match="crop_fraction"):
        make_preprocess(8, 1, [0.5], [0.5], crop_fraction=1.5)


def test_resize_to_square_takes_the_middle_of_one_image_or_many():
    images = random_images(height=8, width=14)
    np.testing.assert_array_equal(resize_to_square(images, 8), images[:, :, 3:11])
    np.testing.assert_array_equal(resize_to_square(images[0], 5), resize_to_square(images, 5)[0])


class Levels(EncodedImages):
    """Image i has the level i everywhere; counts how often it was read."""

    reads = 0

    def __getitem__(self, positions):
        Levels.reads += 1
        levels = self.places[positions].astype(np.uint8)
        return np.broadcast_to(levels[:, None, None, None], (len(levels), 4, 4, 3))


def levels(count=20, state="first"):
    ones, store = np.ones(count, np.int32), SimpleNamespace(state=state)
    return Levels(store, np.arange(count), 4 * ones, 4 * ones, ones, ones == 1, 4)


def test_encoded_images_are_measured_once_and_as_arrays_are(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    array = np.broadcast_to(np.arange(20)[:, None, None, None], (20, 4, 4, 3)).astype(np.uint8)
    Levels.reads = 0
    assert normalization(levels()) == normalization(array)
    assert normalization(levels()) == normalization(array) and Levels.reads == 1
    normalization(levels(10))
    assert Levels.reads == 2  # other images
    normalization(levels(state="second"))
    assert Levels.reads == 3  # the same names, but something changed


def test_a_sample_is_read_by_blocks(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    Levels.reads = 0
    normalization(levels(256 * 3))
    assert Levels.reads == 3


@pytest.mark.parametrize("damage", [lambda c: b"", lambda c: b"{", lambda c: c[:-30], bytes.upper])
def test_a_damaged_cache_is_made_anew(monkeypatch, tmp_path, damage):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    first = normalization(levels())
    (file,) = tmp_path.rglob("*.npz")
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    Levels.reads = 0
    assert normalization(levels()) == normalization(levels()) == first
    assert Levels.reads == 1


def test_no_damage_of_a_cache_file_gives_other_arrays(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    write_cached("folder", "key", {"heights": np.arange(50), "reasons": np.array(["empty file"])})
    whole, rng = cached_path("folder", "key").read_bytes(), np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        cached_path("folder", "key").write_bytes(damaged)
        found = read_cached("folder", "key") or {}
        if "heights" in found:
            np.testing.assert_array_equal(found["heights"], np.arange(50))


def test_a_cache_that_is_not_a_folder_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    assert normalization(levels()) == normalization(levels())


def test_a_user_without_a_home_has_no_cache_but_no_error(monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("pathlib.Path.home", home)
    assert normalization(levels()) == normalization(levels())


def test_a_cache_that_cannot_be_written_keeps_no_part_of_a_file(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    path = cached_path("kind", "key")
    path.mkdir(parents=True)  # in the way of the renaming
    write_cached("kind", "key", {"a": np.ones(3)})
    assert list(path.parent.iterdir()) == [path]


def test_what_is_kept_of_the_same_data_for_different_ends_lies_in_different_files(
    monkeypatch, tmp_path
):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    for kind in ("folder", "records", "statistics"):
        write_cached(kind, "key", {"kind": np.array(kind)})
    for kind in ("folder", "records", "statistics"):
        assert str(read_cached(kind, "key")["kind"]) == kind


def test_named_ones_are_for_color_images():
    images = np.zeros((1, 2, 2, 1), np.uint8)
    assert normalization(np.zeros((1, 2, 2, 3), np.uint8), "imagenet") == NAMED["imagenet"]
    with pytest.raises(UserError, match="3 channels"):
        normalization(images, "imagenet")
    with pytest.raises(UserError, match="Did you mean 'imagenet'"):
        normalization(images, "imagnet")
