"""Digital corruptions: brightness, contrast, elastic warps, large pixels, JPEG."""

import numpy as np
import tensorflow as tf

from pipelines.corruptions.resampling import along_axes, box_matrix, gaussian_matrix, sample


def brightness(images, draw, added):
    """Add to V of HSV, keeping hue and saturation: all channels grow by the same factor."""
    value = tf.reduce_max(images, axis=-1, keepdims=True)
    brighter = tf.minimum(value + added, 1.0)
    black = value == 0.0
    return tf.where(black, brighter, images * brighter / tf.where(black, 1.0, value))


def contrast(images, draw, share):
    """Draw every channel towards its mean."""
    mean = tf.reduce_mean(images, axis=(1, 2), keepdims=True)
    return (images - mean) * share + mean


def pixelate(images, draw, share):
    """Resize to a share of the side and back, by boxes."""
    sides = images.shape[1:3]
    small = [int(side * share) for side in sides]
    down = along_axes(images, *(box_matrix(a, b) for a, b in zip(sides, small, strict=True)))
    down = tf.round(down * 255.0) / 255.0
    up = along_axes(down, *(box_matrix(b, a) for a, b in zip(sides, small, strict=True)))
    return tf.round(up * 255.0) / 255.0


def jpeg(images, draw, quality):
    """Write and read every image as JPEG."""
    levels = tf.cast(tf.round(images * 255.0), tf.uint8)
    channels = images.shape[-1]

    def through(image):
        return tf.io.decode_jpeg(tf.io.encode_jpeg(image, quality=quality), channels=channels)

    return tf.cast(tf.map_fn(through, levels), tf.float32) / 255.0


def elastic(images, draw, constants):
    """Move three points and all else with them, then every pixel by a smooth random field."""
    batch, *sides, _ = images.shape
    height, width = sides
    strength, smoothness, shift = (share * min(sides) for share in constants)
    images = sample(images, *_affine_sources(draw, batch, height, width, shift), mode="reflect")
    fields = draw.uniform(-1, 1, (batch, height, width, 2)).astype("float32")
    smooth = [gaussian_matrix(n, smoothness, truncate=3.0, mode="symmetric") for n in sides]
    fields = along_axes(fields, *smooth).numpy() * strength
    y = np.arange(height)[:, None] + fields[..., 0]
    x = np.arange(width) + fields[..., 1]
    return sample(images, y, x, mode="symmetric")


def _affine_sources(draw, batch, height, width, shift):
    """Where each pixel comes from (y, x) when three points of the image are moved at random."""
    center = np.array([width // 2, height // 2])
    side = min(height, width) // 3
    points = center + side * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = points + draw.uniform(-shift, shift, (batch, 3, 2))
    ones = np.ones((batch, 3, 1))
    back = np.linalg.solve(np.concatenate([moved, ones], axis=2), np.tile(points, (batch, 1, 1)))
    y, x = np.mgrid[:height, :width]
    source = np.stack([x, y, np.ones_like(x)], axis=-1) @ back[:, None]  # (batch, height, width, 2)
    return source[..., 1], source[..., 0]
