"""Two views of training images, before a training and after it: what its geometry is read from."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

import keras_ssl
from keras_ssl.analysis.affine import (
    AffineLayer,
    activation_patterns,
    affine_layers,
    local_maps,
    local_unexplained_variance,
    region_statistics,
)
from keras_ssl.analysis.geometry import (
    Neighbors,
    chance_agreement,
    gain,
    label_agreement,
    least_unexplained,
    nearest_negatives,
    negative_distances,
    unexplained_variance,
)
from keras_ssl.analysis.projector import RELATIVE, linear_weights, weight_rank, weight_rankme
from keras_ssl.analysis.spectrum import spectrum_of
from keras_ssl.analysis.tangents import TRANSFORMATIONS, lie_generator, transformed
from keras_ssl.core.errors import UserError
from keras_ssl.losses.decoupled import decoupled_infonce, symmetric_upper_bound
from stages.analysis.subject import Subject
from stages.build import float32_encoder

_ELEMENTS = 2**24  # of an array of features in float64
_SIDE = 64  # pixels: the views of larger images are not read a second time
_BATCH = 128  # images of a call before training, at least
NEGATIVES = 2  # neighbors of each image
_MAPPED = 32  # images at which the map of an MLP projector is computed, at most
_MAP_ELEMENTS = 2**23  # of all these maps
_MOVED = 600  # images that generators are estimated from, and tested on


@dataclass(frozen=True)
class ViewPair:
    """Features and projections of two views of images, and the projector between them.

    Attributes:
        features: two arrays (images, features), what the projector reads.
        projections: two arrays (images, projections), what the loss compares.
        weights: W of a linear projector, or None.
        layers: of a projector with ReLUs, or None.
    """

    features: Sequence[np.ndarray]
    projections: Sequence[np.ndarray]
    weights: np.ndarray | None
    layers: tuple[AffineLayer, ...] | None

    @functools.cached_property
    def neighbors(self) -> Neighbors:
        """The hardest negatives of every first view."""
        return nearest_negatives(*self.projections, count=NEGATIVES)

    @functools.cached_property
    def motions(self) -> np.ndarray:
        """`v = h2 - h1`, the directions of the augmentations."""
        return np.subtract(self.features[1], self.features[0], dtype="float64")

    @functools.cached_property
    def tangents(self) -> np.ndarray:
        """`h2 - h*`, an estimate of the tangents of the data."""
        negatives = self.neighbors.rows_of(*self.features)
        return np.subtract(self.features[1], negatives, dtype="float64")

    @functools.cached_property
    def differences(self) -> np.ndarray:
        """`h1 - h1` of the image after it, to compare with: (images, features)."""
        return np.subtract(self.features[0], np.roll(self.features[0], 1, axis=0), dtype="float64")


def trained_pair(subject: Subject) -> ViewPair | None:
    """The pair after training; None without a method, two views or enough images.

    Raises:
        UserError: if the features are not finite.
    """
    if subject.method is None or len(subject.views) < 2:
        return None
    count = _count(subject)
    if count <= NEGATIVES:
        return None
    backbone = [features[:count] for features in subject.view_features[:2]]
    features = [subject.embeddings_of(each) for each in backbone]
    projections = [subject.projections_of(each) for each in backbone]
    return _pair(subject, subject.method, features, projections)


def initial_pair(subject: Subject) -> ViewPair | None:
    """The pair before training, normalized by its own batches; None of large images.

    The weights are those that training began with, drawn from the same seed.
    """
    if subject.method is None or max(subject.views[0].shape[1:3]) > _SIDE:
        return None
    encoder = float32_encoder(subject.recipe, subject.inputs.preprocessing)
    settings = {**subject.method.get_config(), "encoder": encoder, "dtype": "float32"}
    method = type(subject.method).from_config(settings)
    count, step = _count(subject), max(subject.recipe.training.batch_size, _BATCH)
    # Statistics of few images are no normalization: half a batch or less joins the one before it.
    batches = np.split(np.arange(count), range(step, count - step // 2, step))
    read = [[encoder(view[rows], training=True) for rows in batches] for view in subject.views[:2]]
    features = [np.concatenate([np.asarray(each) for each in view]) for view in read]
    projected = [[method.project(each, training=True) for each in view] for view in read]
    projections = [np.concatenate([np.asarray(each) for each in view]) for view in projected]
    return _pair(subject, method, features, projections)


def viewed_labels(subject: Subject) -> np.ndarray | None:
    """Labels of the images of a pair, or None where not all of them have one."""
    data = subject.inputs.data
    if data.train_labels is None or data.with_unlabeled is not None:
        return None
    return data.train_labels[data.fitting_rows[subject.view_rows[: _count(subject)]]]


def measure(pair: ViewPair, labels=None, superclasses=None) -> dict[str, float]:
    """Numbers of a pair by name; shares are in [0, 1]."""
    bound = symmetric_upper_bound(*pair.projections)
    centered = pair.features[0] - pair.features[0].mean(axis=0, dtype="float64")
    found = {
        "invariance": float(bound.invariance),
        "repulsion": float(bound.repulsion),
        "negative_distance": float(negative_distances(*pair.features, pair.neighbors).mean()),
        "feature_rank": spectrum_of(centered).relative_rank(),
        "motion_rank": spectrum_of(pair.motions).relative_rank(RELATIVE),
        "tangent_rank": spectrum_of(pair.tangents).relative_rank(RELATIVE),
        "projection_rankme": spectrum_of(np.concatenate(pair.projections)).rankme,
    }
    if labels is not None:
        found |= _agreements(pair, labels, superclasses)
    if pair.weights is not None:
        found |= _of_linear(pair)
    if pair.layers is not None:
        found |= _of_regions(pair)
    return found


def bound_of(pair: ViewPair, temperature: float) -> dict[str, float]:
    """Decoupled InfoNCE among these images and its bound."""
    loss = decoupled_infonce(*pair.projections, temperature=temperature)
    bound = symmetric_upper_bound(*pair.projections, temperature=temperature)
    return {"decoupled_infonce": float(loss), "upper_bound": float(bound.upper_bound)}


def generators_of(subject: Subject, pair: ViewPair) -> dict[str, dict[str, float]]:
    """Generators of small transformations of images, and how much of each a projector drops."""
    images = subject.images[: min(_MOVED, _ELEMENTS // pair.features[0].shape[1])]
    if len(images) < 8:
        return {}
    strengths = np.random.default_rng(0).uniform(-1.0, 1.0, len(images))
    read = lambda x: subject.embeddings_of(subject.features_of(x))  # noqa: E731
    before, half = read(images), len(images) // 2
    kinds = [kind for kind in TRANSFORMATIONS if kind != "saturation" or images.shape[-1] > 1]
    return {
        kind: _generator(before, read(transformed(images, kind, strengths)), strengths, half, pair)
        for kind in kinds
    }


def _generator(before, after, strengths, half, pair):
    generator = lie_generator(before[:half], after[:half], strengths[:half])
    found = {
        "motion": float(np.linalg.norm(after - before) / max(np.linalg.norm(before), 1e-12)),
        "explained": generator.explained(before[half:], after[half:], strengths[half:]),
    }
    if pair.weights is not None:
        found["in_kernel"] = _outside(generator.output.T, pair.weights)
        found["motion_in_kernel"] = _outside(after - before, pair.weights)
    return found


def _agreements(pair, labels, superclasses):
    found = {}
    for name, groups in (("label", None), ("superclass", superclasses)):
        if name == "label" or groups is not None:
            nearest, second = label_agreement(labels, pair.neighbors, superclasses=groups)
            found |= {f"same_{name}": float(nearest), f"same_{name}_second": float(second)}
            found[f"same_{name}_by_chance"] = chance_agreement(labels, superclasses=groups)
    return found


# One threshold for all: directions of a rank are a span, and what they leave is the kernel.
_outside = functools.partial(unexplained_variance, relative=RELATIVE)
_outside_local = functools.partial(local_unexplained_variance, relative=RELATIVE)


def _of_linear(pair):
    rank = weight_rank(pair.weights, relative=RELATIVE)
    return {
        "weight_rank": rank,
        "weight_rankme": weight_rankme(pair.weights),
        "unexplained": _outside(pair.tangents, pair.weights),
        "unexplained_at_best": least_unexplained(pair.tangents, rank),
        "motion_in_kernel": _outside(pair.motions, pair.weights),
        "difference_in_kernel": _outside(pair.differences, pair.weights),
        "motion_gain": gain(pair.motions, pair.weights),
        "difference_gain": gain(pair.differences, pair.weights),
        "random_in_kernel": 1.0 - rank / len(pair.weights),
    }


def _of_regions(pair):
    widest = max(layer.matrix.shape[1] for layer in pair.layers)
    elements = len(pair.layers[0].matrix) * widest
    rows = slice(max(min(_MAPPED, _MAP_ELEMENTS // elements), 1))
    maps = local_maps(pair.layers, pair.features[0][rows])
    found = {
        "local_rank": float(np.mean([weight_rank(each, relative=RELATIVE) for each in maps])),
        "local_rankme": float(np.mean([weight_rankme(each) for each in maps])),
        "local_maps": len(maps),
        "local_unexplained": _outside_local(pair.tangents[rows], maps),
        "local_motion_in_kernel": _outside_local(pair.motions[rows], maps),
        "local_difference_in_kernel": _outside_local(pair.differences[rows], maps),
    }
    patterns = [activation_patterns(pair.layers, each) for each in pair.features]
    return found | {f"regions_{k}": v for k, v in region_statistics(*patterns)._asdict().items()}


def _count(subject):
    width = subject.encoder.output_shape[-1]
    return max(min(len(subject.view_rows), _ELEMENTS // width), NEGATIVES + 1)


def _pair(subject, method: keras_ssl.Method, features, projections):
    if not all(np.isfinite(each).all() for each in (*features, *projections)):
        raise UserError("the features of the views are not finite.")
    max_width = subject.recipe.analysis.max_width
    weights = linear_weights(method)
    if weights is not None and min(weights.shape) > max_width:
        weights = None
    projector = getattr(method, "projector", None)
    layers = None
    if weights is None and isinstance(projector, keras.Sequential):
        layers = affine_layers(projector, max_width=max_width)
    return ViewPair(features, projections, weights, layers)
