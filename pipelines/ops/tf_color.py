"""The colour jitter with TensorFlow's arithmetic, as in Google's SimCLR and DeepMind's BYOL.

What `tf.image.adjust_brightness`, `adjust_contrast` and `adjust_saturation` compute, for batches
with one number per image, clipped to [0, 1] after each: contrast is about the mean of each channel,
saturation scales S of HSV. Hue is that of `color`, where both families agree.
"""

import tensorflow as tf

from pipelines.ops.color import clip, jitter_in_order, per_image


def tf_color_jitter(images, *, brightness, contrast, saturation, hue, position, scaled=False):
    """Brightness, contrast, saturation and hue, in an order of its own for each image.

    Args:
        images: (batch, height, width, 3 or 1) in [0, 1]. One channel: saturation and hue are
            left out.
        brightness: (batch,) what is added; 0 changes nothing. With `scaled` a factor >= 0.
        contrast, saturation: (batch,) factors >= 0; 1 changes nothing.
        hue: (batch,) shift in turns; 0 changes nothing. `None` for any of the four leaves it out.
        position: (batch, 4) integers, a permutation of 0..3 in each row: the place in the order
            of brightness, contrast, saturation and hue.
        scaled: whether brightness multiplies (SimCLR v2) instead of adding (SimCLR v1, BYOL).

    Returns:
        Images of the same shape, clipped to [0, 1] after every operator.

    Example:

    >>> one = tf.ones((2,))
    >>> order = tf.constant([[0, 1, 2, 3], [3, 2, 1, 0]])
    >>> tf_color_jitter(tf.ones((2, 4, 4, 3)), brightness=0 * one, contrast=one, saturation=one,
    ...                 hue=0 * one, position=order).shape
    TensorShape([2, 4, 4, 3])
    """
    neutral = (1.0 if scaled else 0.0, 1.0, 1.0)

    def step(images, brightness, contrast, saturation):
        if saturation is not None:  # first, while the values are in [0, 1]
            images = _saturate(images, per_image(saturation))
        if contrast is not None:
            images = _contrast(images, per_image(contrast))
        if brightness is not None:
            images = _brighten(images, per_image(brightness), scaled)
        return clip(images)

    return jitter_in_order(images, step, (brightness, contrast, saturation), neutral, hue, position)


def _brighten(images, amount, scaled):
    return images * amount if scaled else images + amount


def _contrast(images, factor):
    mean = tf.reduce_mean(images, axis=[1, 2], keepdims=True)
    return factor * images + (1.0 - factor) * mean


def _saturate(images, factor):
    """Scale S of HSV, at most to 1, with hue and value kept: the distance to the value scales."""
    value = tf.reduce_max(images, axis=-1, keepdims=True)
    chroma = value - tf.reduce_min(images, axis=-1, keepdims=True)
    too_far = factor * chroma > value
    factor = tf.where(too_far, value / tf.where(too_far, chroma, 1.0), factor)
    return factor * images + (1.0 - factor) * value
