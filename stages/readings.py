"""What is judged of a run: its representations, and their features for any images."""

import functools
from dataclasses import dataclass

import numpy as np
from keras import ops

import keras_ssl
from keras_ssl.evaluation.cache import cached_features
from keras_ssl.evaluation.features import FeatureExtractor
from keras_ssl.layers.necks import bottleneck_of, embedding_of, simplices_of
from keras_ssl.layers.simplicial import simplicial_embedding

KEPT = 1  # GiB of features of one part that are kept on disk


@dataclass(frozen=True)
class Readings:
    """Features of images, and the representations that are read from them.

    The simplices at several temperatures are read from one embedding, which is computed once.

    Attributes:
        model: keras.Model, float images -> features (B, E); None for the pixels themselves.
        preprocess: callable `uint8 batch -> float batch`.
        names: names of the representations, of which each has E columns too.
        temperatures: tau_d of each, or None for the features as they are.
        sizes: (L, V) of the simplices, or None.
    """

    model: object
    preprocess: object
    names: tuple
    temperatures: tuple = (None,)
    sizes: tuple | None = None

    @functools.cached_property
    def extract(self):
        """Function uint8 images (N, H, W, C) -> float32 (N, E)."""
        return FeatureExtractor(self.model, self.preprocess) if self.model else flat

    def features(self, images, place=None):
        """Features of the images.

        Args:
            images: uint8 (N, H, W, C).
            place: (directory where they are kept, `digest_of_images` of the images), or None.
        """
        if self.model is None or place is None or self.width(images) * 4 > KEPT * 2**30:
            return self.extract(images)
        directory, digest = place
        try:
            return cached_features(
                self.model, images, self.preprocess, directory, images_digest=digest
            )
        except OSError as error:
            print(f"The features are not kept in '{directory}': {error.strerror or error}")
            return self.extract(images)

    def width(self, images):
        """Numbers that the features of all the images are."""
        row = np.prod(images.shape[1:]) if self.model is None else self.model.output_shape[-1]
        return len(images) * int(row)

    def read(self, name, features):
        """The representation of that name, float32 (N, E)."""
        temperature = self.temperatures[self.names.index(name)]
        if temperature is None:
            return features
        return ops.convert_to_numpy(simplicial_embedding(features, *self.sizes, temperature))

    def read_all(self, features):
        """All representations, a tensor (R, B, E); runs in graphs."""
        return ops.stack(
            [
                features if tau is None else simplicial_embedding(features, *self.sizes, tau)
                for tau in self.temperatures
            ]
        )


def readings_of(encoder, recipe, preprocess):
    """Everything that the table judges of a trained encoder: a list of `Readings`."""
    kind, asked = recipe.neck.kind, recipe.evaluation
    if bottleneck_of(encoder) is None:
        return [Readings(encoder, preprocess, ("pretrained",))]
    found = [Readings(keras_ssl.backbone_of(encoder), preprocess, ("pretrained, backbone",))]
    soft = simplices_of(encoder) is not None
    embedding = {"pretrained, embedding": None} if asked.embedding else {}
    if not soft:
        found.append(Readings(encoder, preprocess, (f"pretrained, {kind}",)))
        embedding = {} if kind == "embed" else embedding  # it is that already
    if soft or (asked.embedding and kind != "vq"):
        model, sizes = embedding_of(encoder)
        taus = {f"pretrained, SEM tau_d={tau:g}": tau for tau in asked.temperatures}
        read = {**embedding, **taus}
        if read:
            found.append(Readings(model, preprocess, tuple(read), tuple(read.values()), sizes))
    return found


def flat(images):
    """Images as rows of numbers in [0, 1]."""
    return images[:].reshape(len(images), -1).astype("float32") / 255
