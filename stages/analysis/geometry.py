"""Geometry of contrastive learning: what a projector keeps of features, their views and tangents.

Cosentino et al., Toward a geometrical understanding of self-supervised contrastive learning, 2022.
"""

from collections.abc import Mapping

import numpy as np
from threadpoolctl import threadpool_limits

from keras_ssl.analysis.geometry import negative_distances
from keras_ssl.analysis.projector import RELATIVE
from keras_ssl.analysis.sections import Plot, Section, Table
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

_BINS = np.linspace(0.0, 2.0, 41)
_BEFORE, _AFTER = "before training", "after training"
# Metrics of the training that are drawn here, by plot.
CURVES = {
    "rank": ("projector_rank", "projector_rankme"),
    "bound": ("upper_bound",),
    "terms": ("invariance", "repulsion"),
}
# Measures of `measure`, in the order of the table, and what they are called there.
_ROWS = {
    "weight_rank": "rank of the projector (Rank_tau)",
    "weight_rankme": "effective rank of the projector (RankMe)",
    "local_rank": "rank of the projector's local maps, mean",
    "local_rankme": "effective rank of the projector's local maps, mean",
    "projection_rankme": "effective rank of the projections",
    "feature_rank": "rank of the features, from a hundredth of the largest value",
    "motion_rank": "rank of h2 - h1",
    "tangent_rank": "rank of h2 - h*",
    "unexplained": "h2 - h* outside of the projector's span (eq. 10)",
    "unexplained_at_best": "the same of the best span as large",
    "local_unexplained": "h2 - h* outside of the span of the local map",
    "motion_in_kernel": "h2 - h1 in the kernel",
    "difference_in_kernel": "differences of images in the kernel",
    "random_in_kernel": "random directions in the kernel",
    "local_motion_in_kernel": "h2 - h1 in the kernel of the local map",
    "local_difference_in_kernel": "differences of images in the kernel of the local map",
    "motion_gain": "gain of h2 - h1",
    "difference_gain": "gain of differences of images",
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
    values = {"images": len(pair.features[0]), **_by_name(found), "generators": generators}
    tables = (_measures_table(found, len(pair.features[0])), *_generators_table(generators, pair))
    plots = (*_training_plots(subject), _distances_plot(pairs), *_spectra_plots(subject))
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
        drops = "more than" if ratio < 0.95 else "as much as" if ratio < 1.05 else "less than"
        before = f", {_gain_ratio(start):.2f} before training" if start else ""
        yield (
            f"It shrinks what augmentations change (h2 - h1) {drops} what differs between images: "
            f"the ratio of the gains is {ratio:.2f}{before}."
        )
        yield (
            f"{end['motion_in_kernel']:.0%} of h2 - h1 lies in its kernel, and "
            f"{end['difference_in_kernel']:.0%} of the differences between images "
            f"({end['random_in_kernel']:.0%} of random directions)."
        )
        yield (
            f"Its span leaves {end['unexplained']:.0%} of the tangents h2 - h* unexplained"
            + (f", {start['unexplained']:.0%} before training" if start else "")
            + f"; the best span as large would leave {end['unexplained_at_best']:.0%}."
        )
    elif end.get("local_unexplained", 0) > 0.005:  # else the local maps span everything
        yield (
            f"The spans of its local maps leave {end['local_unexplained']:.0%} of the tangents "
            f"h2 - h* unexplained."
        )


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
    yield (
        f"{text}, which is of the same class for {end['same_label']:.0%} of the images{was}; a "
        f"random one would be for {end['same_label_by_chance']:.0%}."
    )


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
            f"The generator that lies in the kernel most is that of {best} "
            f"({generators[best]['in_kernel']:.0%})."
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
        "largest; their directions are the span, the rest is the kernel. A gain is the share of a "
        "direction's energy that the projector passes on, over the square of its largest singular "
        "value. Before training every batch is normalized by its own statistics."
    )
    return Table("Projector, views and negatives", ("", *found), rows, note)


def _generators_table(generators, pair):
    if not generators:
        return ()
    head = ("transformation", "motion of h", "linear in h")
    names = ("motion", "explained")
    if pair.weights is not None:
        head += ("generator in the kernel", "motion in the kernel")
        names += ("in_kernel", "motion_in_kernel")
    rows = tuple((kind, *(each[name] for name in names)) for kind, each in generators.items())
    note = (
        "h moves to exp(strength G) h; G is estimated from half of the images (eq. 12). Linear in "
        "h is the share of the motion that it predicts on the others: below 0 it predicts worse "
        "than no motion. A projector is invariant to a transformation whose generator lies in its "
        f"kernel: what singular values of at least {RELATIVE:.0%} of the largest leave."
    )
    return (Table("Lie generators of small transformations", head, rows, note),)


# Plots.


def _training_plots(subject):
    """Ranks, terms of the bound, and the projector's spectrum over training (figs. 1 and 3)."""
    log = subject.log
    rank = _curves(log, projector_rank="rank", projector_rankme="effective rank")
    if "rank" in rank:
        note = (
            "The paper's figure 1: where augmentations are large the rank falls and accuracy rises "
            "(under Training)."
        )
        yield Plot("rank", "Rank of the projector", "lines", rank, "epoch", note=note)
    bound = _curves(log, contrastive="loss", upper_bound="upper bound")
    if "upper bound" in bound:
        note = "The paper's figure 3: the bound follows the loss."
        yield Plot("bound", "Loss and its upper bound", "lines", bound, "epoch", note=note)
        terms = _curves(log, invariance="invariance", repulsion="repulsion")
        note = "Minus the cosine of two views, and the cosine with the hardest negative."
        yield Plot("terms", "Terms of the bound", "lines", terms, "epoch", note=note)
    spectra = _spectra(subject.projector_spectra)
    if spectra:
        title, label = "Singular values of the projector", "singular value"
        yield Plot("projector_spectrum", title, "lines", spectra, "number", label, log_y=True)


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


def _spectra_plots(subject):
    """Log-spectra of the encoder at the start, half and end (figs. 4 and 9)."""
    series = _spectra(subject.spectra)
    if series:
        note = "The paper's figures 4 and 9: the encoder keeps all its directions."
        title, label = "Singular values of the features over training", "singular value"
        yield Plot("spectra", title, "lines", series, "number", label, log_y=True, note=note)


def _curves(log, **names):
    """{label: points of the epochs that have the column}, of those columns with a curve."""
    series = {}
    for name, label in names.items():
        rows = [row for row in log if row.get(name) is not None]
        if len(rows) > 1:
            series[label] = {"x": [row["epoch"] for row in rows], "y": [row[name] for row in rows]}
    return series


def _spectra(rows):
    """Spectra at the first, the middle and the last epoch that were kept; positive values."""
    rows = [row for row in rows if row.get("singular_values")]
    if len(rows) < 2:
        return {}
    middle = min(rows, key=lambda row: abs(row["epoch"] - rows[-1]["epoch"] / 2))
    series = {}
    for row in (rows[0], middle, rows[-1]):
        values = np.array([value for value in row["singular_values"] if value])
        number = np.arange(1, len(values) + 1)
        series[f"epoch {row['epoch']}"] = {"x": number, "y": values}
    return series
