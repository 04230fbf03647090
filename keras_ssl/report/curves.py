"""Curves of a training, out of the rows of `metrics.jsonl`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_ssl.analysis.sections import Plot, Section

# Rows that are about the run and not about the network.
_NOT_CURVES = ("epoch", "step", "time")
_GROUPS = {
    "accuracy": ("Accuracy while training", "percent", ("knn", "linear")),
    "feature_std": ("Standard deviation of the features", "", ("feature_std",)),
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
    "feature_std": "Mean over features, over held-out images: 0 is a collapse.",
    "feature_rank": "RankMe is exp of the entropy of the singular values; at most the width.",
    "simplicial_entropy": "0: one-hot codes; the logarithm of V: uniform.",
}


def training_section(
    log: Sequence[Mapping[str, Any]],
    terms: Sequence[str] = (),
    warnings: Sequence[Mapping[str, Any]] = (),
) -> Section | None:
    """The curves of a training.

    Args:
        log: rows of `metrics.jsonl`, one an epoch.
        terms: names of the terms of the loss, drawn together with it; every other metric has a
            plot of its own.
        warnings: rows of `warnings.jsonl`, what the training looked like.

    Returns:
        `Section` with a plot for each group of metrics; None without rows.

    Example:

    >>> log = [{"epoch": 1, "loss": 3.0, "knn": 80.0}, {"epoch": 2, "loss": 2.0, "knn": 90.0}]
    >>> [plot.name for plot in training_section(log).plots]
    ['loss', 'accuracy']
    """
    log = [row for row in log if isinstance(row.get("epoch"), (int, float))]
    if not log:
        return None
    names = dict.fromkeys(name for row in log for name in row if _is_metric(name, log))
    groups = {"loss": ("Loss and its terms", "", ("loss", *terms)), **_GROUPS}
    plots = []
    for group, (title, unit, members) in groups.items():
        found = [name for name in members if name in names]
        if found == ["loss", *terms] and len(terms) == 1:
            found = ["loss"]  # its only term is the same curve
        if found:
            series = {_LABELS.get(name, name): _curve(log, name) for name in found}
            title = title if len(found) > 1 or group != "loss" else "Loss"
            note = _NOTES.get(group, "") if len(found) > 1 or group != "loss" else ""
            plots.append(Plot(group, title, "lines", series, "epoch", unit, note=note))
    grouped = {name for *_, members in groups.values() for name in members}
    for name in names:
        if name not in grouped:
            series, title = {name: _curve(log, name)}, name.replace("_", " ")
            plots.append(Plot(name, title, "lines", series, "epoch"))
    words = (*_words(log, names), *map(_warned, warnings))
    return Section("training", "Training", words, plots=_in_order(plots))


def _warned(row):
    value, means = row.get("value"), row.get("means", "it may have collapsed")
    value = f"{value:.4g}" if isinstance(value, (int, float)) else "not finite"
    near = f", near {row['place']}" if row.get("place") else ""
    cure = f" What usually helps: {row['cure']}." if row.get("cure") else ""
    what = f"In epoch {row.get('epoch')} '{row.get('metric')}' was {value}{near}"
    return f"{what}: it looked as if {means}.{cure}"


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
