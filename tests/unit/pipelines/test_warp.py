import numpy as np
import pytest
import tensorflow as tf

from pipelines import ops


def random_images(batch=2, height=8, width=8):
    rng = np.random.default_rng(0)
    return tf.constant(rng.random((batch, height, width, 1)), tf.float32)


def column(*values):
    return tf.constant(values, tf.float32)


def matrices(rotation=0.0, shear_y=0.0, shear_x=0.0, zoom=1.0):
    return ops.affine_matrix(
        rotation=column(rotation),
        shear_y=column(shear_y),
        shear_x=column(shear_x),
        zoom=column(zoom),
    )


def test_the_neutral_map_is_the_identity():
    np.testing.assert_allclose(matrices()[0], np.eye(2), atol=1e-7)
    images = random_images(1, height=7)
    np.testing.assert_allclose(ops.affine(images, matrices(), tf.zeros((1, 2))), images, atol=1e-6)


def test_a_whole_shift_moves_pixels_and_fills_with_zero():
    images = random_images(1)
    shifted = ops.affine(images, matrices(), tf.constant([[2.0, -3.0]]))
    expected = np.zeros((1, 8, 8, 1), "float32")
    expected[:, :6, 3:] = images[:, 2:, :5]
    np.testing.assert_allclose(shifted, expected, atol=1e-6)


def test_half_a_pixel_outside_fades_to_zero():
    image = tf.ones((1, 4, 4, 1))
    shifted = ops.affine(image, matrices(), tf.constant([[0.5, 0.0]]))
    np.testing.assert_allclose(shifted[0, :, 0, 0], [1.0, 1.0, 1.0, 0.5], atol=1e-6)


def test_a_quarter_turn_is_counter_clockwise():
    images = random_images(1)
    turned = ops.affine(images, matrices(rotation=90.0), tf.zeros((1, 2)))
    np.testing.assert_allclose(turned, tf.image.rot90(images), atol=1e-5)


def test_zoom_and_its_inverse_cancel_in_the_map():
    product = matrices(zoom=1.25)[0] @ matrices(zoom=0.8)[0]
    np.testing.assert_allclose(product, np.eye(2), atol=1e-6)


def test_zoom_above_one_enlarges():
    blob = np.zeros((1, 8, 8, 1), "float32")
    blob[:, 3:5, 3:5] = 1.0
    larger = ops.affine(tf.constant(blob), matrices(zoom=2.0), tf.zeros((1, 2)))
    assert larger.numpy().sum() > 2 * blob.sum()


def test_every_image_has_its_own_map():
    images = random_images(2)
    maps = tf.concat([matrices(rotation=20.0), matrices(shear_x=10.0)], 0)
    shift = tf.constant([[0.5, 0.0], [0.0, -1.5]])
    together = ops.affine(images, maps, shift)
    alone = ops.affine(images[1:], maps[1:], shift[1:])
    np.testing.assert_allclose(together[1:], alone, atol=1e-6)


def test_erase_empties_the_box_and_nothing_else():
    erased = ops.erase(tf.ones((2, 6, 6, 3)), tf.constant([[1.0, 2.0, 3.0, 2.0], [0, 0, 0, 0]]))
    expected = np.ones((2, 6, 6, 3))
    expected[0, 1:4, 2:4] = 0.0
    np.testing.assert_array_equal(erased, expected)


def test_a_single_image_takes_the_quarter_turn_that_it_takes_in_a_batch():
    images, turns = tf.random.uniform((4, 8, 8, 3)), tf.range(4)
    batch = ops.quarter_turns(images, turns)
    for i in range(4):
        alone = ops.quarter_turns(images[i : i + 1], turns[i : i + 1])
        np.testing.assert_array_equal(alone[0], batch[i])


@pytest.mark.parametrize("compiled", [False, True])
def test_quarter_turns_are_exact_and_counter_clockwise(compiled):
    images = random_images(4)
    turn = tf.function(ops.quarter_turns, jit_compile=True) if compiled else ops.quarter_turns
    turned = turn(images, tf.constant([0, 1, 2, 3]))
    expected = [tf.image.rot90(image, k) for k, image in enumerate(images)]
    np.testing.assert_array_equal(turned, tf.stack(expected))


def test_cutouts_may_hang_over_any_border():
    places = tf.constant([[0.0, 0.5, 0.999], [0.0, 0.5, 0.999]])
    boxes = ops.cutout_boxes(places, 8, 8, 0.5)
    np.testing.assert_array_equal(boxes, [[-2, -2, 4, 4], [2, 2, 4, 4], [5, 5, 4, 4]])
    erased = ops.erase(tf.ones((3, 8, 8, 1)), boxes).numpy()
    assert [64 - image.sum() for image in erased] == [4.0, 16.0, 9.0]


def test_the_smallest_cutout_is_a_pixel():
    assert ops.cutout_boxes(tf.zeros((2, 1)), 8, 8, 0.01)[0, 2] == 1.0
