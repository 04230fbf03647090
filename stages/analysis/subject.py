"""What an analysis looks at: the images, features and records of a run, each read once."""

import functools
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_ssl
from keras_ssl.analysis.usage import CodeUsage, code_usage
from keras_ssl.config import Recipe
from keras_ssl.core.files import METRICS, PROJECTOR, SPECTRA, json_lines
from keras_ssl.evaluation.feature_cache import scratch_array
from keras_ssl.evaluation.representation import FeatureExtractor
from keras_ssl.evaluation.results import Result, read_results
from keras_ssl.layers.necks import backbone_of, backbone_output, embedding_of, simplices_of
from keras_ssl.ops.rows import blocks, some_rows
from pipelines.data.image_array import as_images
from pipelines.views.preview import first_batch
from stages.inputs import Inputs, view_settings

NUM_VIEWED = 1000  # training images of which views are drawn
_ROWS = 256  # images of a call


@dataclass(frozen=True)
class Subject:
    """A run, and what is read of it; float32, in inference mode.

    Attributes:
        recipe, inputs, workdir: of the run.
        encoder: keras.Model in float32.
        method: `keras_ssl.Method` in float32 around `encoder`, with its heads; None where there is
            no `model.keras`.
        memory: float. Bytes that one array may take in memory; larger ones lie in a file.
    """

    recipe: Recipe
    inputs: Inputs
    workdir: Path
    encoder: keras.Model
    method: keras_ssl.Method | None
    memory: float = float("inf")

    # Images.

    @functools.cached_property
    def held_out(self) -> bool:
        """Whether `images` are not among those that were trained on."""
        return self.inputs.data.test_images is not None

    @functools.cached_property
    def images(self) -> np.ndarray:
        """uint8 (N, H, W, C): held-out images, or training images where there are none."""
        images = self.inputs.data.evaluation_images
        return np.asarray(as_images(images)[self._rows_of(len(images))])

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """int64 (N,) of `images`, or None."""
        data = self.inputs.data
        labels = data.test_labels if self.held_out else data.train_labels
        return None if labels is None else labels[self._rows_of(len(labels))]

    @functools.cached_property
    def train_images(self) -> np.ndarray:
        """uint8 (N, H, W, C): as many training images."""
        images = self.inputs.data.train_images
        return np.asarray(as_images(images)[self._rows_of(len(images))])

    @functools.cached_property
    def train_labels(self) -> np.ndarray | None:
        """int64 (N,) of `train_images`, or None."""
        labels = self.inputs.data.train_labels
        return None if labels is None else labels[self._rows_of(len(labels))]

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; numbers where they have none, nothing without labels."""
        data = self.inputs.data
        return data.class_names or tuple(map(str, range(data.num_classes or 0)))

    def class_name(self, label: int) -> str:
        """The name of a class; its number where it has none."""
        return str(self.classes[label]) if 0 <= label < len(self.classes) else str(label)

    def _rows_of(self, count):
        return some_rows(count, self.recipe.analysis.images)

    # What the networks make of them.

    @functools.cached_property
    def sizes(self) -> tuple[int, int] | None:
        """(L, V) of the simplices, or None."""
        return None if simplices_of(self.encoder) is None else embedding_of(self.encoder)[1]

    @functools.cached_property
    def features(self) -> np.ndarray:
        """float32 (N, E) of the backbone, of `images`."""
        return self.features_of(self.images)

    @functools.cached_property
    def logits(self) -> np.ndarray | None:
        """float32 (N, L * V), of which the simplices are the softmax; None without simplices."""
        return self.logits_of(self.features)

    @functools.cached_property
    def codes(self) -> np.ndarray | None:
        """Integers (N, L), the largest entry of every simplex; None without simplices."""
        if self.sizes is None:
            return None
        num, size = self.sizes
        codes = np.empty((len(self.logits), num), np.min_scalar_type(size - 1))
        for start in range(0, len(codes), _ROWS):
            part = self.logits[start : start + _ROWS]
            codes[start : start + _ROWS] = part.reshape(-1, num, size).argmax(axis=-1)
        return codes

    @functools.cached_property
    def code_usage(self) -> CodeUsage | None:
        """How often every vertex is chosen, by images of finite logits; None without simplices."""
        if self.sizes is None:
            return None
        known = np.concatenate(
            [np.isfinite(self.logits[rows]).all(axis=1) for rows in blocks(len(self.logits), _ROWS)]
        )
        codes = self.codes if known.all() else self.codes[known]
        return code_usage(codes, self.sizes[1]) if len(codes) else None

    @functools.cached_property
    def embeddings(self) -> np.ndarray:
        """float32 (N, F) of the encoder, with its neck as it was trained."""
        return self.embeddings_of(self.features)

    @functools.cached_property
    def projections(self) -> np.ndarray | None:
        """float32 (N, P), what the loss compares; None without a method."""
        return self.projections_of(self.features)

    @functools.cached_property
    def clusters(self) -> np.ndarray | None:
        """int (N,), the cluster that the method puts each image in; None if it has no clusters.

        -1 for images whose scores are not all finite.
        """
        if self._scores is None:
            return None
        starts = range(0, len(self.images), _ROWS)
        return np.concatenate([self._largest(self.images[i : i + _ROWS]) for i in starts])

    @functools.cached_property
    def num_clusters(self) -> int | None:
        """Clusters that the method could use, or None."""
        if self._scores is None:
            return None
        return int(self._scores(tf.constant(self.images[:1])).shape[-1])

    @functools.cached_property
    def train_features(self) -> np.ndarray:
        """float32 (N, E) of the backbone, of `train_images`."""
        return self.features_of(self.train_images)

    # Views.

    @functools.cached_property
    def view_rows(self) -> np.ndarray:
        """Which training images the views are of, int (M,)."""
        return self._batch["index"]

    @functools.cached_property
    def views(self) -> list[np.ndarray]:
        """K arrays (M, H, W, C) of float views, as the training draws and normalizes them."""
        views = self._batch["global"]
        return [views[:, k] for k in range(views.shape[1])]

    @functools.cached_property
    def view_images(self) -> list[np.ndarray]:
        """`views` as uint8 images that can be shown."""
        mean, std = self.inputs.preprocessing.mean, self.inputs.preprocessing.std
        pixels = [view * np.float32(std) + np.float32(mean) for view in self.views]
        return [np.rint(255 * np.clip(each, 0, 1)).astype("uint8") for each in pixels]

    @functools.cached_property
    def view_features(self) -> list[np.ndarray]:
        """K arrays (M, E) of the backbone."""
        extract = FeatureExtractor(self._backbone, tf.identity, batch_size=_ROWS)
        return [extract(view) for view in self.views]

    @functools.cached_property
    def view_projections(self) -> list[np.ndarray] | None:
        """K arrays (M, P), or None without a method."""
        if self.method is None:
            return None
        return [self.projections_of(features) for features in self.view_features]

    @functools.cached_property
    def _batch(self):
        images = self.inputs.data.pretraining_images
        settings = view_settings(self.recipe, self.inputs.preprocessing)
        settings |= {"local_policy": (), "batch_size": min(NUM_VIEWED, len(images))}
        batch = first_batch(images, seed=self.recipe.training.seed, **settings)
        return {name: np.asarray(value) for name, value in batch.items()}

    # Records.

    @functools.cached_property
    def log(self) -> list[dict]:
        """A dictionary for each epoch of the training, of `metrics.jsonl`."""
        return json_lines(self.workdir / METRICS)

    @functools.cached_property
    def spectra(self) -> list[dict]:
        """The spectra of the features that were kept while training."""
        return json_lines(self.workdir / SPECTRA)

    @functools.cached_property
    def projector_spectra(self) -> list[dict]:
        """Singular values of a linear projector at every epoch; empty without one."""
        return json_lines(self.workdir / PROJECTOR)

    @functools.cached_property
    def results(self) -> list[Result]:
        """What has been evaluated of the run."""
        return read_results(self.workdir).results

    # How any images and features are read.

    def features_of(self, images: np.ndarray) -> np.ndarray:
        """float32 (N, E) of the backbone, of uint8 images."""
        return self._extract(images)

    def embeddings_of(self, features: np.ndarray) -> np.ndarray:
        """float32 (N, F) of the encoder, of features of the backbone."""
        return features if self._neck is None else self.above(self._neck, features)

    def logits_of(self, features: np.ndarray) -> np.ndarray | None:
        """float32 (N, L * V), of features of the backbone; None without simplices."""
        return None if self.sizes is None else self.above(self._logits, features)

    def projections_of(self, features: np.ndarray) -> np.ndarray | None:
        """float32 (N, P), of features of the backbone; None without a method."""
        return None if self.method is None else self.above(self._project, features)

    def above(self, function, features: np.ndarray) -> np.ndarray:
        """float32 (N, F) of features, a block at a time, by a function of tensors."""
        array = None
        for start in range(0, len(features), _ROWS):
            part = np.asarray(function(tf.constant(features[start : start + _ROWS])))
            if array is None:
                array = scratch_array((len(features), part.shape[1]), "float32", self.memory)
            array[start : start + len(part)] = part
        return array

    @functools.cached_property
    def _backbone(self):
        return backbone_of(self.encoder)

    @functools.cached_property
    def _extract(self):
        preprocess = self.inputs.preprocessing.function
        return FeatureExtractor(self._backbone, preprocess, batch_size=_ROWS)

    @functools.cached_property
    def _neck(self):
        if self._backbone is self.encoder:
            return None
        model = keras.Model(backbone_output(self.encoder), self.encoder.output)
        return tf.function(lambda x: model(x, training=False), reduce_retracing=True)

    @functools.cached_property
    def _logits(self):
        model = keras.Model(backbone_output(self.encoder), embedding_of(self.encoder)[0].output)
        return tf.function(lambda x: model(x, training=False), reduce_retracing=True)

    @functools.cached_property
    def _project(self):
        neck = self._neck or tf.identity
        return tf.function(lambda x: self.method.project(neck(x)), reduce_retracing=True)

    @functools.cached_property
    def _scores(self):
        if self.method is None or self.method.cluster_head is None:
            return None
        preprocess = self.inputs.preprocessing.function
        return lambda images: self.method.cluster_scores(preprocess(images))

    @functools.cached_property
    def _largest(self):
        @functools.partial(tf.function, reduce_retracing=True)
        def largest(images):
            scores = self._scores(images)
            finite = tf.reduce_all(tf.math.is_finite(scores), axis=1)
            return tf.where(finite, tf.argmax(scores, axis=1), -1)

        return lambda images: np.asarray(largest(tf.constant(images)))
