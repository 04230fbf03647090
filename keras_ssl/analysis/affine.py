"""The local affine maps of a projector with ReLUs: a linear projector in each of its regions."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_ssl.analysis.geometry import unexplained_variance

_AFFINE = (keras.layers.BatchNormalization, keras.layers.Dropout)  # in inference mode


class AffineLayer(NamedTuple):
    """An affine map and what follows it: `x -> slope-of-ReLU(x @ matrix + offset)`.

    Attributes:
        matrix: float64 (inputs, outputs).
        offset: float64 (outputs,).
        slope: float or None. Of the ReLU for negative values (0 for the plain one); None where no
            ReLU follows, as after the last layer.

    Example:

    >>> AffineLayer(np.eye(2), np.zeros(2), slope=0.0).slope
    0.0
    """

    matrix: np.ndarray
    offset: np.ndarray
    slope: float | None


def affine_layers(
    projector: keras.Model, *, max_width: int = 4096
) -> tuple[AffineLayer, ...] | None:
    """A projector as affine maps with ReLUs between, in inference mode.

    Dense layers (block-diagonal ones too) and the batch normalizations after them become one map.

    Args:
        projector: a `keras.Sequential` of Dense, BatchNormalization, ReLU and LeakyReLU.
        max_width: int > 0. No matrix with a longer side than this is formed.

    Returns:
        The layers from the input on; None for a projector with something else in it, or too wide.

    Example:

    >>> from keras_ssl.layers.heads import mlp
    >>> layers = affine_layers(mlp(8, (16, 4), name="projector"))
    >>> [layer.matrix.shape for layer in layers], [layer.slope for layer in layers]
    ([(8, 16), (16, 4)], [0.0, None])

    Reference: Cosentino et al., Toward a geometrical understanding of self-supervised contrastive
    learning, 2022, eq. 11.
    """
    parts = getattr(projector, "layers", [])
    widths = [_width(part.input) for part in parts] + [_width(part.output) for part in parts]
    if not parts or max(widths) > max_width:
        return None
    layers, matrix = [], np.eye(widths[0])
    offset = np.zeros(widths[0])
    for part in parts:
        if _is_affine(part):
            matrix, offset = _composed(part, matrix, offset)
        elif (slope := _slope(part)) is not None:
            layers.append(AffineLayer(matrix, offset, slope))
            width = _width(part.output)
            matrix, offset = np.eye(width), np.zeros(width)
        else:
            return None
    return (*layers, AffineLayer(matrix, offset, None))


def activation_patterns(layers: Sequence[AffineLayer], features: ArrayLike) -> np.ndarray:
    """Which ReLUs are on: bool (rows, hidden units); equal rows lie in one region.

    Args:
        layers: of `affine_layers`.
        features: float (rows, features).

    Example:

    >>> one = np.eye(2), np.zeros(2)
    >>> layers = AffineLayer(*one, slope=0.0), AffineLayer(*one, slope=None)
    >>> activation_patterns(layers, [[1.0, -1.0]]).tolist()
    [[True, False]]

    Reference: Cosentino et al., sec. 5: the partition of the features' space by a projector.
    """
    x, patterns = np.asarray(features, "float64"), []
    for layer in layers:
        x = x @ layer.matrix + layer.offset
        if layer.slope is not None:
            patterns.append(x > 0)
            x = np.where(x > 0, x, layer.slope * x)
    return np.concatenate(patterns, axis=1) if patterns else np.zeros((len(x), 0), bool)


def local_maps(layers: Sequence[AffineLayer], features: ArrayLike) -> np.ndarray:
    """The matrix W of the region that each row lies in: `g(h) = W^T h + constant` around it.

    Args:
        layers: of `affine_layers`.
        features: float (rows, features); take few rows, each gets a matrix.

    Returns:
        float64 (rows, features, projections).

    Example:

    >>> one = np.eye(2), np.zeros(2)
    >>> layers = AffineLayer(*one, slope=0.0), AffineLayer(*one, slope=None)
    >>> local_maps(layers, [[1.0, -1.0]])[0].tolist()  # the second feature is cut off
    [[1.0, 0.0], [0.0, 0.0]]

    Reference: Cosentino et al., eq. 11.
    """
    patterns, start = activation_patterns(layers, features), 0
    maps = np.eye(len(layers[0].matrix))[None]
    for layer in layers:
        maps = maps @ layer.matrix
        if layer.slope is not None:
            on = patterns[:, start : start + maps.shape[2]]
            maps = maps * np.where(on, 1.0, layer.slope)[:, None, :]
            start += maps.shape[2]
    return np.broadcast_to(maps, (len(patterns), *maps.shape[1:]))


def local_unexplained_variance(
    directions: ArrayLike, maps: ArrayLike, *, relative: float = 1e-6
) -> float:
    """`unexplained_variance` where each direction has the span of its own region's matrix.

        sum_i min_t |d_i - W_i t|^2 / sum_i |d_i|^2

    Args:
        directions: float (rows, features).
        maps: float (rows, features, projections). `local_maps` at these rows.
        relative: float > 0. Singular values of W_i below this share of its largest do not count.

    Returns:
        From 0 (all in the span; or no direction at all) to 1.

    Example:

    >>> maps = np.array([[[1.0], [0.0]], [[0.0], [1.0]]])
    >>> round(local_unexplained_variance([[1.0, 0.0], [1.0, 1.0]], maps), 6)
    0.333333

    Reference: Cosentino et al., eqs. 10 and 11.
    """
    directions = np.asarray(directions, "float64")
    energies = np.sum(np.square(directions), axis=1)
    shares = [
        unexplained_variance(d[None], w, relative=relative)
        for d, w in zip(directions, maps, strict=True)
    ]
    total = energies.sum()
    return float(energies @ shares / total) if total > 0 else 0.0


class Regions(NamedTuple):
    """What `region_statistics` returns.

    Attributes:
        count: regions that the first views lie in, of as many images.
        shared: share of images both of whose views lie in one region.
        within: mean share of ReLUs that differ between two views of an image.
        between: the same between views of different images.
        idle: share of ReLUs that are the same, on or off, for all images.

    Example:

    >>> Regions(count=1, shared=1.0, within=0.0, between=0.0, idle=1.0).count  # as if linear
    1
    """

    count: int
    shared: float
    within: float
    between: float
    idle: float


def region_statistics(first: ArrayLike, second: ArrayLike) -> Regions:
    """How two views of images lie in the regions of a projector.

    A projector that is nearly linear where the images are has few regions, and a projector that is
    invariant region by region has the views of an image in one.

    Args:
        first, second: bool (images, ReLUs). `activation_patterns` of two views.

    Example:

    >>> on = np.array([[True, False], [False, True]])
    >>> region_statistics(on, on)
    Regions(count=2, shared=1.0, within=0.0, between=1.0, idle=0.0)

    Reference: Cosentino et al., sec. 5, eq. 11 and fig. 8.
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    images, units = first.shape
    differ = first != second
    x, y = first.astype("float64"), second.astype("float64")
    pairs = x.sum(1)[:, None] + y.sum(1)[None, :] - 2 * x @ y.T  # (images, images)
    others = pairs.sum() - np.trace(pairs)
    return Regions(
        count=len(np.unique(np.packbits(first, axis=1), axis=0)),
        shared=float(np.mean(~differ.any(axis=1))),
        within=float(differ.sum() / max(images * units, 1)),
        between=float(others / max(images * (images - 1) * units, 1)),
        idle=float(np.mean(np.all(first == first[:1], axis=0))) if units else 0.0,
    )


def _composed(part, matrix, offset):
    """The affine map of a layer after one that is known, by what it makes of the identity."""
    rows = np.concatenate([matrix, np.zeros((1, matrix.shape[1]))]) + offset
    out = ops.convert_to_numpy(part(ops.cast(rows, "float32"), training=False)).astype("float64")
    return out[:-1] - out[-1], out[-1]


def _is_affine(part):
    if isinstance(part, keras.layers.Dense) or hasattr(part, "num_blocks"):
        return getattr(part, "activation", keras.activations.linear) is keras.activations.linear
    return isinstance(part, _AFFINE) or type(part) is keras.layers.Identity


def _slope(part):
    if isinstance(part, keras.layers.LeakyReLU):
        return float(part.negative_slope)
    if isinstance(part, keras.layers.ReLU) and not part.threshold and part.max_value is None:
        return float(part.negative_slope)
    return None


def _width(tensor):
    return int(tensor.shape[-1])
