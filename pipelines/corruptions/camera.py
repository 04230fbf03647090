"""Noise and blur of a camera: sensor, photons, broken bits; focus, frosted glass, motion, zoom.

Here and in the other files of the folder: images are float (batch, height, width, channels) in
[0, 1], `draw` is a `np.random.RandomState`, results may leave [0, 1].
"""

import numpy as np
import tensorflow as tf

from pipelines.corruptions.resampling import along_axes, gaussian_matrix, zoom_matrix


def gaussian(images, draw, std):
    """Add normal noise to every value."""
    return images + std * draw.normal(size=images.shape).astype("float32")


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


def defocus(images, draw, constants):
    """Convolve with a disk, borders mirrored."""
    kernel = disk(*constants)
    reach, channels = len(kernel) // 2, images.shape[-1]
    padded = tf.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="REFLECT")
    kernel = tf.constant(np.repeat(kernel[..., None, None], channels, axis=2), tf.float32)
    return tf.nn.depthwise_conv2d(padded, kernel, (1, 1, 1, 1), "VALID")


def disk(radius, blur):
    """A disk of ones that sums to 1, antialiased by a small Gaussian; no border of zeros."""
    side, size = (8, 3) if radius <= 8 else (radius, 5)
    across = np.arange(-side, side + 1)
    inside = (across**2 + across[:, None] ** 2 <= radius**2).astype("float64")
    inside /= inside.sum()
    taps = np.exp(-0.5 * (np.arange(size) - size // 2) ** 2 / blur**2)
    taps /= taps.sum()
    for axis in (0, 1):
        inside = np.apply_along_axis(_mirrored_convolution, axis, inside, taps)
    used = np.abs(across[inside.sum(axis=0) > 0]).max()
    return inside[side - used : side + used + 1, side - used : side + used + 1]


def _mirrored_convolution(line, taps):
    return np.convolve(np.pad(line, len(taps) // 2, mode="reflect"), taps, "valid")


def glass(images, draw, constants):
    """Blur, move pixels about their neighbors, blur again."""
    sigma, reach, iterations = constants
    images = _gaussian(images, sigma)
    batch, height, width, channels = images.shape
    source = _shuffled(draw, batch, height, width, reach, iterations).reshape(batch, -1)
    images = tf.floor(images * 255.0 + 1e-3) / 255.0  # published so: bytes in between
    images = tf.gather(tf.reshape(images, (batch, -1, channels)), source, batch_dims=1)
    return _gaussian(tf.reshape(images, (batch, height, width, channels)), sigma)


def _shuffled(draw, batch, height, width, reach, iterations):
    """Which pixel each one shows, (batch, height, width) numbers."""
    source = np.tile(np.arange(height * width).reshape(height, width), (batch, 1, 1))
    images = np.arange(batch)
    for _ in range(iterations):
        for y in range(height - reach, reach, -1):
            for x in range(width - reach, reach, -1):
                dx, dy = draw.randint(-reach, reach, size=(2, batch))
                # The authors' exchange of two views of one array copies: the other pixel stays.
                source[:, y, x] = source[images, y + dy, x + dx]
    return source


def motion(images, draw, constants):
    """Smear along a direction of its own for each image, near to the horizontal."""
    return smear(images, uniform_angles(draw, images.shape[0], -45, 45), *constants)


def smear(images, angles, radius, sigma):
    """ImageMagick's motion blur: half a Gaussian along a line that starts at the pixel.

    Args:
        images: (batch, height, width, channels).
        angles: (batch,) degrees; 0 looks to the right, 90 down.
        radius: int. The line has 2 radius + 1 pixels; beyond a border its pixels are repeated.
        sigma: float > 0. Of the Gaussian, in pixels.
    """
    steps = np.arange(2 * radius + 1)
    taps = np.exp(-0.5 * (steps / sigma) ** 2)
    taps /= taps.sum()
    radian = np.deg2rad(angles)[:, None]
    down, right = (np.ceil(steps * f(radian) - 0.5).astype(int) for f in (np.sin, np.cos))
    batch, height, width, channels = images.shape
    flat = tf.reshape(images, (batch, -1, channels))
    result = tf.zeros_like(flat)
    for i, tap in enumerate(taps):
        y = np.clip(np.arange(height) + down[:, i, None], 0, height - 1)
        x = np.clip(np.arange(width) + right[:, i, None], 0, width - 1)
        source = (y[:, :, None] * width + x[:, None]).reshape(batch, -1)
        result += np.float32(tap) * tf.gather(flat, source, batch_dims=1)
    return tf.reshape(result, images.shape)


def zoom(images, draw, factors):
    """The mean of the image and of all its enlargements."""
    total = images
    for factor in factors:
        total += along_axes(images, *(zoom_matrix(side, factor) for side in images.shape[1:3]))
    return total / (len(factors) + 1)


def _gaussian(images, sigma):
    matrices = (
        gaussian_matrix(side, sigma, truncate=4.0, mode="edge") for side in images.shape[1:3]
    )
    return along_axes(images, *matrices)
