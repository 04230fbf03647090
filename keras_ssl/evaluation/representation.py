"""What is evaluated: features of images, and the representations that are read from them."""

import functools
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from keras import ops

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.feature_cache import cached_features
from keras_ssl.evaluation.tables import representation_name
from keras_ssl.layers.codes import code_dtype
from keras_ssl.layers.necks import backbone_of, bottleneck_of, embedding_of, simplices_of
from keras_ssl.layers.simplicial import simplicial_embedding

KEPT = 1  # GiB of features of one part that are kept on disk
_BLOCK = 1024  # images whose embeddings are held in memory at a time to read codes


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
        self.encoder, self.preprocess, self.batch_size = encoder, preprocess, batch_size

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


@dataclass(frozen=True)
class Features:
    """Features of images by one model, from which representations are read.

    Attributes:
        model: keras.Model, float images -> features (B, E); None for the pixels themselves.
        preprocess: callable `uint8 batch -> float batch`.

    Example:

    >>> Features().read(np.full((2, 4, 4, 1), 255, "uint8")).shape  # pixels, in [0, 1]
    (2, 16)
    """

    model: object = None
    preprocess: object = None

    @functools.cached_property
    def extract(self):
        """Function uint8 images (N, H, W, C) -> float32 (N, E)."""
        return FeatureExtractor(self.model, self.preprocess) if self.model else flat

    def read(self, images, kept_in=None, digest=None):
        """Features of the images, float32 (N, E).

        Args:
            images: uint8 (N, H, W, C).
            kept_in: directory where they are kept from one evaluation to the next, or None.
            digest: `key_of_images` of the images, where they are kept.
        """
        if self.model is None or kept_in is None or self.size(images) * 4 > KEPT * 2**30:
            return self.extract(images)
        try:
            return cached_features(self.extract, images, kept_in, images_digest=digest)
        except OSError as error:
            print(f"The features are not kept in '{kept_in}': {error.strerror or error}")
            return self.extract(images)

    def size(self, images):
        """Numbers of four bytes that the features of all the images are."""
        row = np.prod(images.shape[1:]) if self.model is None else self.model.output_shape[-1]
        return len(images) * int(row)


@dataclass(frozen=True)
class Codes(Features):
    """Codes of images: the largest entry of each simplex, as whole numbers (N, L).

    Attributes:
        sizes: (L, V) of the simplices that `model` gives the logits of.
    """

    sizes: tuple = ()

    @functools.cached_property
    def extract(self):
        """Function uint8 images (N, H, W, C) -> codes (N, L)."""
        embed = FeatureExtractor(self.model, self.preprocess)

        def codes(images):
            blocks = (images[start : start + _BLOCK] for start in range(0, len(images), _BLOCK))
            return np.concatenate([self._largest(embed(block)) for block in blocks])

        return codes

    def size(self, images):
        """Numbers of four bytes that the codes of all the images take."""
        return len(images) * self.sizes[0] * code_dtype(self.sizes[1]).itemsize // 4

    def _largest(self, embedding):
        simplices = embedding.reshape(len(embedding), *self.sizes)
        return simplices.argmax(axis=-1).astype(code_dtype(self.sizes[1]))


@dataclass(frozen=True)
class Representation:
    """A representation of images, as it is evaluated: a line of the table.

    The simplices at several temperatures are read from the same features, computed once.

    Attributes:
        features: `Features` or `Codes` that it is read from.
        source, readout, tau: as in `Result`.
        sizes: (L, V) of the simplices that can be read from these features, or None.

    Example:

    >>> Representation(Features(), "pixels").name
    'raw pixels'
    """

    features: Features
    source: str
    readout: str | None = None
    tau: float | None = None
    sizes: tuple | None = None

    @property
    def fields(self) -> dict:
        """Those of a `Result`, by name."""
        return {"source": self.source, "readout": self.readout, "tau": self.tau}

    @property
    def name(self) -> str:
        """What tables call it."""
        return representation_name(**self.fields)

    def read(self, features):
        """The representation, float32 (N, E), from what `self.features` gives."""
        if self.tau is None or self.sizes is None:
            return features
        return ops.convert_to_numpy(self.tensor(features))

    def tensor(self, features):
        """The same as a tensor; runs in graphs."""
        if self.tau is None or self.sizes is None:
            return features
        return simplicial_embedding(features, *self.sizes, self.tau)


def representations_of(encoder, neck, temperatures, embedding, preprocess) -> list:
    """Everything that the table evaluates of a trained encoder.

    Args:
        encoder: keras.Model.
        neck: str. Kind of its neck.
        temperatures: floats, tau at which simplices are read.
        embedding: bool. Whether the embedding below the simplices is evaluated too.
        preprocess: callable `uint8 batch -> float batch`.

    Returns:
        list of `Representation`; those of the same features follow each other and share them.
    """
    whole = Features(encoder, preprocess)
    if bottleneck_of(encoder) is None:
        return [Representation(whole, "pretrained")]
    below = Features(backbone_of(encoder), preprocess)
    found = [Representation(below, "pretrained", "backbone")]
    soft = simplices_of(encoder) is not None
    if not soft:
        found.append(Representation(whole, "pretrained", neck))
    if soft or (embedding and neck != "vq"):
        model, sizes = embedding_of(encoder)
        logits = Features(model, preprocess)
        if embedding and neck != "embed":  # of that neck it is the output
            found.append(Representation(logits, "pretrained", "embedding", None, sizes))
        for tau in temperatures:
            found.append(Representation(logits, "pretrained", "simplices", tau, sizes))
    return found


def flat(images):
    """Images as rows of numbers in [0, 1]."""
    return images[:].reshape(len(images), -1).astype("float32") / 255
