"""One interface to images, whether they are an array or stay encoded on disk."""

import hashlib
import json

import numpy as np
import tensorflow as tf

_BLOCK = 4096  # images of which a digest is taken at a time


class Images:
    """What an array of images and encoded ones have in common; `as_images` gives it of both.

    Slices and arrays of positions give uint8 arrays (n, height, width, channels). `take` gives the
    images at some positions as they are: of an array an array, of encoded images encoded ones.
    """

    dtype = np.dtype("uint8")
    ndim = 4

    def __len__(self):
        return self.shape[0]

    def pngs(self, positions):
        """The images at `positions`, each as the bytes of a PNG file."""
        return [tf.io.encode_png(image).numpy() for image in self[positions]]

    def check(self, positions):
        """Raise a `UserError` if one of the images at `positions` can be read no more."""

    def cropped(self, crop_fraction):
        """These images; encoded ones show only the middle `crop_fraction` of their squares."""
        return self

    def report_lost(self, log=print):
        """Say once which images could not be read while batches were drawn, if any."""


class ImageArray(Images):
    """An array of images, as it is: nothing is copied.

    Args:
        pixels: uint8 (N, height, width, channels).
    """

    def __init__(self, pixels):
        self.pixels = pixels

    @property
    def shape(self):
        """(N, height, width, channels)."""
        return self.pixels.shape

    def __getitem__(self, positions):
        return self.pixels[positions]

    def take(self, positions):
        """Those at `positions`, a slice, a mask or whole numbers: a plain array."""
        return self.pixels[positions]

    def digest(self):
        """64 hexadecimal digits that other pixels, or another order of the images, change."""
        digest = hashlib.sha256(json.dumps(list(self.shape)).encode())
        for start in range(0, len(self), _BLOCK):
            block = np.ascontiguousarray(self.pixels[start : start + _BLOCK])
            digest.update(f"{block.dtype.str}{block.shape}".encode())
            digest.update(block.data)
        return digest.hexdigest()

    identity = None  # what names the images without reading them: there is nothing

    def sample(self, _):
        """Images that statistics of all can be estimated with: all."""
        return self

    def files(self, positions):
        """The images at `positions` as the bytes of files: PNG."""
        return self.pngs(positions)

    def batches(self, indices, crops, *, num_parallel_calls, copy=True):
        """What views are drawn from, in batches: here whole images.

        Args:
            indices: data set of (seed, positions): int32 (2,), the seed of a step, and int32 (b,);
                a position beyond the last image means that one.
            crops: `pipelines.views.stream.Crops`, of which an array needs nothing.
            num_parallel_calls: batches read at the same time.
            copy: whether the array is copied into the stream once, from where batches are gathered
                fastest; otherwise only the images of each batch are read.

        Returns:
            Data set of (seed, positions of the images that were read, uint8 images).
        """
        last, shape = len(self) - 1, (None, *self.shape[1:])
        if copy:
            with tf.device("/cpu:0"):
                # Captured by the stream as it is: one copy, and no constant inside of a graph.
                pixels = tf.constant(self.pixels)

        @tf.autograph.experimental.do_not_convert
        def read(seed, positions):
            rows = tf.minimum(positions, last)
            if copy:
                return seed, positions, tf.gather(pixels, rows)
            images = tf.numpy_function(self.pixels.__getitem__, [rows], tf.uint8, stateful=False)
            return seed, positions, tf.ensure_shape(images, shape)

        return indices.map(read, num_parallel_calls=num_parallel_calls, deterministic=True)


def cropped(images: np.ndarray | Images, crop_fraction: float) -> np.ndarray | Images:
    """Images whose squares are the middle `crop_fraction` of what they would be, where they can.

    Encoded images are decoded anew whenever they are read; an array stays as it is.

    Example:

    >>> cropped(np.zeros((4, 8, 8, 1), "uint8"), 0.875).shape
    (4, 8, 8, 1)
    """
    return images.cropped(crop_fraction) if isinstance(images, Images) else images


def as_images(images: np.ndarray | Images) -> Images:
    """`Images` of what a caller gives: a uint8 array (N, height, width, channels), or `Images`.

    Example:

    >>> images = as_images(np.zeros((4, 8, 8, 1), "uint8"))
    >>> images.shape, type(images.take([0, 2])).__name__
    ((4, 8, 8, 1), 'ndarray')
    """
    return images if isinstance(images, Images) else ImageArray(np.asanyarray(images))
