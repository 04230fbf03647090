"""Curves of a training, out of the rows of `metrics.jsonl`."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from keras_ssl.analysis.sections import Plot, Section, Table

# Rows that are about the run and not about the network.
_NOT_CURVES = ("epoch", "step", "time")
_GROUPS = {
    "accuracy": ("Accuracy while training", "percent", ("knn", "linear")),
    "feature_std": ("Spread of the features' directions", "", ("feature_std",)),
    "feature_rank": (
        "Directions that the features fill",
        "",
        ("feature_rankme", "feature_participation_ratio"),
    ),
    "feature_largest_share": (
        "Share of the variance in the largest direction",
        "",
        ("feature_largest_share",),
    ),
    "simplicial_entropy": ("Mean entropy of the simplices", "nats", ("simplicial_entropy",)),
    "largest_cluster": ("Share of images in the largest cluster", "", ("largest_cluster",)),
    "ema_momentum": ("Momentum of the target network", "", ("ema_momentum",)),
    "learning_rate": ("Learning rate", "", ("learning_rate",)),
    "images_per_second": ("Speed", "images/s", ("images_per_second",)),
    "data_wait": ("Share of time spent waiting for data", "", ("data_wait",)),
}
_LABELS = {
    "knn": "k-NN",
    "feature_rankme": "RankMe",
    "feature_participation_ratio": "participation ratio",
}
_NOTES = {
    "loss": "The loss is the sum of its terms.",
    "accuracy": "Of held-out images, by k-NN and by a linear probe that trains along.",
    "feature_std": "Of up to 5,000 training images, as they are evaluated while training (with SEM "
    "the simplices at tau_d): 0 where all have one direction, a collapse; 1 where they point "
    "everywhere. What is never negative stays below 1.",
    "feature_rank": "Of the same outputs (with SEM the simplices). RankMe is exp of the entropy of "
    "the singular values; at most the number of columns.",
    "feature_largest_share": "Of up to 5,000 training images: 1 is a collapse to one direction.",
    "simplicial_entropy": "0: one-hot codes; the logarithm of V: uniform.",
}


def training_section(
    log: Sequence[Mapping[str, Any]],
    terms: Sequence[str] = (),
    warnings: Sequence[Mapping[str, Any]] = (),
    elsewhere: Collection[str] = (),
) -> Section | None:
    """The curves of a training.

    Args:
        log: rows of `metrics.jsonl`, one an epoch.
        terms: names of the terms of the loss, drawn together with it; every other metric has a
            plot of its own.
        warnings: rows of `warnings.jsonl`, what the training looked like.
        elsewhere: names of metrics that other sections of the page draw.

    Returns:
        `Section` with a plot for each group of metrics, and a table of those that were measured
        once, of which there is no curve; None without rows.

    Example:

    >>> log = [{"epoch": 1, "loss": 3.0, "knn": 80.0}, {"epoch": 2, "loss": 2.0, "knn": 90.0}]
    >>> [plot.name for plot in training_section(log).plots]
    ['loss', 'accuracy']
    """
    log = [row for row in log if isinstance(row.get("epoch"), (int, float))]
    if not log:
        return None
    names = dict.fromkeys(name for row in log for name in row if _is_metric(name, log))
    curves = {name: _curve(log, name) for name in names if name not in elsewhere}
    once = {name: curve for name, curve in curves.items() if np.isfinite(curve["y"]).sum() < 2}
    curves = {name: curve for name, curve in curves.items() if name not in once}
    words = (*_words(log, names), *map(_warned, warnings))
    tables = _tables(once, terms)
    return Section("training", "Training", words, {}, tables, _in_order(_plots(curves, terms)))


def _plots(curves, terms):
    """A plot for each group of curves, and for each curve that is in none."""
    groups = {"loss": ("Loss and its terms", "", ("loss", *terms)), **_GROUPS}
    for group, (title, unit, members) in groups.items():
        found = [name for name in members if name in curves]
        if found == ["loss", *terms] and len(terms) == 1:
            found = ["loss"]  # its only term is the same curve
        if found:
            series = {_LABELS.get(name, name): curves[name] for name in found}
            alone = found == ["loss"]
            title, note = ("Loss", "") if alone else (title, _NOTES.get(group, ""))
            yield Plot(group, title, "lines", series, "epoch", unit, note=note)
    grouped = {name for *_, members in groups.values() for name in members}
    for name, curve in curves.items():
        if name not in grouped:
            yield Plot(name, name.replace("_", " "), "lines", {name: curve}, "epoch")


def _tables(once, terms):
    """What was measured in one epoch alone."""
    rows = []
    for name, curve in once.items():
        finite = np.isfinite(curve["y"])
        if finite.any() and not (len(terms) == 1 and name in terms):
            epoch, value = (curve[axis][finite][0] for axis in "xy")
            rows.append((_LABELS.get(name, name.replace("_", " ")), int(epoch), float(value)))
    return (Table("Measured once", ("", "epoch", "value"), tuple(rows)),) if rows else ()


def _warned(row):
    value, text = row.get("value"), row.get("description", "it may have collapsed")
    value = f"{value:.4g}" if isinstance(value, (int, float)) else "not finite"
    near = f", near {row['target']}" if row.get("target") else ""
    cure = f" Usual cure: {row['cure']}." if row.get("cure") else ""
    what = f"In epoch {row.get('epoch')} '{row.get('metric')}' was {value}{near}"
    return f"{what}: it looked as if {text}.{cure}"


def _is_metric(name, log):
    values = [row.get(name) for row in log]
    return name not in _NOT_CURVES and any(isinstance(v, (int, float)) for v in values)


def _curve(log, name):
    """A metric where it was measured; a value that was not finite, written as null, is a gap."""
    measured = [row for row in log if name in row]
    y = [np.nan if row[name] is None else row[name] for row in measured]
    return {"x": np.array([row["epoch"] for row in measured]), "y": np.array(y, float)}


def _words(log, names):
    words = []
    if "loss" in names:
        loss = _curve(log, "loss")["y"]
        bad = int((~np.isfinite(loss)).sum())
        finite = loss[np.isfinite(loss)]
        if len(finite):
            words.append(
                f"{int(log[-1]['epoch'])} epochs; the loss went from {finite[0]:.4g} to "
                f"{finite[-1]:.4g}, its lowest value was {finite.min():.4g}."
            )
        if bad:
            words.append(f"The loss was not finite in {bad} of {len(loss)} epochs.")
    for name, what in (("knn", "k-NN"), ("linear", "The linear probe")):
        if name in names:
            y = _curve(log, name)["y"]
            if np.isfinite(y).any():
                best = int(_curve(log, name)["x"][np.nanargmax(y)])
                words.append(
                    f"{what} reached {np.nanmax(y):.1f} % (epoch {best}), at the end {y[-1]:.1f} %."
                )
    return tuple(words)


def _in_order(plots):
    """What is asked for first: the loss, the accuracy, then what is special, then rates."""
    last = ("ema_momentum", "learning_rate", "images_per_second", "data_wait")
    return tuple(sorted(plots, key=lambda plot: plot.name in last))
