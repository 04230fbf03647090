import numpy as np
import pytest
import tensorflow as tf

from pipelines import ops
from tests import image_oracles as oracles


def random_images(batch=2, height=9, width=8):
    rng = np.random.default_rng(0)
    return tf.constant(rng.random((batch, height, width, 3)), tf.float32)


def gaussian(images, sigma):
    return oracles.gaussian_blur(images, sigma, kernel_size=5)


@pytest.mark.parametrize("blur", [gaussian, ops.extended_box_blur, oracles.pil_blur])
def test_blur_keeps_a_constant_image_and_smooths_others(blur):
    sigma = tf.constant([0.8, 2.0])
    constant = tf.fill((2, 9, 8, 3), 0.4)
    np.testing.assert_allclose(blur(constant, sigma), constant, atol=1e-6)
    images = random_images()
    spread = tf.math.reduce_std(blur(images, sigma), axis=[1, 2, 3]).numpy()
    assert (spread < tf.math.reduce_std(images, axis=[1, 2, 3]).numpy()).all()
    assert spread[1] < spread[0]


def test_sigma_zero_leaves_the_image():
    images = random_images()
    np.testing.assert_allclose(ops.extended_box_blur(images, tf.zeros(2)), images, atol=1e-6)


@pytest.mark.parametrize("largest", [0.3, 2.0, 5.0, 9.0])
@pytest.mark.parametrize("shape", [(96, 96), (100, 129)])
def test_a_bound_on_sigma_changes_no_large_image(largest, shape):
    images = random_images(2, *shape)
    sigma = tf.constant([0.0, largest])
    bounded = ops.extended_box_blur(images, sigma, largest=largest)
    np.testing.assert_allclose(bounded, ops.extended_box_blur(images, sigma), atol=1e-5)


def test_gaussian_is_the_outer_product_of_its_taps():
    point = tf.reshape(tf.one_hot(4 * 9 + 4, 81), (1, 9, 9, 1))
    taps = np.exp(-0.5 * (np.arange(-2, 3) / 1.5) ** 2)
    taps /= taps.sum()
    spread = oracles.gaussian_blur(point, tf.constant([1.5]), kernel_size=5)[0, 2:7, 2:7, 0]
    np.testing.assert_allclose(spread, np.outer(taps, taps), atol=1e-6)


def test_box_blur_has_the_variance_of_the_gaussian():
    line = tf.reshape(tf.one_hot(20, 41), (1, 1, 41, 1))
    for sigma in (0.5, 1.0, 2.0):
        spread = ops.extended_box_blur(line, tf.constant([sigma]))[0, 0, :, 0].numpy()
        variance = (spread * (np.arange(41) - 20) ** 2).sum()
        assert abs(variance - sigma**2) < 1e-3 * sigma**2


def test_a_kernel_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match="too large"):
        oracles.gaussian_blur(random_images(), tf.ones(2), kernel_size=17)


def test_eight_bit_blur_stays_within_three_levels_of_the_exact_boxes():
    images, sigma = oracles.quantize(random_images()), tf.constant([0.5, 1.5])
    difference = oracles.pil_blur(images, sigma) - ops.extended_box_blur(images, sigma)
    assert np.abs(difference).max() * 255 < 3.0


# Sobel filter.


def test_sobel_is_the_length_of_tensorflows_gradient():
    images = random_images()
    edges = tf.image.sobel_edges(images)
    expected = tf.minimum(tf.norm(edges, axis=-1) / 4.0, 1.0)
    np.testing.assert_allclose(ops.sobel(images), expected, atol=1e-6)
    compiled = tf.function(ops.sobel, jit_compile=True)
    np.testing.assert_allclose(compiled(images), expected, atol=1e-6)


def test_sobel_of_a_step_is_one_beside_it_and_nothing_elsewhere():
    step = np.zeros((1, 6, 6, 1), "float32")
    step[:, :, 3:] = 1.0
    expected = np.zeros((1, 6, 6, 1))
    expected[:, :, 2:4] = 1.0
    for axes in ((0, 1, 2, 3), (0, 2, 1, 3)):
        np.testing.assert_allclose(ops.sobel(step.transpose(axes)), expected.transpose(axes))
