"""What is evaluated: features of images, and the representations that are read from them."""

import functools
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.feature_cache import cached_features, scratch_array, scratch_features
from keras_ssl.evaluation.rows import BLOCK_VALUES, Rows, gib
from keras_ssl.evaluation.tables import representation_name
from keras_ssl.layers.codes import code_dtype
from keras_ssl.layers.necks import (
    backbone_of,
    backbone_output,
    bottleneck_of,
    embedding_of,
    simplices_of,
)
from keras_ssl.layers.simplicial import simplicial_embedding


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

    def read(self, images, kept_in=None, digest=None, memory=float("inf"), share=1.0):
        """Features of the images, float32 (N, E): an array, or an `np.memmap`.

        Args:
            images: uint8 (N, H, W, C).
            kept_in: directory where they are kept from one evaluation to the next, or None.
            digest: `key_of_images` of the images, where they are kept.
            memory: float. Bytes that may be held in all; pixels that take more are refused.
            share: float in (0, 1]. The part of `memory` that they may take; more go to `kept_in`,
                or else to a file that is removed with the last use of them (see `scratch_in`).

        Raises:
            UserError: for pixels that take more than `memory`.
            OSError: if they take more than their share and the disk is full.
        """
        needed = 4 * self.size(images)
        if self.model is None and needed > memory:
            raise UserError(
                f"Its features need {gib(needed)}; {gib(memory)} is the limit (evaluation.memory)."
            )
        if self.model is not None and kept_in is not None:
            try:
                return cached_features(self.extract, images, kept_in, images_digest=digest)
            except OSError as error:
                if needed > share * memory:
                    raise
                print(f"The features are not kept in '{kept_in}': {error.strerror or error}")
        if needed > share * memory:
            return scratch_features(self.extract, images)
        return self.extract(images)

    def size(self, images):
        """Numbers of four bytes that the features of all the images are."""
        row = np.prod(images.shape[1:]) if self.model is None else self.model.output_shape[-1]
        return len(images) * int(row)


@dataclass(frozen=True)
class Representation:
    """A representation of images, as it is evaluated: a line of the table.

    All that are read of one encoder come from the features of its backbone, computed once.

    Attributes:
        features: `Features` that it is read from.
        source, readout, tau: as in `Result`.
        neck: keras.Model, features (B, E) -> (B, F), or None for the features themselves.
        sizes: (L, V) of the simplices that can be read from what `neck` gives, or None.

    Example:

    >>> Representation(Features(), "pixels").name
    'raw pixels'
    """

    features: Features
    source: str
    readout: str | None = None
    tau: float | None = None
    neck: object = None
    sizes: tuple | None = None

    @property
    def fields(self) -> dict:
        """Those of a `Result`, by name."""
        return {"source": self.source, "readout": self.readout, "tau": self.tau}

    @property
    def name(self) -> str:
        """What tables call it."""
        return representation_name(**self.fields)

    def rows(self, features, memory=float("inf")) -> Rows:
        """The representation (N, F) of what `self.features` gives, read a block at a time."""
        plain = self.neck is None and self.tau is None
        codes = self._compiled_largest if self.tau == 0 and self.sizes else None
        read = None if plain else self._compiled_tensor
        return Rows(features, read, memory=memory, codes=codes)

    def codes(self, features, memory=float("inf")) -> np.ndarray:
        """The largest entry of each simplex, integers (N, L), of what `self.features` gives.

        Bytes: those of the codes, which are SEM at tau_d = 0, and of a block of the embedding.
        """
        rows = Rows(features, self._compiled_largest)
        codes = scratch_array(rows.shape, code_dtype(self.sizes[1]), memory)
        for some, block in rows.blocks(max(1, BLOCK_VALUES // np.prod(self.sizes))):
            codes[some] = block.numpy()
        return codes

    def tensor(self, features):
        """The representation (B, F) of a tensor (B, E); runs in graphs."""
        return self.above(self.embedding(features))

    def embedding(self, features):
        """What `neck` makes of a tensor (B, E)."""
        return features if self.neck is None else self.neck(features, training=False)

    def above(self, embedding):
        """The representation (B, F) of a tensor from `embedding`."""
        if self.tau is None or self.sizes is None:
            return embedding
        return simplicial_embedding(embedding, *self.sizes, self.tau)

    @functools.cached_property
    def _compiled_tensor(self):
        return tf.function(self.tensor)  # one trace for all that is read

    @functools.cached_property
    def _compiled_largest(self):
        return tf.function(self._largest)

    def _largest(self, features):
        simplices = tf.reshape(self.embedding(features), (-1, *self.sizes))
        return tf.argmax(simplices, axis=-1, output_type=tf.int32)


def representations_of(encoder, neck, temperatures, embedding, preprocess) -> list:
    """Everything that the table evaluates of a trained encoder.

    Args:
        encoder: keras.Model.
        neck: str. Kind of its neck.
        temperatures: floats, tau at which simplices are read.
        embedding: bool. Whether the embedding below the simplices is evaluated too.
        preprocess: callable `uint8 batch -> float batch`.

    Returns:
        list of `Representation` of the same `Features`; those of the same neck follow each other.
    """
    features = Features(backbone_of(encoder), preprocess)
    if bottleneck_of(encoder) is None:
        return [Representation(features, "pretrained")]
    found = [Representation(features, "pretrained", "backbone")]
    soft = simplices_of(encoder) is not None
    if not soft:
        found.append(
            Representation(features, "pretrained", neck, neck=_above_backbone(encoder, encoder))
        )
    if soft or (embedding and neck != "vq"):
        model, sizes = embedding_of(encoder)
        above = {"neck": _above_backbone(encoder, model), "sizes": sizes}
        if embedding and neck != "embed":  # of that neck it is the output
            found.append(Representation(features, "pretrained", "embedding", **above))
        for tau in temperatures:
            found.append(Representation(features, "pretrained", "simplices", tau, **above))
    return found


def _above_backbone(encoder, model):
    """The layers of `encoder` from its backbone's features to the output of `model`."""
    return keras.Model(backbone_output(encoder), model.output, name=f"{model.name}_above")


def flat(images):
    """Images as rows of numbers in [0, 1]."""
    return images[:].reshape(len(images), -1).astype("float32") / 255
