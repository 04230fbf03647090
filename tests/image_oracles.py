"""Image operators of other libraries, for comparison: PIL on 8-bit images, torchvision, torch."""

import numpy as np
import tensorflow as tf

from pipelines.ops.color import clip
from pipelines.ops.crop import apply_separable, crop_matrices, cubic, pixel_centers
from pipelines.ops.filters import box_matrices


def quantize(images):
    """Round images in [0, 1] to 256 levels, still in [0, 1]."""
    return tf.round(clip(images) * 255.0) / 255.0


def pil_blur(images, sigma):
    """PIL's Gaussian blur of radius `sigma` (batch,), rounded after each of its six passes."""
    rows, columns = box_matrices(sigma, *images.shape[1:3])
    images = _each_rounded(images, 3 * [columns], across=True)
    return _each_rounded(images, 3 * [rows], across=False)


def pil_crop_resize(images, boxes, size, *, interpolation="bilinear"):
    """PIL's crop and resize (as up to version 12): rounded and clipped after the columns too."""
    rows, columns = crop_matrices(images.shape, boxes, size, interpolation=interpolation)
    return _each_rounded(_each_rounded(images, [columns], across=True), [rows], across=False)


def _each_rounded(images, matrices, *, across):
    equation = "bjw,bhwc->bhjc" if across else "bih,bhwc->biwc"
    for matrix in matrices:
        images = quantize(tf.einsum(equation, matrix, images))
    return images


def pil_hue(images, shift):
    """Hue shift through PIL's 8-bit HSV, whose rounding moves colors by several levels.

    Args:
        images: (batch, height, width, 3) in [0, 1].
        shift: (batch,) in turns, -0.5 to 0.5.

    Returns:
        Images of 256 levels in [0, 1].
    """
    hue, saturation, value = _to_hsv(tf.cast(tf.round(images * 255.0), tf.float64))
    turn = _truncate(tf.reshape(tf.cast(shift, tf.float64) * 255.0, (-1, 1, 1)))
    turned = _to_rgb(tf.math.floormod(hue + turn, 256.0), saturation, value)
    return tf.cast(turned, images.dtype) / 255.0


def _round_up(x):
    return tf.floor(x + 0.5)


def _truncate(x):
    return tf.sign(x) * tf.floor(tf.abs(x))


def _single(x):
    # PIL keeps these in single precision; what it cuts off to whole numbers depends on it.
    return tf.cast(tf.cast(x, tf.float32), tf.float64)


def _to_hsv(images):
    red, green, blue = tf.unstack(images, axis=-1)
    value = tf.reduce_max(images, axis=-1)
    chroma = value - tf.reduce_min(images, axis=-1)
    safe = tf.where(chroma > 0.0, chroma, 1.0)
    distances = [_single((value - channel) / safe) for channel in (red, green, blue)]
    from_red, from_green, from_blue = distances
    sextant = tf.where(
        red == value,
        _single(from_blue - from_green),
        tf.where(green == value, 2.0 + from_red - from_blue, 4.0 + from_green - from_red),
    )
    hue = tf.floor(_single(tf.math.floormod(_single(sextant) / 6.0 + 1.0, 1.0)) * 255.0)
    saturation = tf.floor(_single(chroma / tf.maximum(value, 1.0)) * 255.0)
    return tf.where(chroma > 0.0, hue, 0.0), saturation, value


def _to_rgb(hue, saturation, value):
    position = hue * 6.0 / 255.0
    part = _single(position - tf.floor(position))
    saturation = _single(saturation / 255.0)
    low = _round_up(value * (1.0 - saturation))
    falling = _round_up(value * (1.0 - saturation * part))
    rising = _round_up(value * (1.0 - saturation * (1.0 - part)))
    sextants = [
        (value, rising, low),
        (falling, value, low),
        (low, value, rising),
        (low, falling, value),
        (rising, low, value),
        (value, low, falling),
    ]
    sextants = tf.stack([tf.stack(channels, axis=-1) for channels in sextants], axis=-2)
    index = tf.cast(tf.math.floormod(tf.floor(position), 6.0), tf.int32)
    return tf.gather(sextants, index, axis=-2, batch_dims=index.shape.rank)


def gaussian_blur(images, sigma, *, kernel_size):
    """Exact Gaussian, cut off at `kernel_size` and normalized, with mirrored borders (torchvision).

    Args:
        images: (batch, height, width, channels) float.
        sigma: (batch,) > 0, in pixels.
        kernel_size: odd; half of it must be less than the sides of the images.
    """
    reach = kernel_size // 2
    offset = tf.range(-reach, reach + 1, dtype=sigma.dtype)
    taps = tf.exp(-0.5 * tf.square(offset / sigma[:, None]))
    taps = taps / tf.reduce_sum(taps, axis=1, keepdims=True)  # (batch, kernel)
    rows, columns = (
        tf.einsum("bk,kij->bij", taps, _mirrored_shifts(side, reach)) for side in images.shape[1:3]
    )
    return apply_separable(images, rows, columns)


def _mirrored_shifts(side, reach):
    """(kernel, side, side): the matrix of each shift, going back at the borders."""
    if reach >= side:
        raise ValueError(
            f"kernel_size={2 * reach + 1} is too large for images of side {side}: "
            f"at most {2 * side - 1}."
        )
    source = np.arange(side) + np.arange(-reach, reach + 1)[:, None]
    source = side - 1 - np.abs(side - 1 - np.abs(source))
    return tf.constant(np.eye(side, dtype="float32")[source])


def torch_bicubic(images, boxes, size):
    """torch's bicubic crop without antialias: a = -0.75, four taps, the border pixel repeated."""
    top, left, height, width = tf.unstack(boxes, axis=1)
    rows = _plain_cubic_matrix(top, height, images.shape[1], size)
    columns = _plain_cubic_matrix(left, width, images.shape[2], size)
    return apply_separable(images, rows, columns)


def _plain_cubic_matrix(start, length, in_size, out_size):
    center = pixel_centers(start, length, out_size) - 0.5
    base = tf.floor(center)
    first, last = start[:, None], (start + length)[:, None] - 1.0
    matrix = 0.0
    for tap in range(-1, 3):
        index = tf.clip_by_value(base + tap, first, last)
        here = index[..., None] == tf.range(in_size, dtype=start.dtype)
        weight = cubic(center - base - tap, a=-0.75)[..., None]
        matrix += tf.where(here, weight, 0.0)
    return matrix
