import math

import numpy as np
import pytest
import tensorflow as tf

from pipelines import ops

KINDS = ["bilinear", "bicubic"]


def random_images(batch=3, height=8, width=8, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.random((batch, height, width, channels)), tf.float32)


def boxes(*rows):
    return tf.constant(rows, tf.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_image_at_its_own_size_is_the_image(kind):
    images = random_images()
    whole = boxes(*3 * [(0, 0, 8, 8)])
    np.testing.assert_allclose(
        ops.crop_resize(images, whole, 8, interpolation=kind), images, atol=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [3, 8, 13])
def test_a_crop_is_the_cut_out_resized_with_antialias(kind, size):
    images = random_images(batch=1, height=10, width=9)
    found = ops.crop_resize(images, boxes((2, 1, 7, 5)), size, interpolation=kind)
    cut = images[:, 2:9, 1:6]
    expected = tf.image.resize(cut, (size, size), method=kind, antialias=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_every_image_has_its_own_box():
    images = random_images()
    rows = [(0, 0, 4, 4), (2, 3, 5, 3), (1, 0, 7, 8)]
    together = ops.crop_resize(images, boxes(*rows), 6)
    alone = [ops.crop_resize(images[i : i + 1], boxes(row), 6) for i, row in enumerate(rows)]
    np.testing.assert_allclose(together, tf.concat(alone, 0), atol=1e-6)


def test_mirror_flips_those_images_it_is_true_for():
    images = random_images()
    rows = boxes((0, 0, 4, 4), (2, 3, 5, 3), (1, 0, 7, 8))
    plain = ops.crop_resize(images, rows, 6)
    flipped = ops.crop_resize(images, rows, 6, mirror=tf.constant([True, False, True]))
    np.testing.assert_allclose(flipped[0], plain[0, :, ::-1], atol=1e-6)
    np.testing.assert_allclose(flipped[1], plain[1], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [20, 96, 150])
def test_a_crop_of_a_large_image_is_the_cut_out_resized_with_antialias(kind, size):
    images = random_images(batch=2, height=130, width=97)
    rows = [(3, 5, 90, 71), (0, 0, 130, 97)]
    mirror = tf.constant([True, False])
    found = ops.crop_resize(images, boxes(*rows), size, interpolation=kind, mirror=mirror)
    for i, (top, left, height, width) in enumerate(rows):
        cut = images[i, top : top + height, left : left + width]
        expected = tf.image.resize(cut, (size, size), method=kind, antialias=True)
        expected = expected[:, ::-1] if mirror[i] else expected
        np.testing.assert_allclose(found[i], expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_resampling_rows_sum_to_one_and_stay_inside_of_the_stretch(kind):
    start, length = tf.constant([0.0, 2.0]), tf.constant([8.0, 3.0])
    matrix = ops.resampling_matrix(start, length, 8, 5, interpolation=kind).numpy()
    np.testing.assert_allclose(matrix.sum(-1), np.ones((2, 5)), atol=1e-6)
    assert not matrix[1, :, :2].any() and not matrix[1, :, 5:].any()


def one_box_by_loop(uniform, height, width, scale, ratio):
    """torchvision's RandomResizedCrop.get_params, on given draws."""
    for i in range(10):
        area = height * width * (scale[0] + (scale[1] - scale[0]) * uniform[i])
        low, high = math.log(ratio[0]), math.log(ratio[1])
        aspect = math.exp(low + (high - low) * uniform[10 + i])
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(uniform[20] * (height - h + 1)), int(uniform[21] * (width - w + 1)), h, w
    w, h = width, height
    if width / height < ratio[0]:
        h = round(w / ratio[0])
    elif width / height > ratio[1]:
        w = round(h * ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize("shape", [(32, 32), (20, 48), (48, 20), (4, 60)])
def test_boxes_are_those_of_the_loop_over_ten_tries(shape):
    scale, ratio = (0.08, 1.0), (3 / 4, 4 / 3)
    uniform = np.random.default_rng(0).random((ops.CROP_DRAWS, 200)).astype("float32")
    found = ops.random_boxes(tf.constant(uniform), *shape, scale=scale, ratio=ratio).numpy()
    expected = [one_box_by_loop(u, *shape, scale, ratio) for u in uniform.T.astype(float)]
    # Single precision may round a side the other way where it falls on a half.
    assert np.mean(np.all(found == expected, axis=1)) > 0.98


def test_boxes_lie_inside_of_the_image_and_their_areas_fill_the_range():
    uniform = tf.random.stateless_uniform((ops.CROP_DRAWS, 2000), [0, 1])
    found = ops.random_boxes(uniform, 32, 32, scale=(0.25, 0.5), ratio=(1.0, 1.0)).numpy()
    top, left, height, width = found.T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= 32).all() and (left + width <= 32).all()
    area = height * width / 32**2
    assert abs(area.mean() - 0.375) < 0.01 and area.min() < 0.27 and area.max() > 0.48
