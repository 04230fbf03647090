import colorsys
import itertools

import numpy as np
import pytest
import tensorflow as tf

from pipelines import ops
from tests import image_oracles as oracles

ORDERS = np.array(list(itertools.permutations(range(4))), np.int32)


def random_images(batch=4, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.random((batch, 8, 8, channels)), tf.float32)


def factors(batch, seed=0):
    rng = np.random.default_rng(seed)
    draws = {
        name: rng.uniform(0.2, 1.8, batch) for name in ("brightness", "contrast", "saturation")
    }
    draws["hue"] = rng.uniform(-0.2, 0.2, batch)
    return {name: tf.constant(draw, tf.float32) for name, draw in draws.items()}


def column(*values):
    return tf.constant(values, tf.float32)


@pytest.mark.parametrize(
    "adjust", [ops.adjust_brightness, ops.adjust_contrast, ops.adjust_saturation]
)
def test_factor_one_changes_nothing(adjust):
    images = random_images()
    np.testing.assert_allclose(adjust(images, tf.ones(4)), images, atol=1e-6)


def test_factor_zero_gives_black_the_mean_gray_and_the_gray_image():
    images, zero = random_images(), tf.zeros(4)
    gray = ops.grayscale(images)
    mean = tf.reduce_mean(gray, axis=[1, 2, 3], keepdims=True) * tf.ones_like(images)
    np.testing.assert_array_equal(ops.adjust_brightness(images, zero), tf.zeros_like(images))
    np.testing.assert_allclose(ops.adjust_contrast(images, zero), mean, atol=1e-6)
    np.testing.assert_allclose(ops.adjust_saturation(images, zero), gray, atol=1e-6)


def test_every_image_has_its_own_factor():
    images = random_images()
    both = ops.adjust_contrast(images, column(0.3, 0.6, 1.2, 1.7))
    alone = ops.adjust_contrast(images[2:3], column(1.2))
    np.testing.assert_allclose(both[2:3], alone, atol=1e-7)


def test_hue_agrees_with_the_standard_library():
    images = random_images(batch=2)
    shift = (0.13, -0.4)
    expected = np.empty(images.shape)
    for index in np.ndindex(2, 8, 8):
        hue, saturation, value = colorsys.rgb_to_hsv(*images[index].numpy().tolist())
        expected[index] = colorsys.hsv_to_rgb((hue + shift[index[0]]) % 1.0, saturation, value)
    np.testing.assert_allclose(ops.adjust_hue(images, column(*shift)), expected, atol=1e-5)


def test_a_third_of_a_turn_exchanges_the_channels():
    images = random_images(batch=1)
    turned = ops.adjust_hue(images, column(1 / 3))
    np.testing.assert_allclose(turned, tf.roll(images, 1, axis=-1), atol=1e-5)


def test_hue_leaves_gray_pixels_alone():
    gray = ops.grayscale(random_images())
    np.testing.assert_allclose(ops.adjust_hue(gray, column(0.1, 0.2, 0.3, -0.5)), gray, atol=1e-6)


def test_solarize_inverts_the_bright_half_only():
    images = tf.reshape(column(0.2, 0.5, 0.9), (1, 1, 1, 3))
    np.testing.assert_allclose(tf.reshape(ops.solarize(images), -1), [0.2, 0.5, 0.1], atol=1e-6)


def test_jitter_follows_the_order_of_each_image():
    images, drawn = random_images(batch=24), factors(24)
    expected = []
    for i, places in enumerate(ORDERS):
        image = images[i : i + 1]
        for operator in np.argsort(places):
            name = ("brightness", "contrast", "saturation", "hue")[operator]
            image = getattr(ops, f"adjust_{name}")(image, drawn[name][i : i + 1])
        expected.append(image)
    jittered = ops.color_jitter(images, **drawn, position=tf.constant(ORDERS))
    np.testing.assert_allclose(jittered, tf.concat(expected, 0), atol=1e-5)


def test_compiling_the_jitter_does_not_change_it():
    # A hue computed with `channel == maximum` passes eagerly and fails here.
    images, drawn = random_images(batch=24, seed=1), factors(24, seed=1)
    position = tf.constant(ORDERS)
    compiled = tf.function(
        lambda: ops.color_jitter(images, **drawn, position=position), jit_compile=True
    )
    np.testing.assert_allclose(
        compiled(), ops.color_jitter(images, **drawn, position=position), atol=1e-5
    )


