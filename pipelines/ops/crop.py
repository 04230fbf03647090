"""Random resized crops of a batch: one box per image, resampled as two products with matrices."""

import math

import tensorflow as tf

CROP_TRIES = 10
CROP_DRAWS = 2 * CROP_TRIES + 2
BLOCK = 16  # pixels of the result that share a window of a banded matrix


def _triangle(x):
    return tf.nn.relu(1.0 - tf.abs(x))


def cubic(x, a=-0.5):
    x = tf.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = a * (((x - 5.0) * x + 8.0) * x - 4.0)
    return tf.where(x < 1.0, near, tf.where(x < 2.0, far, 0.0))


_KERNELS = {"bilinear": _triangle, "bicubic": cubic}
_REACH = {"bilinear": 1.0, "bicubic": 2.0}


def resampling_matrix(
    start: tf.Tensor,
    length: tf.Tensor,
    in_size: int,
    out_size: int,
    *,
    interpolation: str = "bilinear",
    mirror: tf.Tensor | None = None,
) -> tf.Tensor:
    """Rows that resample the stretch [start, start + length) of an axis to `out_size` pixels.

    The kernel widens when it shrinks (antialias), as PIL and torchvision do; pixels outside of the
    stretch have no weight, as if it had been cut out first.

    Args:
        start, length: (batch,) float, in pixels.
        in_size, out_size: sizes of the axis.
        interpolation: "bilinear" or "bicubic" (a = -0.5).
        mirror: (batch,) bool or `None`; true runs the stretch backwards (a free flip).

    Returns:
        (batch, out_size, in_size); rows sum to 1.
    """
    pixel = tf.range(in_size, dtype=start.dtype) + 0.5
    center = pixel_centers(start, length, out_size, mirror)[:, :, None]
    start, length = start[:, None, None], length[:, None, None]
    return _weights(pixel, center, start, length, out_size, interpolation)


def _weights(pixel, center, start, length, out_size, interpolation):
    scale = length / out_size
    weight = _KERNELS[interpolation]((pixel - center) / tf.maximum(scale, 1.0))
    weight = tf.where((pixel > start) & (pixel < start + length), weight, 0.0)
    return weight / tf.reduce_sum(weight, axis=-1, keepdims=True)


