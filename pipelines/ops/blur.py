"""Blurs with one strength per image: the exact Gaussian, and the extended box blur of PIL."""

import numpy as np
import tensorflow as tf

from pipelines.ops.crop import apply_separable


def gaussian_blur(images, sigma, *, kernel_size):
    """Exact Gaussian, cut off at `kernel_size` and normalised, with mirrored borders (torchvision).

    Args:
        images: (batch, height, width, channels) float.
        sigma: (batch,) > 0, in pixels.
        kernel_size: odd; half of it must be less than the sides of the images.
    """
    reach = kernel_size // 2
    offset = tf.range(-reach, reach + 1, dtype=sigma.dtype)
    taps = tf.exp(-0.5 * tf.square(offset / sigma[:, None]))
    taps = taps / tf.reduce_sum(taps, axis=1, keepdims=True)  # (batch, kernel)
    rows, columns = (
        tf.einsum("bk,kij->bij", taps, _mirrored_shifts(side, reach)) for side in images.shape[1:3]
    )
    return apply_separable(images, rows, columns)


def _mirrored_shifts(side, reach):
    """(kernel, side, side): the matrix of each shift, going back at the borders."""
    if reach >= side:
        raise ValueError(
            f"kernel_size={2 * reach + 1} is too large for images of side {side}: "
            f"at most {2 * side - 1}."
        )
    source = np.arange(side) + np.arange(-reach, reach + 1)[:, None]
    source = side - 1 - np.abs(side - 1 - np.abs(source))
    return tf.constant(np.eye(side, dtype="float32")[source])


def extended_box_blur(images, sigma):
    """Three box blurs of fractional width, borders repeated: PIL's `GaussianBlur(radius=sigma)`.

    What the published PyTorch recipes run; near to a Gaussian, without a kernel size. Up to
    rounding: `pil_blur` has PIL's 8 bits too.

    Args:
        images: (batch, height, width, channels) float.
        sigma: (batch,) >= 0, in pixels; 0 leaves the image as it is.

    Reference: P. Gwosdek et al., Theoretical Foundations of Gaussian Convolution by Extended Box
    Filtering, SSVM 2011, eqs. 7, 11 and 14.
    """
    rows, columns = box_matrices(sigma, *images.shape[1:3])
    return apply_separable(images, rows @ rows @ rows, columns @ columns @ columns)


def box_matrices(sigma, height, width):
    """One of the three box blurs, as matrices for the rows and for the columns."""
    half = _box_radius(sigma) + 0.5
    rows = _box_matrix(half, height)
    return rows, rows if height == width else _box_matrix(half, width)


def _box_radius(sigma):
    variance = tf.square(sigma) / 3.0
    whole = tf.floor((tf.sqrt(12.0 * variance + 1.0) - 1.0) / 2.0)
    part = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance)
    return whole + part / (6.0 * (variance - tf.square(whole + 1.0)))


def _box_matrix(half, side):
    """Share of the window [i - half, i + half] that falls on pixel j; border pixels never end."""
    half = half[:, None, None]
    edges = np.arange(side + 1, dtype="float32") - 0.5
    edges[0], edges[-1] = -np.inf, np.inf
    distance = edges - np.arange(side, dtype="float32")[:, None]  # (side, side + 1)
    reached = tf.maximum(-half, tf.minimum(distance, half))
    return (reached[..., 1:] - reached[..., :-1]) / (2.0 * half)
