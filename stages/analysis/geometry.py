"""Geometry of contrastive learning: what a projector keeps of features, their views and tangents.

Cosentino et al., Toward a geometrical understanding of self-supervised contrastive learning, 2022.
"""

import math
from collections.abc import Mapping

import numpy as np
from threadpoolctl import threadpool_limits

from keras_ssl.analysis.geometry import negative_distances
from keras_ssl.analysis.projector import RELATIVE
from keras_ssl.analysis.sections import Plot, Section, Table
from stages.analysis.geometry_curves import spectra_plots, training_plots
from stages.analysis.pairs import (
    ViewPair,
    bound_of,
    generators_of,
    initial_pair,
    measure,
    trained_pair,
    viewed_labels,
)
from stages.analysis.semantics import superclasses_of
from stages.analysis.subject import Subject

_ROUNDED = 0.005  # less is written as 0 %
_ALIKE = 0.05  # gains that differ by less than this share are called alike
_ERRORS = 2  # standard errors of the share among so many images, above which it is not chance
_BINS = np.linspace(0.0, 2.0, 41)
_BEFORE, _AFTER = "before training", "after training"
# Measures of `measure`, in the order of the table, and what they are called there.
_ROWS = {
    "weight_rank": "rank of the projector (Rank_tau)",
    "weight_rankme": "effective rank of the projector (RankMe)",
    "local_rank": "rank of the projector's local maps, mean",
    "local_rankme": "effective rank of the projector's local maps, mean",
    "projection_rankme": "effective rank of the projections",
    "feature_rank": "rank of the features, from a hundredth of the largest value",
    "motion_rank": "rank of the change between two views (h2 - h1)",
    "tangent_rank": "rank of the differences to the hardest negative (h2 - h*)",
    "unexplained": "differences to the hardest negative outside of the projector's span (eq. 10)",
    "unexplained_at_best": "the same of the best span as large",
    "local_unexplained": "the same of the span of the local map",
    "motion_in_kernel": "change between views that the projector drops",
    "difference_in_kernel": "differences of images that the projector drops",
    "random_in_kernel": "random directions that the projector drops",
    "local_motion_in_kernel": "change between views that the local map drops",
    "local_difference_in_kernel": "differences of images that the local map drops",
    "motion_gain": "change between views that the projector passes on",
    "difference_gain": "differences of images that the projector passes on",
    "regions_count": "regions of the projector with images in them",
    "regions_shared": "images with both views in one region",
    "regions_within": "ReLUs that differ between two views",
    "regions_between": "ReLUs that differ between images",
    "negative_distance": "distance to the hardest negative",
    "same_label": "hardest negative of the same class",
    "same_label_second": "second hardest negative of the same class",
    "same_label_by_chance": "random image of the same class",
    "same_superclass": "hardest negative of the same superclass",
    "same_superclass_second": "second hardest negative of the same superclass",
    "same_superclass_by_chance": "random image of the same superclass",
    "decoupled_infonce": "decoupled InfoNCE (eq. 1)",
    "upper_bound": "its upper bound (eq. 3)",
    "invariance": "invariance (eq. 4)",
    "repulsion": "repulsion (eq. 5)",
}


@threadpool_limits.wrap(limits=1)  # the same bits on any number of cores
def section(subject: Subject) -> Section | None:
    """What a projector keeps and drops of two views; None without a method or a second view."""
    pair = trained_pair(subject)
    if pair is None:
        return None
    labels, (coarse, _) = viewed_labels(subject), superclasses_of(subject)
    pairs = {_BEFORE: initial_pair(subject), _AFTER: pair}
    pairs = {when: each for when, each in pairs.items() if each is not None}
    found = {when: measure(each, labels, coarse) for when, each in pairs.items()}
    if subject.recipe.base_name == "simclr":
        for when, each in pairs.items():
            found[when] |= bound_of(each, subject.method.temperature)
    generators = generators_of(subject, pair)
    words = (*_projector_words(found), *_tangent_words(found), *_negative_words(found, labels))
    words += (*_generator_words(generators, pair),)
    if subject.recipe.neck.kind != "none":
        words += ("Features are here what the projector reads: the embeddings of the neck.",)
    values = {"images": len(pair.features[0]), **_by_name(found), "generators": generators}
    tables = (_measures_table(found, len(pair.features[0])), *_generators_table(generators, pair))
    plots = (*training_plots(subject), _distances_plot(pairs), *spectra_plots(subject))
    title = "Geometry: projector, views and negatives"
    return Section("geometry", title, words, values, tables, plots)


# What is said of it.


def _projector_words(found):
    """How many directions the projector keeps."""
    start, end = found.get(_BEFORE, {}), found[_AFTER]
    if "weight_rank" in end:
        sentence = (
            f"The linear projector keeps {end['weight_rank']} directions (singular values of at "
            f"least {RELATIVE:.0%} of the largest), an effective rank of {end['weight_rankme']:.1f}"
        )
        if start:
            sentence += f"; before training {start['weight_rank']} and {start['weight_rankme']:.1f}"
        yield f"{sentence}."
    elif "local_rank" in end:
        yield (
            f"Around an image the projector is a linear map of effective rank "
            f"{end['local_rankme']:.1f} (mean over {end['local_maps']} images); its ReLUs put "
            f"{end['regions_shared']:.0%} of the images with both views in one region."
        )


