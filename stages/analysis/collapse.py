"""Section "collapse": the four kinds, measured on held-out images, and the verdict."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import keras_ssl
from keras_ssl.analysis.collapse import (
    ITERATIONS,
    ClusterUsage,
    OutputMeasures,
    cluster_overlap,
    cluster_usage,
    found_clusters,
    measure_outputs,
    within_share,
)
from keras_ssl.analysis.mixture import MAX_WIDTH, SAMPLES, gaussian_entropy
from keras_ssl.analysis.sections import Plot, Section, Table
from keras_ssl.analysis.spectrum import MAX_SIDE, SHARE, SMALL
from keras_ssl.analysis.transformations import random_projection
from keras_ssl.analysis.usage import CodeUsage
from keras_ssl.analysis.verdict import diagnose_collapse, verdict_values, verdict_words
from keras_ssl.evaluation.results import Result
from keras_ssl.ops.rows import unit_rows
from stages.analysis.subject import Subject

_NUM_GROUPS = 10  # of k-means, where there are neither clusters nor classes
_MOST_BARS, _MOST_POINTS = 100, 200


def section(subject: Subject) -> Section:
    """What the held-out images say of the four kinds of collapse."""
    outputs = dict(_outputs(subject))
    side = min(MAX_SIDE, subject.recipe.analysis.max_width)
    measures = {name: measure_outputs(z, max_side=side) for name, z in outputs.items()}
    clusters, codes = _clusters(subject), subject.code_usage
    method = keras_ssl.METHODS[subject.recipe.base_name]
    within = _within(subject, list(outputs.values())[-1], method.compares)
    verdicts = diagnose_collapse(
        measures,
        compares=method.compares,
        asks_for_clusters=method.asks_for_clusters,
        clusters=clusters,
        codes=codes,
        overlap=within["overlap"]["clusters of the method"],
        cures=method.cures,
        settings={key: value for key, (value, _) in subject.recipe.settings.items()},
    )
    values = {
        "verdict": verdict_values(verdicts, against_random(subject.results)),
        "images": len(subject.images),
        "held_out": subject.held_out,
        "outputs": {name: _numbers(each) for name, each in measures.items()},
        "clusters": _usage(clusters),
        "codes": _code_numbers(codes),
        **within,
    }
    words = (*verdict_words(values), _how(subject, measures))
    tables = (_table_of_outputs(measures), *_tables_of_entropy(measures))
    plots = (*_spectra(measures), *_usage_plots(clusters, codes), *_entropy_plots(measures))
    return Section("collapse", "Collapse", words, values, tables, plots)


def against_random(results: Sequence[Result]) -> str:
    """A sentence where the features classify worse than those of random weights, or ""."""
    worse = []
    for task, name in (("knn", "k-NN"), ("linear", "linear probe")):
        values = {
            each.source: each.value
            for each in results
            if (each.task, each.metric) == (task, "accuracy") and each.readout in (None, "backbone")
        }
        trained, random = values.get("pretrained"), values.get("random")
        if trained is not None and random is not None and trained < random:
            worse.append(f"{name} {trained:.1f} against {random:.1f} %")
    if not worse:
        return ""
    return (
        f"But its features are worse than those of random weights ({', '.join(worse)}): it has not "
        "learned enough. Train longer, or try other learning rates and augmentations."
    )


def _outputs(subject) -> Iterator[tuple[str, np.ndarray]]:
    """What is measured, in the order of the network; the last is what the loss compares."""
    yield "features", subject.features
    if subject.recipe.neck.kind != "none":
        yield "embeddings", subject.embeddings
    if subject.projections is not None:
        yield "projections", subject.projections


def _clusters(subject) -> ClusterUsage | None:
    if subject.clusters is None:
        return None
    known = subject.clusters[subject.clusters >= 0]
    prior = subject.recipe.method.get("prior") or None
    return cluster_usage(known, subject.num_clusters, prior) if len(known) else None


def _within(subject, compared, compares) -> dict[str, dict[str, float | None]]:
    """How alike the images of a cluster are: as directions, unless the loss has a scale.

    Of columns beyond `analysis.max_width` so many random projections are taken.
    """
    finite = np.isfinite(compared).all(axis=1)
    if subject.clusters is not None:
        finite &= subject.clusters >= 0
    z = random_projection(compared, subject.recipe.analysis.max_width)[finite]
    groups = {"clusters of the method": subject.clusters, "classes": subject.labels}
    groups = {name: each[finite] for name, each in groups.items() if each is not None}
    if compares != "values":
        z = unit_rows(z)
    found = {"within_share": {}, "overlap": {"clusters of the method": None}}
    for name, each in groups.items():
        found["within_share"][name] = within_share(z, each)
        found["overlap"][name] = cluster_overlap(z, each)
    if len(z) > 1:
        rows, each = found_clusters(z, len(subject.classes) or _NUM_GROUPS)
        found["within_share"]["k-means"] = within_share(z[rows], each)
        found["overlap"]["k-means"] = cluster_overlap(z[rows], each)
    return found


# Numbers.


def _numbers(measures: OutputMeasures | None) -> dict[str, Any] | None:
    if measures is None:
        return None
    spectrum = measures.spectrum
    return {
        "finite": measures.finite,
        "std": measures.std,
        "deviation": measures.deviation,
        "constant_columns": measures.constant,
        "mean_cosine": measures.cosine,
        "rankme": spectrum.rankme,
        "rank_tau": spectrum.relative_rank(),
        "participation_ratio": spectrum.participation_ratio,
        "dimensions_99": spectrum.dimensions(),
        "ceiling": spectrum.ceiling,
        "samples": spectrum.samples,
        "width": spectrum.width,
        "entropy": {
            str(each.components): {
                "nats": each.nats,
                "per_dimension": each.per_dimension,
                "error": each.error,
            }
            for each in measures.entropies
        },
    }


def _usage(clusters: ClusterUsage | None) -> dict[str, Any] | None:
    if clusters is None:
        return None
    return {
        "clusters": len(clusters.counts),
        "effective": clusters.effective,
        "ceiling": clusters.ceiling,
        "evenness": clusters.evenness,
        "empty": clusters.empty,
        "largest": clusters.largest,
        "kl_to_prior": clusters.divergence,
    }


def _code_numbers(codes: CodeUsage | None) -> dict[str, Any] | None:
    if codes is None:
        return None
    return {
        "simplices": codes.counts.shape[0],
        "vertices": codes.counts.shape[1],
        "effective_median": float(np.median(codes.effective)),
        "effective_least": float(codes.effective.min()),
        "one_vertex": codes.constant,
        "dead_vertices": codes.dead,
        "distinct": codes.distinct,
    }


def _how(subject, measures) -> str:
    """How many images the numbers come from, and where not all were taken."""
    which = "held-out" if subject.held_out else "training"
    text = f"Measured on {len(subject.images):,} {which} images in inference mode."
    for name, each in measures.items():
        if each is not None and each.spectrum.samples < each.spectrum.images:
            text += (
                f" The spectrum of the {each.spectrum.width:,}-wide {name} is that of "
                f"{each.spectrum.samples:,} of them, drawn at random (Gram matrix of the images)."
            )
    compared, last = list(measures.items())[-1]
    if last is not None and last.spectrum.width > subject.recipe.analysis.max_width:
        text += (
            f" Distances within clusters of the {compared} are those of random projections onto "
            f"{subject.recipe.analysis.max_width:,} columns."
        )
    return text


# Tables.

_ROWS = (  # (what, key in `_numbers`)
    ("spread of directions (0 to 1)", "std"),
    ("standard deviation", "deviation"),
    ("constant columns (share)", "constant_columns"),
    ("mean cosine of pairs", "mean_cosine"),
    ("RankMe", "rankme"),
    (f"singular values above {100 * SMALL:g} % of the largest", "rank_tau"),
    ("participation ratio", "participation_ratio"),
    (f"dimensions of {100 * SHARE:g} % of the variance", "dimensions_99"),
    ("dimensions that could be (samples, columns)", "ceiling"),
    ("samples", "samples"),
    ("columns", "width"),
)


def _table_of_outputs(measures) -> Table:
    numbers = {name: _numbers(each) or {} for name, each in measures.items()}
    rows = tuple((words, *(each.get(key) for each in numbers.values())) for words, key in _ROWS)
    return Table("Spread and dimensions", ("measure", *measures), rows)


def _tables_of_entropy(measures) -> Iterator[Table]:
    """Nats per dimension of the mixtures; none without components."""
    curves = {name: each.entropies for name, each in measures.items() if each is not None}
    counts = sorted({found.components for curve in curves.values() for found in curve})
    if not counts:
        return
    by_count = {
        name: {found.components: found.per_dimension for found in curve}
        for name, curve in curves.items()
    }
    rows = tuple((count, *(each.get(count) for each in by_count.values())) for count in counts)
    first = next(iter(curves.values()))[0]
    note = (
        "In nats per dimension of outputs scaled to a mean variance of 1: at most "
        f"{gaussian_entropy([1.0]):.3f}. Fitted to {first.samples:,} images by {ITERATIONS} steps "
        f"of expectation maximization, diagonal covariances, {SAMPLES:,} samples; outputs wider "
        f"than {MAX_WIDTH} are projected at random onto so many dimensions."
    )
    yield Table("Entropy of a Gaussian mixture", ("components", *by_count), rows, note)


# Plots.


def _spectra(measures) -> Iterator[Plot]:
    series = {}
    for name, each in measures.items():
        if each is None or each.spectrum.eigenvalues[0] <= 0:
            continue
        values = each.spectrum.eigenvalues / each.spectrum.eigenvalues[0]
        values = values[values > 0]
        shown = np.unique(np.geomspace(1, len(values), _MOST_POINTS).astype(int))
        series[name] = {"x": shown, "y": values[shown - 1]}
    if series:
        yield Plot(
            "covariance_spectrum",
            "Spectrum of the covariance",
            "lines",
            series,
            "dimension, by variance",
            "variance, of the largest",
            log_x=True,
            log_y=True,
            note="A dimensional collapse is a cliff: only what lies left of it is used "
            "(CPLearn, figs. 6a, 13a and 14).",
        )


def _usage_plots(clusters, codes) -> Iterator[Plot]:
    if clusters is not None:
        counts = np.sort(clusters.counts)[::-1]
        shown = counts[:_MOST_BARS]
        series = {"images": {"x": np.arange(1, len(shown) + 1), "y": shown / counts.sum()}}
        note = f"Equal shares would be {1 / len(counts):.2g} each."
        if len(counts) > len(shown):
            note += f" The {len(counts) - len(shown):,} least used are left out."
        yield Plot(
            "cluster_usage",
            "Use of the clusters",
            "bars",
            series,
            "cluster, by use",
            "share of the images",
            note=note + " A cluster collapse is a few tall bars.",
        )
    if codes is not None:
        bins = min(20, codes.counts.shape[1])
        counts, edges = np.histogram(codes.effective, bins, (1, codes.counts.shape[1]))
        yield Plot(
            "code_usage",
            "Use of the vertices of the simplices",
            "histogram",
            {"simplices": {"edges": edges, "counts": counts}},
            "effective number of vertices",
            "simplices",
            note="A simplex at 1 gives all images one vertex.",
        )


def _entropy_plots(measures) -> Iterator[Plot]:
    series = {
        name: {
            "x": [found.components for found in each.entropies],
            "y": [found.per_dimension for found in each.entropies],
        }
        for name, each in measures.items()
        if each is not None and len(each.entropies) > 1
    }
    if series:
        yield Plot(
            "mixture_entropy",
            "Entropy of a Gaussian mixture",
            "lines",
            series,
            "components",
            "nats per dimension",
            log_x=True,
            note="Higher is less intracluster collapse (CPLearn, figs. 6b, 13b and 15); compare "
            "runs at the same number of images.",
        )
