"""What a person looks at first: views, a map of the features, images held to be alike."""

import importlib.util

import numpy as np

from keras_ssl.analysis.collapse import found_clusters
from keras_ssl.analysis.maps import MAPS, map_of, principal_components
from keras_ssl.analysis.neighbors import (
    nearest_images,
    sample_rows,
    typical_of_clusters,
)
from keras_ssl.analysis.sections import Plot, Section
from keras_ssl.core.errors import UserError
from keras_ssl.ops.rows import some_rows
from stages.analysis.subject import Subject

_VIEWED = 6  # images of which the views are shown
_MAPPED = 1500  # images on a map: more take too long, and cover each other
_ASKED, _NEIGHBORS = 10, 8
_CLUSTERS, _TYPICAL = 12, 8  # clusters that are shown, and images of each
_MOST_CLASSES = 30  # that have a series each on the map


def views(subject: Subject) -> Section | None:
    """Some images and their views, as the training draws them."""
    count = min(_VIEWED, len(subject.view_rows))
    originals = np.asarray(subject.inputs.data.pretraining_images[subject.view_rows[:count]])
    rows = {}
    for i in range(count):
        shown = [view[i] for view in subject.view_images]
        first = _like(originals[i], shown[0])
        rows[f"image {subject.view_rows[i]}"] = {"images": np.stack([first, *shown])}
    number = len(subject.views)
    plot = Plot(
        "views",
        "An image and its views",
        "images",
        rows,
        note=f"First the image, then the {number} views of it that the loss compares.",
    )
    words = (
        f"Views by the policy '{subject.recipe.augment.policy}': what differs between them is what "
        "the features learn to ignore.",
    )
    return Section("views", "Augmented views", words, {"views": number}, plots=(plot,))


def _like(image, view):
    """An image of the size of its views."""
    if image.shape == view.shape:
        return image
    from pipelines.images.resizing import resize_to_square

    return np.asarray(resize_to_square(image[None], view.shape[0]))[0]


def feature_map(subject: Subject) -> Section:
    """The features in the plane: along principal components, and by t-SNE or UMAP."""
    rows = some_rows(len(subject.features), _MAPPED)
    features = subject.features[rows]
    labels = None if subject.labels is None else subject.labels[rows]
    coordinates, shares = principal_components(features, 2)
    shown = {"pca": coordinates}
    wanted, words = subject.recipe.analysis.map, []
    if wanted == "auto":
        wanted = "umap" if importlib.util.find_spec("umap") else "tsne"
    if wanted != "pca":
        try:
            shown[wanted] = map_of(features, wanted)
        except UserError as error:
            words.append(str(error))
    first = (
        f"{len(rows):,} images by the features of the backbone: the first two principal components "
        f"have {100 * shares.sum():.0f} % of the variance."
    )
    plots = tuple(
        Plot(
            kind,
            MAPS[kind],
            "scatter",
            _by_class(xy, labels, subject),
            note=_NOTES[kind == "pca"],
        )
        for kind, xy in shown.items()
    )
    values = {"images": len(rows), "variance_of_two_components": float(shares.sum())}
    return Section("map", "Map of the features", (first, *words), values, plots=plots)


_NOTES = (
    "Only who is near whom means something; distances between groups and their sizes do not.",
    "Distances are those of the features, as far as two directions can show them.",
)


def _by_class(xy, labels, subject):
    if labels is None:
        return {"images": {"x": xy[:, 0], "y": xy[:, 1]}}
    found = {}
    for one in np.unique(labels):
        rows = labels == one
        found[subject.class_name(one)] = {"x": xy[rows, 0], "y": xy[rows, 1]}
    return found


def neighbors(subject: Subject) -> Section:
    """The nearest neighbors of some images, and the most typical images of clusters."""
    labels, images = subject.labels, subject.images
    rows = sample_rows(labels, len(images), _ASKED)
    nearest, cosines = nearest_images(subject.features, rows, _NEIGHBORS)
    shown = {}
    for row, others, near in zip(rows, nearest, cosines, strict=True):
        name = f"image {row}" if labels is None else subject.class_name(labels[row])
        nearby = f"{name}: cosines {near[0]:.2f} to {near[-1]:.2f}" if len(near) else name
        shown[nearby] = {"images": images[[row, *others]]}
    plot = Plot(
        "neighbors",
        "Nearest neighbors",
        "images",
        shown,
        note="First the image, then those with the most similar features (cosine), itself left "
        "out.",
    )
    words, values = [], {"images": len(images), "neighbors": int(nearest.shape[1])}
    if labels is not None and nearest.size:
        same = float(np.mean(labels[nearest] == labels[rows][:, None]))
        values["same_class"] = same
        words.append(
            f"Of the {nearest.shape[1]} nearest neighbors of {len(rows)} images, one of each class "
            f"at most, {100 * same:.0f} % are of the image's class."
        )
    typical, said = _typical(subject)
    title = "Neighbors and typical images"
    return Section("neighbors", title, (*words, said), values, plots=(plot, typical))


def _typical(subject):
    """The most typical images, and what they are typical of."""
    images = subject.images
    if subject.clusters is not None:
        clusters, source, puts = subject.clusters, "the method", "The method puts these images"
    else:
        clusters, source, puts = _k_means(subject), "k-means", "k-means puts the features"
    known = np.flatnonzero(clusters >= 0)
    sizes = np.bincount(clusters[known])
    found = typical_of_clusters(subject.features[known], clusters[known], _TYPICAL)
    series = {
        f"cluster {c}, {sizes[c]} images": {"images": images[known[rows]]}
        for c, rows in list(found.items())[:_CLUSTERS]
    }
    note = f"Of each cluster of {source} the images closest to its mean, largest cluster first."
    plot = Plot("typical", "Typical images", "images", series, note=note)
    return plot, f"{puts} in {len(found)} clusters."


def _k_means(subject):
    count = min(len(subject.classes) or 10, _CLUSTERS)
    x, _ = principal_components(subject.features, 50)
    return found_clusters(x, count, max_rows=len(x))[1]
