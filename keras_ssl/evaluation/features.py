"""Features of many images: batches through preprocessing and an encoder in inference mode."""

import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import UserError


class FeatureExtractor:
    """An encoder with its preprocessing, compiled once and called on any number of images.

    Use it when features are read again and again (a callback); `extract` is the one-off form.
    The last batch is padded and its features cut, so every batch has one shape and one trace
    serves all images of one size.

    Args:
        encoder: callable `(float batch, training=False) -> tensor (B, ...) or dict of tensors`.
        preprocess: callable `uint8 batch (B, H, W, C) -> float batch`.
        batch_size: int >= 1. Images per call of the encoder.

    Example:

    >>> pixels = lambda images, training: tf.reshape(images, [len(images), -1])
    >>> extractor = FeatureExtractor(pixels, lambda images: tf.cast(images, "float32") / 255)
    >>> float(extractor(np.full((3, 2, 2, 1), 255, "uint8")).sum())
    12.0
    """

    def __init__(self, encoder, preprocess, *, batch_size=256):
        if batch_size < 1:
            raise UserError(f"batch_size must be 1 or more. Received {batch_size}.")
        self.batch_size = batch_size

        @tf.function
        def encode(images):
            outputs = encoder(preprocess(images), training=False)
            return tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), outputs)

        self.encode = encode

    def __call__(self, images):
        """Features of `images` (N, H, W, C), in order: float32 (N, ...) or a dict of such arrays.

        Raises:
            UserError: if `images` is not a non-empty batch of images.
        """
        if np.ndim(images) != 4 or len(images) == 0:
            raise UserError(
                "Features are read from a non-empty array of images (N, H, W, C). "
                f"Received shape {np.shape(images)}."
            )
        arrays = None
        for start in range(0, len(images), self.batch_size):
            outputs = self._batch(images[start : start + self.batch_size])
            parts = tf.nest.flatten(outputs)
            arrays = arrays or [np.empty((len(images), *x.shape[1:]), x.dtype) for x in parts]
            for array, part in zip(arrays, parts, strict=True):
                array[start : start + len(part)] = part
        return tf.nest.pack_sequence_as(outputs, arrays)

    def _batch(self, images):
        count = len(images)
        padding = [(0, self.batch_size - count)] + [(0, 0)] * 3
        outputs = self.encode(tf.convert_to_tensor(np.pad(images, padding)))
        return tf.nest.map_structure(lambda x: x.numpy()[:count], outputs)


def extract(encoder, images, preprocess, batch_size=256):
    """Features of every image, once each and in order, in inference mode.

    Args:
        encoder: callable `(float batch, training=False) -> tensor or dict of tensors`.
        images: uint8 (N, H, W, C).
        preprocess: callable `uint8 batch -> float batch`.
        batch_size: int >= 1. Changes speed and memory only.

    Returns:
        float32 array (N, ...), or a dict of them where the encoder returns a dict.

    Raises:
        UserError: if `images` is not a non-empty batch of images.

    Example:

    >>> pixels = lambda images, training: tf.reshape(images, [len(images), -1])
    >>> scale = lambda images: tf.cast(images, "float32") / 255
    >>> extract(pixels, np.zeros((5, 8, 8, 1), "uint8"), scale, batch_size=2).shape
    (5, 64)
    """
    return FeatureExtractor(encoder, preprocess, batch_size=batch_size)(images)
