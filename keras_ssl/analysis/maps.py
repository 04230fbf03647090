"""Maps: features in the plane."""

import importlib.util
import warnings

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from keras_ssl.core.errors import UserError

MAPS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
_WIDTH = 50  # principal components that t-SNE and UMAP start from
_STEPS = 600  # of t-SNE; groups have long parted by then


def principal_components(features: ArrayLike, count: int, seed: int = 0) -> tuple:
    """Coordinates of features along their first principal components, by random projections.

    No matrix of F x F is formed.

    Args:
        features: (N, F).
        count: int >= 1. Components.
        seed: int. Draws the projections.

    Returns:
        (float64 (N, count), with zeros where there are fewer components; float64 (count,) shares
        of the variance).

    Example:

    >>> x, shares = principal_components(np.arange(6.0).reshape(3, 2), 2)
    >>> np.abs(x).round(2).tolist(), shares.round(2).tolist()
    ([[2.83, 0.0], [0.0, 0.0], [2.83, 0.0]], [1.0, 0.0])

    Reference: Halko, Martinsson and Tropp, Finding Structure with Randomness, 2011, algorithm 4.4.
    """
    from sklearn.utils.extmath import randomized_svd

    x = np.asarray(features, np.float32)
    x = np.where(np.isfinite(x), x, 0.0)
    x = x / max(float(np.abs(x).max(initial=0.0)), 1e-30)
    x = x - x.mean(axis=0, dtype=np.float64).astype(np.float32)
    scale = np.max(np.abs(np.asarray(features, np.float32)[np.isfinite(features)]), initial=0.0)
    total = float(np.square(x, dtype=np.float64).sum())
    if total <= 1e-12 * x.size:  # rounding errors of constant features
        return np.zeros((len(x), count)), np.zeros(count)
    rank = min(count, *x.shape)
    left, singular, _ = randomized_svd(x, rank, random_state=seed)
    coordinates = np.zeros((len(x), count))
    coordinates[:, :rank] = left * singular * scale
    shares = np.zeros(count)
    shares[:rank] = np.square(singular, dtype=np.float64) / total
    return coordinates, shares


def map_of(features: ArrayLike, kind: str = "tsne", seed: int = 0) -> np.ndarray:
    """Features in the plane, for a picture: distances in it mean little, groups mean something.

    Args:
        features: (N, F).
        kind: "pca", "tsne", or "umap", which needs the package umap-learn.
        seed: int.

    Returns:
        float64 (N, 2); zeros for constant features.

    Raises:
        UserError: for a kind that does not exist, or whose package is not installed.

    Example:

    >>> map_of(np.eye(4), "pca").shape
    (4, 2)

    Reference: van der Maaten and Hinton, Visualizing Data using t-SNE, 2008; McInnes et al., UMAP,
    2018.
    """
    if kind not in MAPS:
        raise UserError(f"Unknown map '{kind}'. There are {', '.join(MAPS)}.")
    if kind == "umap" and importlib.util.find_spec("umap") is None:
        raise UserError("The map 'umap' needs the package umap-learn: pip install umap-learn.")
    x, shares = principal_components(features, 2 if kind == "pca" else _WIDTH, seed)
    if kind == "pca" or len(x) < 5 or not shares.any():
        return x[:, :2]
    x = x / x.std(axis=0).max()
    # Of threads that share cores with others the slowest keeps all waiting, many times a step.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they will change in another version
        return _EMBED[kind](x, seed).astype(np.float64)


def _tsne(x, seed):
    from sklearn.manifold import TSNE

    settings = {"init": "pca", "perplexity": min(30.0, (len(x) - 1) / 3), "max_iter": _STEPS}
    return TSNE(**settings, random_state=seed).fit_transform(x)


def _umap(x, seed):
    import umap

    return umap.UMAP(n_neighbors=min(15, len(x) - 1), random_state=seed).fit_transform(x)


_EMBED = {"tsne": _tsne, "umap": _umap}
