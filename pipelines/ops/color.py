"""Color operators with the arithmetic of torchvision, and the jitter with that of TensorFlow.

Images are (batch, height, width, channels) float in [0, 1]; factors are (batch,), one per image.
TensorFlow's own `adjust_contrast` and `adjust_saturation` compute something else (means per
channel; scaling in HSV), so that hyper-parameters of one family do not carry over to the other:
`tf_color_jitter` has those.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

LUMA = (0.2989, 0.587, 0.114)


def clip(images: tf.Tensor) -> tf.Tensor:
    """Clip to [0, 1]."""
    return tf.clip_by_value(images, 0.0, 1.0)


def per_image(values: tf.Tensor) -> tf.Tensor:
    """(batch,) -> (batch, 1, 1, 1), to combine with images."""
    return tf.reshape(values, (-1, 1, 1, 1))


def if_drawn(images: tf.Tensor, drawn: tf.Tensor, change: Callable) -> tf.Tensor:
    """`change(images)`, which leaves the images that are not drawn as they are; spares it to one.

    Args:
        images: (batch, height, width, channels).
        drawn: (batch,) bool.
        change: function of the images.
    """
    if images.shape[0] == 1:
        return tf.cond(drawn[0], lambda: change(images), lambda: images)
    return change(images)


def luma(images: tf.Tensor) -> tf.Tensor:
    """Gray level 0.2989 R + 0.587 G + 0.114 B, (batch, height, width, 1); one channel: itself."""
    if images.shape[-1] == 1:
        return images
    red, green, blue = (images[..., i : i + 1] for i in range(3))
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def grayscale(images: tf.Tensor) -> tf.Tensor:
    """Replace every channel by the gray level."""
    return tf.broadcast_to(luma(images), tf.shape(images))


def solarize(images: tf.Tensor, threshold: float = 0.5) -> tf.Tensor:
    """Invert the values at or above `threshold`."""
    return tf.where(images >= threshold, 1.0 - images, images)


def keep_channel(images: tf.Tensor, channel: tf.Tensor) -> tf.Tensor:
    """Set all channels but one to 0; `channel` (batch,) integers, -1 keeps all."""
    kept = tf.one_hot(channel, images.shape[-1], dtype=images.dtype)
    kept = tf.where(channel[:, None] < 0, 1.0, kept)
    return images * kept[:, None, None]


def adjust_brightness(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blend with black: `factor` 0 is black, 1 the image, above 1 brighter."""
    return clip(images * per_image(factor))


