"""Noise: of the sensor, of the photons, of broken bits.

Here and in the other files of the folder: images are float (batch, height, width, channels) in
[0, 1], `draw` is a `np.random.RandomState`, results may leave [0, 1].
"""

import numpy as np
import tensorflow as tf


def gaussian(images, draw, deviation):
    """Add normal noise to every value."""
    return images + deviation * draw.normal(size=images.shape).astype("float32")


def shot(images, draw, photons):
    """Replace every value by a count of photons, of which white sends so many on average."""
    return tf.constant((draw.poisson(images.numpy() * photons) / photons).astype("float32"))


def impulse(images, draw, share):
    """Set a share of the values to 0 or 1, as likely."""
    hit, salt = draw.uniform(size=(2, *images.shape))
    return tf.where(hit < share, (salt < 0.5).astype("float32"), images)


def uniform_angles(draw, count, low, high):
    """One angle in degrees for each image."""
    return draw.uniform(low, high, count).astype(np.float64)
