"""Affine warps (rotation, shear, zoom, shift in one resampling), quarter turns, erased boxes."""

import functools
import math

import tensorflow as tf


def affine(images: tf.Tensor, matrix: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Resample every image through its own affine map, bilinear, with 0 outside of the image.

    Args:
        images: (batch, height, width, channels) float.
        matrix: (batch, 2, 2). Maps an offset (y, x) from the center of the result to the offset
            in the source: its inverse is what happens to the content.
        shift: (batch, 2), added to the source offset (y, x), in pixels.

    Returns:
        Images of the same shape.

    Example:

    >>> affine(tf.ones((1, 4, 4, 1)), tf.eye(2)[None], tf.zeros((1, 2))).shape
    TensorShape([1, 4, 4, 1])
    """
    height, width, channels = images.shape[1:]
    y, x = _source(matrix, shift, height, width)
    # A border of zeros makes the taps outside of the image count as 0 without a mask.
    padded = tf.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    padded = tf.reshape(padded, (-1, (height + 2) * (width + 2), channels))
    top, y_part = _tap(y + 1.0, height)
    left, x_part = _tap(x + 1.0, width)
    first = top * (width + 2) + left

    def row(start):
        near, far = (tf.gather(padded, start + step, batch_dims=1) for step in (0, 1))
        return near + (far - near) * x_part

    upper, lower = row(first), row(first + width + 2)
    return upper + (lower - upper) * y_part


def _source(matrix, shift, height, width):
    """Where each pixel of the result comes from: y and x, (batch, height, width)."""
    center = ((height - 1) / 2, (width - 1) / 2)
    y = tf.range(height, dtype=matrix.dtype)[:, None] - center[0]
    x = tf.range(width, dtype=matrix.dtype)[None, :] - center[1]
    matrix, shift = matrix[..., None, None], shift[..., None, None]
    return [matrix[:, i, 0] * y + matrix[:, i, 1] * x + shift[:, i] + center[i] for i in (0, 1)]


def _tap(position, side):
    """First of the two pixels around a position on the padded axis, and the share of the second."""
    position = tf.clip_by_value(position, 0.0, side + 1.0)
    first = tf.minimum(tf.floor(position), float(side))
    return tf.cast(first, tf.int32), (position - first)[..., None]


def affine_matrix(
    rotation: tf.Tensor, shear_y: tf.Tensor, shear_x: tf.Tensor, zoom: tf.Tensor
) -> tf.Tensor:
    """Maps for `affine` that turn, shear and enlarge the content; (batch, 2, 2).

    Args:
        rotation: (batch,) degrees, counter-clockwise.
        shear_y, shear_x: (batch,) degrees by which the axes lean.
        zoom: (batch,) > 0; above 1 enlarges.
    """
    radian = math.pi / 180.0
    cosine, sine = tf.cos(rotation * radian), tf.sin(rotation * radian)
    tangent_y, tangent_x = tf.tan(shear_y * radian), tf.tan(shear_x * radian)
    rows = [
        [cosine + sine * tangent_x, sine + cosine * tangent_y],
        [-sine + cosine * tangent_x, cosine - sine * tangent_y],
    ]
    matrix = tf.stack([tf.stack(row, axis=-1) for row in rows], axis=-2)
    return matrix / zoom[:, None, None]


def quarter_turns(images: tf.Tensor, turns: tf.Tensor) -> tf.Tensor:
    """Turn square images counter-clockwise by (batch,) integers 0 to 3 quarters; no resampling."""
    if images.shape[0] == 1:  # of a single image only the turn that it takes is made
        turned = [functools.partial(tf.image.rot90, images, k) for k in range(4)]
        return tf.switch_case(turns[0], turned)
    turns = turns[:, None, None, None]
    images = tf.where((turns == 1) | (turns == 3), tf.transpose(images, (0, 2, 1, 3)), images)
    images = tf.where((turns == 1) | (turns == 2), images[:, ::-1], images)
    return tf.where((turns == 2) | (turns == 3), images[:, :, ::-1], images)


def cutout_boxes(uniform: tf.Tensor, height, width, share: float) -> tf.Tensor:
    """Squares around a pixel drawn anywhere, which may hang over the border.

    Args:
        uniform: (2, batch) in [0, 1), for the row and the column of the pixel.
        height, width: of the images.
        share: side of the square, as a share of the shorter side of the images.

    Returns:
        (batch, 4) float: top, left, height, width, whole numbers; top and left may be below 0.

    Reference: T. DeVries and G. W. Taylor, Improved Regularization of Convolutional Neural Networks
    with Cutout, 2017, sec. 3.2.
    """
    side = max(1, round(share * min(height, width)))
    top, left = (
        tf.floor(draw * size) - side // 2
        for draw, size in zip(tf.unstack(uniform), (height, width), strict=True)
    )
    sides = tf.fill(tf.shape(top), float(side))
    return tf.stack([top, left, sides, sides], axis=1)


def erase(images: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Set a box (top, left, height, width; (batch, 4) float) of every image to 0."""
    top, left, box_height, box_width = (boxes[:, i, None] for i in range(4))
    row = tf.range(images.shape[1], dtype=images.dtype)
    column = tf.range(images.shape[2], dtype=images.dtype)
    rows = (row >= top) & (row < top + box_height)
    columns = (column >= left) & (column < left + box_width)
    inside = rows[:, :, None, None] & columns[:, None, :, None]
    return tf.where(inside, 0.0, images)
