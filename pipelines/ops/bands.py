"""Products with matrices that are zero far from their diagonal: each block of rows its window.

A crop or a blur of a large image needs few source pixels for each pixel of the result, where the
dense product would go through all of them.
"""

import tensorflow as tf

BLOCK = 16


def is_large(side):
    """Whether a product along an axis of `side` pixels is worth cutting into windows."""
    return side >= 6 * BLOCK


def apply_bands(images, rows, columns):
    """Multiply each image by its banded matrices.

    Args:
        images: (batch, height, width, channels) float.
        rows, columns: pairs (starts, weights): of each block of `BLOCK` pixels of the result the
            first pixel of its window, (batch, blocks) int32, and the weights of the pixels of the
            window, (batch, blocks, BLOCK, window).

    Returns:
        (batch, blocks of rows * BLOCK, blocks of columns * BLOCK, channels).
    """
    for bands in (rows, columns):  # each time along axis 1, then the axes change places
        images = tf.transpose(_apply(images, *bands), (0, 2, 1, 3))
    return images


def _apply(images, starts, weights):
    side, channels = images.shape[2:]
    blocks, block, window = weights.shape[1:]
    places = tf.reshape(starts[:, :, None] + tf.range(window), (-1, blocks * window))
    windows = tf.gather(images, places, axis=1, batch_dims=1)
    product = weights @ tf.reshape(windows, (-1, blocks, window, side * channels))
    return tf.reshape(product, (-1, blocks * block, side, channels))
