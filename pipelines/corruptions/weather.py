"""Weather: snow, frost and fog."""

import numpy as np
import tensorflow as tf

from pipelines.corruptions.camera import smear, uniform_angles
from pipelines.corruptions.resampling import along_axes, zoom_matrix
from pipelines.ops.color import luma

_ICE = (0.85, 0.95, 1.0)  # the tint of frost, R G B


def snow(images, draw, constants):
    """Whiten the image and add flakes that fall, each half of them a turn of the other."""
    mean, std, factor, threshold, radius, sigma, share = constants
    batch, height, width, _ = images.shape
    flakes = draw.normal(mean, std, (batch, height, width, 1)).astype("float32")
    flakes = along_axes(flakes, zoom_matrix(height, factor), zoom_matrix(width, factor))
    flakes = tf.clip_by_value(tf.where(flakes < threshold, 0.0, flakes), 0.0, 1.0)
    flakes = tf.floor(flakes * 255.0) / 255.0
    flakes = smear(flakes, uniform_angles(draw, batch, -135, -45), radius, sigma)
    white = tf.maximum(images, 1.5 * luma(images) + 0.5)
    return share * images + (1 - share) * white + flakes + flakes[:, ::-1, ::-1]


def frost(images, draw, constants):
    """Add ice crystals. The published photographs are replaced by textures that are made here.

    A texture is the ridges of a rough plasma fractal, thinned out by a smooth one, with a bluish
    tint; values in [0, 1]. Accuracies are therefore not those of the published frost.
    """
    batch, height, width, channels = images.shape
    rough, smooth = (
        plasma_fractal(draw, batch, max(height, width), decay)[:, :height, :width]
        for decay in (1.6, 2.5)
    )
    ridges = 1 - np.abs(2 * rough - 1)
    ice = np.clip(0.2 + 0.8 * ridges**2 * (0.4 + smooth), 0, 1).astype("float32")[..., None]
    tint = np.asarray(_ICE, "float32") if channels == 3 else np.float32(np.mean(_ICE))
    return constants[0] * images + constants[1] * ice * tint


def fog(images, draw, constants):
    """Add a plasma fractal and scale back to the largest value of the image."""
    strength, decay = constants
    batch, height, width, _ = images.shape
    clouds = plasma_fractal(draw, batch, max(height, width), decay)[:, :height, :width, None]
    largest = tf.reduce_max(images, axis=(1, 2, 3), keepdims=True)
    return (images + strength * clouds.astype("float32")) * largest / (largest + strength)


def plasma_fractal(draw, batch, side, decay):
    """Random clouds by the diamond-square algorithm, from 0 to 1, periodic.

    Args:
        draw: `np.random.RandomState`.
        batch: int. Number of maps.
        side: int. Smallest side of the maps; the next power of two is made.
        decay: float > 1. By how much the roughness falls from one scale to the next, half as large.

    Returns:
        float64 (batch, power of two, power of two).
    """
    side = 1 << (side - 1).bit_length()
    clouds = np.zeros((batch, side, side))
    step, rough = side, 100.0

    def near(total):
        return total / 4 + rough * draw.uniform(-rough, rough, total.shape)

    def plus_rolled(x, axis, shift):
        return x + np.roll(x, shift, axis=axis)

    while step >= 2:
        half = step // 2
        corners = clouds[:, ::step, ::step]
        middles = near(plus_rolled(plus_rolled(corners, 1, -1), 2, -1))
        clouds[:, half::step, half::step] = middles
        clouds[:, ::step, half::step] = near(
            plus_rolled(middles, 1, 1) + plus_rolled(corners, 2, -1)
        )
        clouds[:, half::step, ::step] = near(
            plus_rolled(middles, 2, 1) + plus_rolled(corners, 1, -1)
        )
        step, rough = half, rough / decay
    clouds -= clouds.min(axis=(1, 2), keepdims=True)
    return clouds / clouds.max(axis=(1, 2), keepdims=True)
