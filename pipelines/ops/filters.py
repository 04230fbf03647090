"""Filters of the neighborhood of a pixel: the extended box blur of PIL, and Sobel's edges."""

import math

import numpy as np
import tensorflow as tf

from pipelines.ops.crop import BLOCK, apply_bands, apply_separable, is_large

_STEEPEST = 4.0  # what the kernels of Sobel give at a straight edge from 0 to 1


def extended_box_blur(
    images: tf.Tensor, sigma: tf.Tensor, *, largest: float | None = None
) -> tf.Tensor:
    """Three box blurs of fractional width, borders repeated: PIL's `GaussianBlur(radius=sigma)`.

    What the published PyTorch recipes run; near to a Gaussian, without a kernel size. In floats:
    PIL rounds to 8 bits after each pass.

    Args:
        images: (batch, height, width, channels) float.
        sigma: (batch,) >= 0, in pixels; 0 leaves the image as it is.
        largest: float, the largest that `sigma` can be, or `None`. Large images are blurred faster
            where it is known and at most 5.

    Reference: P. Gwosdek et al., Theoretical Foundations of Gaussian Convolution by Extended Box
    Filtering, SSVM 2011, eqs. 7, 11 and 14.
    """
    height, width = images.shape[1:3]
    if largest is not None and _reach(largest) <= BLOCK and is_large(min(height, width)):
        rows, columns = (_blur_bands(sigma, side, _reach(largest)) for side in (height, width))
        return apply_bands(images, rows, columns)[:, :height, :width]
    rows, columns = box_matrices(sigma, height, width)
    return apply_separable(images, rows @ rows @ rows, columns @ columns @ columns)


def _reach(sigma):
    """How many pixels away the three boxes see."""
    return 3 * (math.floor((math.sqrt(4.0 * sigma**2 + 1.0) - 1.0) / 2.0) + 1)


def _blur_bands(sigma, side, reach):
    """The blur of an axis as `apply_bands` takes it, from that of an axis of five blocks.

    The outer two blocks on either side are those of any axis, and what lies between is all alike.
    """
    blocks, window = -(-side // BLOCK), BLOCK + 2 * reach
    beyond = blocks * BLOCK - side
    box = _box_matrix(_box_radius(sigma) + 0.5, 5 * BLOCK - beyond)
    short = tf.pad(box @ box @ box, ((0, 0), (0, beyond), (0, 0)))

    def starts(blocks):
        places = BLOCK * np.arange(blocks, dtype="int32") - reach
        return np.clip(places, 0, blocks * BLOCK - beyond - window)

    first, second, middle, *last = (
        short[:, i * BLOCK : (i + 1) * BLOCK, start : start + window]
        for i, start in enumerate(starts(5))
    )
    weights = tf.stack([first, second, *[middle] * (blocks - 4), *last], axis=1)
    return tf.repeat(starts(blocks)[None], tf.shape(sigma)[0], axis=0), weights


def box_matrices(sigma, height, width):
    """One of the three box blurs, as matrices for the rows and for the columns."""
    half = _box_radius(sigma) + 0.5
    rows = _box_matrix(half, height)
    return rows, rows if height == width else _box_matrix(half, width)


def _box_radius(sigma):
    variance = tf.square(sigma) / 3.0
    whole = tf.floor((tf.sqrt(12.0 * variance + 1.0) - 1.0) / 2.0)
    part = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance)
    return whole + part / (6.0 * (variance - tf.square(whole + 1.0)))


def _box_matrix(half, side):
    """Share of the window [i - half, i + half] that falls on pixel j; border pixels never end."""
    half = half[:, None, None]
    edges = np.arange(side + 1, dtype="float32") - 0.5
    edges[0], edges[-1] = -np.inf, np.inf
    distance = edges - np.arange(side, dtype="float32")[:, None]  # (side, side + 1)
    reached = tf.maximum(-half, tf.minimum(distance, half))
    return (reached[..., 1:] - reached[..., :-1]) / (2.0 * half)


def sobel(images: tf.Tensor) -> tf.Tensor:
    """Steepness of each channel: the length of its Sobel gradient, borders mirrored.

    The channels of the view stay, so that the same network takes it; DeepCluster instead feeds
    the two maps of the gradient of the mean of the channels. A straight edge from 0 to 1 gives 1.

    Args:
        images: (batch, height, width, channels) float in [0, 1], sides at least 2.

    Returns:
        Images of the same shape in [0, 1].

    Example:

    >>> sobel(tf.ones((1, 4, 4, 3))).shape
    TensorShape([1, 4, 4, 3])
    """
    padded = tf.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="REFLECT")
    down = _smooth(_difference(padded, axis=1), axis=2)
    across = _smooth(_difference(padded, axis=2), axis=1)
    return tf.minimum(tf.sqrt(tf.square(down) + tf.square(across)) / _STEEPEST, 1.0)


def _difference(images, axis):
    before, _, after = _neighbors(images, axis)
    return after - before


def _smooth(images, axis):
    before, here, after = _neighbors(images, axis)
    return before + 2.0 * here + after


def _neighbors(images, axis):
    """The images without their border along `axis`, and those moved by one pixel either way."""
    if axis == 1:
        return images[:, :-2], images[:, 1:-1], images[:, 2:]
    return images[:, :, :-2], images[:, :, 1:-1], images[:, :, 2:]