def _tangent_words(found):
    """What of the augmentations the projector discards, and how well it fits the tangents."""
    start, end = found.get(_BEFORE, {}), found[_AFTER]
    if end.get("difference_gain"):
        ratio = _gain_ratio(end)
        before = f" ({_gain_ratio(start):.2f} before training)" if start else ""
        yield (
            f"It passes on {ratio:.2f} times as much of the change between two views (h2 - h1) as "
            f"of what differs between images{before}. {_said_of_ratio(ratio)}"
        )
        yield (
            f"It drops {end['motion_in_kernel']:.0%} of the change between views, "
            f"{end['difference_in_kernel']:.0%} of the differences between images and "
            f"{end['random_in_kernel']:.0%} of random directions (its kernel)."
        )
        yield (
            f"Its directions miss {end['unexplained']:.0%} of the differences between a view and "
            "its hardest negative (h2 - h*)"
            + (f", {start['unexplained']:.0%} before training" if start else "")
            + f"; the best directions, as many, would miss {end['unexplained_at_best']:.0%}."
        )
    elif end.get("local_unexplained", 0) > _ROUNDED:  # else the local maps span everything
        yield (
            f"Its local maps miss {end['local_unexplained']:.0%} of the differences between a view "
            "and its hardest negative (h2 - h*)."
        )


def _said_of_ratio(ratio):
    if ratio < 1 - _ALIKE:
        return "That is good: it shrinks what augmentations change more than content."
    if ratio < 1 + _ALIKE:
        return "That is neither good nor bad: it treats augmentations and content alike."
    return "That is bad: it shrinks content more than what augmentations change."


def _gain_ratio(measures):
    return measures["motion_gain"] / max(measures["difference_gain"], 1e-12)


def _negative_words(found, labels):
    """How far the hardest negative is, and whether it is of the same class."""
    start, end = found.get(_BEFORE, {}), found[_AFTER]
    was = f" ({start['negative_distance']:.2f} before training)" if start else ""
    text = (
        f"Features of unit length lie {end['negative_distance']:.2f} from the hardest negative{was}"
    )
    if labels is None:
        yield f"{text}."
        return
    was = f" ({start['same_label']:.0%} before training)" if start else ""
    chance = end["same_label_by_chance"]
    yield (
        f"{text}, which is of the same class for {end['same_label']:.0%} of the images{was}; a "
        f"random one would be for {chance:.0%}. "
        + _said_of_labels(end["same_label"], chance, len(labels))
    )


def _said_of_labels(same, chance, images):
    error = math.sqrt(chance * (1 - chance) / images)
    if same > chance + _ERRORS * error:
        return "That is good: classes lie together."
    return "That is bad: the features do not tell the classes from each other."


def _generator_words(generators, pair):
    """Which transformations the features follow linearly, and whether the projector drops them."""
    if not generators:
        return
    least, most = (f(generators, key=lambda k: generators[k]["motion"]) for f in (min, max))
    yield (
        f"Of small transformations, {most} moves the features most and {least} least "
        f"({generators[most]['motion']:.0%} and {generators[least]['motion']:.0%} of their length)."
    )
    if pair.weights is not None:
        best = max(generators, key=lambda kind: generators[kind]["in_kernel"])
        yield (
            f"Of the directions in which they move the features (their generators), the projector "
            f"drops most for {best} ({generators[best]['in_kernel']:.0%})."
        )


def _by_name(found):
    """{measure: {when: number}}, so that a comparison finds the same measure in one place."""
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    return {name: {when: each.get(name) for when, each in found.items()} for name in names}


def _measures_table(found, images):
    rows = tuple(
        (text, *(each.get(name) for each in found.values()))
        for name, text in _ROWS.items()
        if any(name in each for each in found.values())
    )
    note = (
        f"Two views of {images} training images: h their features, h* those of the hardest "
        f"negative among all others. Ranks count singular values of at least {RELATIVE:.0%} of the "
        "largest; their directions are the span, the rest is dropped (the kernel). Passed on is "
        "the share of a direction's energy, over the square of the largest singular value. "
        "Before training every batch is normalized by its own statistics."
    )
    return Table("Projector, views and negatives", ("", *found), rows, note)


def _generators_table(generators, pair):
    if not generators:
        return ()
    head = ("transformation", "motion of h", "linear in h")
    names = ("motion", "explained")
    if pair.weights is not None:
        head += ("generator dropped", "motion dropped")
        names += ("in_kernel", "motion_in_kernel")
    rows = tuple((kind, *(each[name] for name in names)) for kind, each in generators.items())
    note = (
        "h moves to exp(strength G) h; G is estimated from half of the images (eq. 12). Linear in "
        "h is the share of the motion that it predicts on the others: below 0 it predicts worse "
        "than no motion. A projector is invariant to a transformation whose generator it drops: it "
        f"lies where singular values are below {RELATIVE:.0%} of the largest."
    )
    return (Table("Lie generators of small transformations", head, rows, note),)


# Plots.


def _distances_plot(pairs: Mapping[str, ViewPair]):
    series = {}
    for when, pair in pairs.items():
        distances = negative_distances(*pair.features, pair.neighbors)
        series[when] = {"edges": _BINS, "counts": np.histogram(distances, _BINS)[0]}
    note = (
        "The paper's figure 5: small augmentations leave repulsion to prevail, and distances grow."
    )
    title, label = "Distance to the hardest negative", "distance of unit features"
    return Plot("negative_distances", title, "histogram", series, label, "images", note=note)
