import numpy as np
import pytest
import tensorflow as tf

from pipelines.errors import DataError
from pipelines.preprocess import channel_statistics, make_preprocess, resize_to_square

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
    sides = round(height * scale), round(width * scale)
    resized = tf.image.resize(images, sides, method="bicubic", antialias=True)
    top, left = (sides[0] - 8) // 2, (sides[1] - 8) // 2
    expected = np.clip(resized[:, top : top + 8, left : left + 8], 0, 255) / 255.0
    np.testing.assert_allclose(found, expected, atol=1e-5)


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
