"""Resampling: by matrices (result, source) along each axis, and at positions of each pixel."""

import math

import numpy as np
import tensorflow as tf


def along_axes(images, rows, columns):
    """Multiply both axes of images (batch, height, width, channels) by their matrices."""
    rows, columns = (tf.constant(x, tf.float32) for x in (rows, columns))
    images = tf.einsum("ij,bjkc->bikc", rows, images)
    return tf.einsum("ij,bkjc->bkic", columns, images)


def gaussian_matrix(side, sigma, *, truncate, mode):
    """The Gaussian of SciPy: cut off at `truncate` sigmas; `mode` as for `np.pad`."""
    reach = int(truncate * sigma + 0.5)
    if reach == 0:
        return np.eye(side)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps /= taps.sum()
    source = np.pad(np.arange(side), reach, mode=mode)
    matrix = np.zeros((side, side))
    for offset, weight in enumerate(taps):
        np.add.at(matrix, (np.arange(side), source[offset : offset + side]), weight)
    return matrix


def zoom_matrix(side, factor):
    """Enlarge by `factor` >= 1 and cut to size; linear between pixels, the ends stay (SciPy)."""
    inner = math.ceil(side / factor)
    first = (side - inner) // 2
    outer = round(inner * factor)
    trim = (outer - side) // 2
    at = np.arange(trim, trim + side) * (inner - 1) / max(outer - 1, 1)
    low = np.minimum(np.floor(at).astype(int), inner - 1)
    matrix = np.zeros((side, side))
    rows = np.arange(side)
    np.add.at(matrix, (rows, first + low), 1 - (at - low))
    np.add.at(matrix, (rows, first + np.minimum(low + 1, inner - 1)), at - low)
    return matrix


def box_matrix(source, result):
    """Resize by the means of boxes of pixels, as PIL's BOX does."""
    scale = source / result
    support = max(scale, 1.0)
    center = (np.arange(result)[:, None] + 0.5) * scale
    offset = (np.arange(source) + 0.5 - center) / support
    inside = (offset > -0.5) & (offset <= 0.5)
    return inside / inside.sum(axis=1, keepdims=True)


def sample(images, y, x, *, mode):
    """Bilinear values at real positions.

    Args:
        images: (batch, height, width, channels).
        y, x: (batch, height, width) positions in pixels, anywhere.
        mode: "reflect" to mirror at the middle of the border pixel, "symmetric" at its edge.
    """
    batch, height, width, channels = images.shape
    flat = tf.reshape(images, (batch, -1, channels))
    low_y, low_x = np.floor(y), np.floor(x)
    share_y, share_x = ((a - b).astype("float32")[..., None] for a, b in ((y, low_y), (x, low_x)))

    def at(step_y, step_x):
        rows = mirrored(low_y + step_y, height, mode)
        columns = mirrored(low_x + step_x, width, mode)
        source = (rows * width + columns).reshape(batch, -1)
        return tf.reshape(tf.gather(flat, source, batch_dims=1), images.shape)

    top = at(0, 0) * (1 - share_x) + at(0, 1) * share_x
    bottom = at(1, 0) * (1 - share_x) + at(1, 1) * share_x
    return top * (1 - share_y) + bottom * share_y


def mirrored(positions, side, mode):
    """Whole positions anywhere as positions in [0, side), by mirrors at both ends."""
    positions = positions.astype("int64")
    if mode == "reflect":
        positions = np.abs(positions) % (2 * side - 2)
        return np.minimum(positions, 2 * side - 2 - positions)
    positions = positions % (2 * side)
    return np.minimum(positions, 2 * side - 1 - positions)
