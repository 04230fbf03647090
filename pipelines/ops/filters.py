"""The Sobel filter: edges in the place of the image."""

import tensorflow as tf

_STEEPEST = 4.0  # what the kernels below give at a straight edge from 0 to 1


def sobel(images):
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
    before, _, after = _neighbours(images, axis)
    return after - before


def _smooth(images, axis):
    before, here, after = _neighbours(images, axis)
    return before + 2.0 * here + after


def _neighbours(images, axis):
    """The images without their border along `axis`, and those moved by one pixel either way."""
    if axis == 1:
        return images[:, :-2], images[:, 1:-1], images[:, 2:]
    return images[:, :, :-2], images[:, :, 1:-1], images[:, :, 2:]