def _resampling_bands(start, length, in_size, out_size, *, interpolation, mirror=None):
    """`resampling_matrix` as `apply_bands` takes it; rows past `out_size` fill the last block."""
    blocks = -(-out_size // BLOCK)
    reach, most = _REACH[interpolation], max(in_size / out_size, 1.0)
    window = min(in_size, math.ceil((BLOCK - 1) * in_size / out_size + 2.0 * reach * most) + 1)
    center = pixel_centers(start, length, out_size, mirror)
    last = center[:, -1:]
    center = tf.concat([center, tf.repeat(last, blocks * BLOCK - out_size, axis=1)], axis=1)
    center = tf.reshape(center, (-1, blocks, BLOCK))
    first = tf.reduce_min(center, axis=2) - reach * tf.maximum(length / out_size, 1.0)[:, None]
    starts = tf.clip_by_value(tf.cast(tf.floor(first), tf.int32), 0, in_size - window)
    pixel = tf.cast(starts[..., None] + tf.range(window), start.dtype)[:, :, None] + 0.5
    start, length = start[:, None, None, None], length[:, None, None, None]
    return starts, _weights(pixel, center[..., None], start, length, out_size, interpolation)


def pixel_centers(start, length, out_size, mirror=None):
    """Centers of the output pixels on the input axis, (batch, out_size); pixel i is [i, i + 1)."""
    offset = tf.range(out_size, dtype=start.dtype)[None] + 0.5
    if mirror is not None:
        offset = tf.where(mirror[:, None], out_size - offset, offset)
    return start[:, None] + offset * (length / out_size)[:, None]


def crop_resize(
    images: tf.Tensor,
    boxes: tf.Tensor,
    size: int,
    *,
    interpolation: str = "bilinear",
    mirror: tf.Tensor | None = None,
) -> tf.Tensor:
    """Cut `boxes` out of the images and resize them to a square of `size`.

    Args:
        images: (batch, height, width, channels) float.
        boxes: (batch, 4) float: top, left, height, width, in pixels and inside the image.
        size: side of the result.
        interpolation: "bilinear" or "bicubic" (a = -0.5), with antialias as PIL does it.
        mirror: (batch,) bool or `None`; true flips the result left to right.

    Returns:
        (batch, size, size, channels); bicubic values may leave the range of the input.

    Example:

    >>> boxes = tf.constant([[0.0, 0.0, 4.0, 4.0]])
    >>> crop_resize(tf.ones((1, 8, 8, 3)), boxes, 6).shape
    TensorShape([1, 6, 6, 3])
    """
    if is_large(min(images.shape[1:3])):
        bands = crop_bands(images.shape, boxes, size, interpolation=interpolation, mirror=mirror)
        return apply_bands(images, *bands)[:, :size, :size]
    matrices = crop_matrices(images.shape, boxes, size, interpolation=interpolation, mirror=mirror)
    return apply_separable(images, *matrices)


def crop_bands(shape, boxes, size, *, interpolation="bilinear", mirror=None):
    """What is not 0 of the matrices of `crop_resize`, as `apply_bands` takes it."""
    top, left, height, width = tf.unstack(boxes, axis=1)
    rows = _resampling_bands(top, height, shape[1], size, interpolation=interpolation)
    columns = _resampling_bands(
        left, width, shape[2], size, interpolation=interpolation, mirror=mirror
    )
    return rows, columns


def crop_matrices(shape, boxes, size, *, interpolation="bilinear", mirror=None):
    """The matrices of `crop_resize` for images of `shape`: rows and columns."""
    height, width = shape[1:3]
    top, left, box_height, box_width = tf.unstack(boxes, axis=1)
    rows = resampling_matrix(top, box_height, height, size, interpolation=interpolation)
    columns = resampling_matrix(
        left, box_width, width, size, interpolation=interpolation, mirror=mirror
    )
    return rows, columns


def apply_separable(images, rows, columns):
    """Multiply each image by its matrices: rows (batch, h, height), columns (batch, w, width)."""
    height, width, channels = images.shape[1:]
    images = rows @ tf.reshape(images, (-1, height, width * channels))
    images = tf.reshape(images, (-1, rows.shape[1], width, channels))
    # Channels go to the rows, so that one product serves all of them.
    images = tf.reshape(tf.transpose(images, (0, 1, 3, 2)), (-1, rows.shape[1] * channels, width))
    images = tf.matmul(images, columns, transpose_b=True)
    images = tf.reshape(images, (-1, rows.shape[1], channels, columns.shape[1]))
    return tf.transpose(images, (0, 1, 3, 2))


def is_large(side):
    """Whether a product along an axis of `side` pixels is worth cutting into windows."""
    return side >= 6 * BLOCK


def apply_bands(images, rows, columns):
    """Multiply each image by its banded matrices, which are zero far from their diagonal.

    A crop or a blur of a large image needs few source pixels for each pixel of the result, where
    the dense product would go through all of them: here each block of rows has its window.

    Args:
        images: (batch, height, width, channels) float.
        rows, columns: pairs (starts, weights): of each block of `BLOCK` pixels of the result the
            first pixel of its window, (batch, blocks) int32, and the weights of the pixels of the
            window, (batch, blocks, BLOCK, window).

    Returns:
        (batch, blocks of rows * BLOCK, blocks of columns * BLOCK, channels).
    """
    for bands in (rows, columns):  # each time along axis 1, then the axes change places
        images = tf.transpose(_along_rows(images, *bands), (0, 2, 1, 3))
    return images


def _along_rows(images, starts, weights):
    side, channels = images.shape[2:]
    blocks, block, window = weights.shape[1:]
    places = tf.reshape(starts[:, :, None] + tf.range(window), (-1, blocks * window))
    windows = tf.gather(images, places, axis=1, batch_dims=1)
    product = weights @ tf.reshape(windows, (-1, blocks, window, side * channels))
    return tf.reshape(product, (-1, blocks * block, side, channels))


def random_boxes(uniform: tf.Tensor, height, width, *, scale, ratio) -> tf.Tensor:
    """Boxes of torchvision's RandomResizedCrop, the ten tries made at once.

    A try draws an area (share of the image) from `scale` and an aspect ratio, log-uniform, from
    `ratio`; the first box that fits is placed uniformly. If none fits: the largest central box
    with an allowed ratio.

    Args:
        uniform: (CROP_DRAWS, batch) in [0, 1).
        height, width: of the images; numbers, or (batch,) float.
        scale, ratio: pairs (smallest, largest).

    Returns:
        (batch, 4) float: top, left, height, width; whole numbers.
    """
    area = height * width * (scale[0] + (scale[1] - scale[0]) * uniform[:CROP_TRIES])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = tf.exp(low + (high - low) * uniform[CROP_TRIES : 2 * CROP_TRIES])
    widths, heights = tf.round(tf.sqrt(area * aspect)), tf.round(tf.sqrt(area / aspect))
    fits = (widths >= 1.0) & (widths <= width) & (heights >= 1.0) & (heights <= height)
    first = tf.one_hot(tf.argmax(fits, axis=0), CROP_TRIES, axis=0)  # (tries, batch)
    central_height, central_width = _central_box(height, width, ratio)
    found = tf.reduce_any(fits, axis=0)
    box_height = tf.where(found, tf.reduce_sum(first * heights, axis=0), central_height)
    box_width = tf.where(found, tf.reduce_sum(first * widths, axis=0), central_width)
    places = (height - box_height, width - box_width)
    top, left = (
        tf.where(found, tf.floor(draw * (place + 1.0)), tf.floor(place / 2.0))
        for draw, place in zip(tf.unstack(uniform[2 * CROP_TRIES :]), places, strict=True)
    )
    return tf.stack([top, left, box_height, box_width], axis=1)


def _central_box(height, width, ratio):
    """The largest box with an allowed ratio; sides may be numbers, or (batch,) tensors."""
    height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    narrow, wide = width / height < ratio[0], width / height > ratio[1]
    box_height = tf.where(narrow, tf.maximum(tf.round(width / ratio[0]), 1.0), height)
    return box_height, tf.where(wide, tf.maximum(tf.round(height * ratio[1]), 1.0), width)