@pytest.mark.parametrize("jitter", [ops.color_jitter, ops.tf_color_jitter])
@pytest.mark.parametrize("channels, left_out", [(3, ""), (3, "hue"), (3, "contrast"), (1, "")])
def test_the_jitter_of_one_image_is_the_one_it_has_in_a_batch(jitter, channels, left_out):
    images, amounts = random_images(3, channels), factors(3)
    position = tf.constant(ORDERS[[0, 9, 22]])
    amounts[left_out] = None
    amounts.pop("", None)
    together = jitter(images, **amounts, position=position)
    for i in range(3):
        own = {name: None if x is None else x[i : i + 1] for name, x in amounts.items()}
        alone = jitter(images[i : i + 1], **own, position=position[i : i + 1])
        np.testing.assert_allclose(alone[0], together[i], atol=1e-5)


@pytest.mark.parametrize("scaled", [False, True])
def test_tensorflows_jitter_is_that_of_tf_image_in_the_order_of_each_image(scaled):
    images, drawn = random_images(batch=24), factors(24)
    if not scaled:
        drawn["brightness"] -= 1.0
    operators = {
        "brightness": tf.multiply if scaled else tf.image.adjust_brightness,
        "contrast": tf.image.adjust_contrast,
        "saturation": tf.image.adjust_saturation,
        "hue": tf.image.adjust_hue,
    }
    expected = []
    for i, places in enumerate(ORDERS):
        image = images[i]
        for operator in np.argsort(places):
            name = list(operators)[operator]
            image = ops.clip(operators[name](image, drawn[name][i]))
        expected.append(image)
    position = tf.constant(ORDERS)
    jittered = ops.tf_color_jitter(images, **drawn, position=position, scaled=scaled)
    np.testing.assert_allclose(jittered, tf.stack(expected), atol=1e-5)
    compiled = tf.function(ops.tf_color_jitter, jit_compile=True)
    compiled = compiled(images, **drawn, position=position, scaled=scaled)
    np.testing.assert_allclose(compiled, jittered, atol=1e-6)


@pytest.mark.parametrize("scaled", [False, True])
def test_neutral_amounts_leave_tensorflows_jitter_without_effect(scaled):
    one = tf.ones(24)
    neutral = {"brightness": one if scaled else 0 * one, "contrast": one, "saturation": one}
    images, position = random_images(24), tf.constant(ORDERS)
    for hue in (None, 0 * one):
        found = ops.tf_color_jitter(images, **neutral, hue=hue, position=position, scaled=scaled)
        np.testing.assert_allclose(found, images, atol=1e-6)


def test_the_two_families_of_contrast_and_saturation_differ():
    images, drawn = random_images(), factors(4)
    for name in ("contrast", "saturation"):
        only = dict.fromkeys(("brightness", "contrast", "saturation", "hue")) | {name: drawn[name]}
        both = [
            jitter(images, **only, position=tf.constant(ORDERS[:4]))
            for jitter in (ops.color_jitter, ops.tf_color_jitter)
        ]
        assert np.abs(both[0] - both[1]).max() > 0.005


def test_keeping_a_channel_sets_the_others_to_zero():
    images = random_images()
    kept = ops.keep_channel(images, tf.constant([0, 1, 2, -1]))
    expected = images * np.concatenate([np.eye(3), np.ones((1, 3))])[:, None, None]
    np.testing.assert_array_equal(kept, expected)


@pytest.mark.parametrize("jitter", [ops.color_jitter, ops.tf_color_jitter])
def test_jitter_of_gray_images_needs_no_color(jitter):
    images, drawn = random_images(channels=1), factors(4)
    position = tf.constant(ORDERS[:4])
    without = drawn | {"saturation": None, "hue": None}
    np.testing.assert_array_equal(
        jitter(images, **drawn, position=position), jitter(images, **without, position=position)
    )


def test_eight_bit_hue_follows_the_exact_one_up_to_its_rounding():
    images = oracles.quantize(random_images())
    shift = column(0.1, -0.2, 0.0, 0.45)
    np.testing.assert_allclose(
        oracles.pil_hue(images, shift), ops.adjust_hue(images, shift), atol=0.1
    )
