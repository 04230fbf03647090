"""What PIL does on 8-bit images, for comparison with pipelines that run it."""

import tensorflow as tf

from pipelines.ops.color import clip


def quantize(images):
    """Round images in [0, 1] to 256 levels, still in [0, 1]."""
    return tf.round(clip(images) * 255.0) / 255.0


def pil_hue(images, shift):
    """Hue shift through PIL's 8-bit HSV, whose rounding moves colours by several levels.

    Args:
        images: (batch, height, width, 3) in [0, 1].
        shift: (batch,) in turns, -0.5 to 0.5.

    Returns:
        Images of 256 levels in [0, 1].
    """
    hue, saturation, value = _to_hsv(tf.round(images * 255.0))
    turn = tf.reshape(_truncate(shift * 255.0), (-1, 1, 1))
    return _to_rgb(tf.math.floormod(hue + turn, 256.0), saturation, value) / 255.0


def _truncate(x):
    return tf.sign(x) * tf.floor(tf.abs(x))


def _to_hsv(images):
    red, green, blue = tf.unstack(images, axis=-1)
    value = tf.reduce_max(images, axis=-1)
    chroma = value - tf.reduce_min(images, axis=-1)
    safe = tf.where(chroma > 0.0, chroma, 1.0)
    from_red, from_green, from_blue = ((value - channel) / safe for channel in (red, green, blue))
    sextant = tf.where(
        red == value,
        from_blue - from_green,
        tf.where(green == value, 2.0 + from_red - from_blue, 4.0 + from_green - from_red),
    )
    hue = tf.floor(tf.math.floormod(sextant / 6.0 + 1.0, 1.0) * 255.0)
    saturation = tf.floor(chroma / tf.maximum(value, 1.0) * 255.0)
    return tf.where(chroma > 0.0, hue, 0.0), saturation, value


def _to_rgb(hue, saturation, value):
    position = hue * 6.0 / 255.0
    part = position - tf.floor(position)
    saturation = saturation / 255.0
    low = tf.round(value * (1.0 - saturation))
    falling = tf.round(value * (1.0 - saturation * part))
    rising = tf.round(value * (1.0 - saturation * (1.0 - part)))
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