def adjust_contrast(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blend with the mean gray level of each image (one number)."""
    factor = per_image(factor)
    return clip(factor * images + (1.0 - factor) * _mean_luma(images))


def adjust_saturation(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blend with the gray image: `factor` 0 is gray, 1 the image. Three channels."""
    factor = per_image(factor)
    return clip(factor * images + (1.0 - factor) * luma(images))


def adjust_hue(images: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Turn the hue by `shift` (-0.5 to 0.5 turns), keeping value and saturation. Three channels.

    The HSV round trip in closed form: with chroma `c = max - min` a channel is
    `max - c * clip(min(k, 4 - k), 0, 1)`, `k = (n + 6 hue) mod 6`, n = 5, 3, 1 for R, G, B.
    """
    red, green, blue = (images[..., i] for i in range(3))
    largest = tf.maximum(red, tf.maximum(green, blue))
    chroma = largest - tf.minimum(red, tf.minimum(green, blue))
    # Not `largest == red`: a compiler that recomputes one side with another rounding breaks it.
    red_first, green_first = (red >= green) & (red >= blue), green >= blue
    across = tf.where(red_first, green - blue, tf.where(green_first, blue - red, red - green))
    sextant = tf.where(red_first, 0.0, tf.where(green_first, 2.0, 4.0))
    hue = sextant + across / tf.where(chroma > 0.0, chroma, 1.0)
    hue = hue + 6.0 * tf.reshape(shift, (-1, 1, 1))
    k = hue[..., None] + tf.constant([5.0, 3.0, 1.0], images.dtype)
    k = k - 6.0 * tf.floor(k / 6.0)
    ramp = tf.clip_by_value(tf.minimum(k, 4.0 - k), 0.0, 1.0)
    return largest[..., None] - chroma[..., None] * ramp


def color_jitter(
    images: tf.Tensor, *, brightness, contrast, saturation, hue, position: tf.Tensor
) -> tf.Tensor:
    """Brightness, contrast, saturation and hue, in an order of its own for each image.

    Brightness, contrast and saturation are one blend with a partner that differs, so each of the
    four places in the order costs one blend over the batch, and one turn of the hue.

    Args:
        images: (batch, height, width, 3 or 1) in [0, 1]. One channel: saturation and hue are
            skipped.
        brightness, contrast, saturation: (batch,) factors >= 0; 1 changes nothing.
        hue: (batch,) shift in turns; 0 changes nothing. `None` for any of the four skips it.
        position: (batch, 4) integers, a permutation of 0..3 in each row: the place in the order
            of brightness, contrast, saturation and hue.

    Returns:
        Images of the same shape, clipped to [0, 1] after every operator.

    Example:

    >>> one = tf.ones((2,))
    >>> order = tf.constant([[0, 1, 2, 3], [3, 2, 1, 0]])
    >>> color_jitter(tf.ones((2, 4, 4, 3)), brightness=one, contrast=one, saturation=one,
    ...              hue=0 * one, position=order).shape
    TensorShape([2, 4, 4, 3])
    """
    factors = (brightness, contrast, saturation)
    return jitter_in_order(images, _blend, factors, (1.0, 1.0, 1.0), hue, position)


def jitter_in_order(images, step, amounts, neutral, hue, position):
    """The four places of `color_jitter`: at each one an operator per image.

    Args:
        images, hue, position: as for `color_jitter`.
        step: function of the images and three amounts (batch,) or `None`, of brightness, contrast
            and saturation; for each image at most one of them is not neutral.
        amounts: those three of all images, where it is their turn.
        neutral: the three amounts that change nothing.
    """
    if images.shape[-1] == 1:
        amounts, hue = (*amounts[:2], None), None
    if images.shape[0] == 1:
        return _one_in_order(images, step, amounts, hue, position[0])
    for place in range(4):
        at = [position[:, i] == place for i in range(4)]
        images = step(images, *_only(at, amounts, neutral))
        if hue is not None:
            images = _turn(images, tf.where(at[3], hue, 0.0))
    return images


def _one_in_order(image, step, amounts, hue, position):
    """A batch of one image, of which nothing is computed but the operator of each place."""

    def alone(i):
        only = [amount if i == j else None for j, amount in enumerate(amounts)]
        return lambda image: image if amounts[i] is None else step(image, *only)

    operators = [*map(alone, range(3)), lambda image: adjust_hue(image, hue)]
    operators = operators if hue is not None else operators[:3] + [tf.identity]

    def one(image, here):
        return tf.switch_case(here, [functools.partial(each, image) for each in operators])

    return tf.foldl(one, tf.argsort(position), image)


def _only(at, amounts, neutral):
    """Amounts of the images whose turn it is, neutral for the others; `None` stays."""
    return [
        None if amount is None else tf.where(here, amount, nothing)
        for here, amount, nothing in zip(at[:3], amounts, neutral, strict=True)
    ]


def _blend(images, brightness, contrast, saturation):
    """One of the three blends per image: at most one of the factors is not 1."""
    present = [factor for factor in (brightness, contrast, saturation) if factor is not None]
    if not present:
        return images
    total = per_image(tf.math.add_n([factor - 1.0 for factor in present])) + 1.0
    blended = images * total
    if contrast is not None:
        blended += per_image(1.0 - contrast) * _mean_luma(images)
    if saturation is not None:
        blended += per_image(1.0 - saturation) * luma(images)
    return clip(blended)


def _turn(images, shift):
    # The branch saves work when no image is at this place; above all it keeps XLA from fusing the
    # hue with the blends, which would recompute each blend for each channel (three times slower).
    return tf.cond(tf.reduce_any(shift != 0.0), lambda: adjust_hue(images, shift), lambda: images)


def _mean_luma(images):
    return tf.reduce_mean(luma(images), axis=[1, 2, 3], keepdims=True)


def tf_color_jitter(
    images: tf.Tensor,
    *,
    brightness,
    contrast,
    saturation,
    hue,
    position: tf.Tensor,
    scaled: bool = False,
) -> tf.Tensor:
    """The jitter with TensorFlow's arithmetic, as in Google's SimCLR and DeepMind's BYOL.

    What `tf.image.adjust_brightness`, `adjust_contrast` and `adjust_saturation` compute, with one
    number per image, clipped to [0, 1] after each: contrast is about the mean of each channel,
    saturation scales S of HSV. Hue is that of `color_jitter`: both families agree.

    Args:
        images: (batch, height, width, 3 or 1) in [0, 1]. One channel: saturation and hue are
            skipped.
        brightness: (batch,) what is added; 0 changes nothing. With `scaled` a factor >= 0.
        contrast, saturation: (batch,) factors >= 0; 1 changes nothing.
        hue: (batch,) shift in turns; 0 changes nothing. `None` for any of the four skips it.
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
