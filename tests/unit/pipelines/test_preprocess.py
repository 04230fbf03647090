import base64

import numpy as np
import pytest
import tensorflow as tf

from pipelines.errors import DataError
from pipelines.preprocess import (
    channel_statistics,
    make_preprocess,
    resize_to_square,
    resized_middle,
    window_of_square,
)

MEAN, STD = (0.1, 0.2, 0.3), (0.5, 1.0, 2.0)


def random_images(count=5, height=8, width=8, channels=3):
    shape = (count, height, width, channels)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def test_statistics_are_the_mean_and_deviation_per_channel():
    images = random_images()
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255.0).mean(axis=(0, 1, 2)), atol=1e-12)
    np.testing.assert_allclose(std, (images / 255.0).std(axis=(0, 1, 2)), atol=1e-12)


def test_a_constant_channel_has_deviation_one():
    assert channel_statistics(np.full((2, 4, 4, 1), 7, np.uint8))[1] == (1.0,)


def test_images_of_the_right_size_are_only_normalised():
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


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    images, preprocess = random_images(), make_preprocess(6, 3, MEAN, STD)
    np.testing.assert_allclose(preprocess(images[:2]), preprocess(images)[:2], atol=1e-6)


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(DataError, match="one value per channel"):
        make_preprocess(8, 3, [0.5], [0.5])
    with pytest.raises(DataError, match="crop_fraction"):
        make_preprocess(8, 1, [0.5], [0.5], crop_fraction=1.5)


def test_resize_to_square_takes_the_middle_of_one_image_or_many():
    images = random_images(height=8, width=14)
    np.testing.assert_array_equal(resize_to_square(images, 8), images[:, :, 3:11])
    np.testing.assert_array_equal(resize_to_square(images[0], 5), resize_to_square(images, 5)[0])
