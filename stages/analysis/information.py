"""Information: what two views of an image share, and what is still known of how one was changed."""

import math
from collections.abc import Callable

import numpy as np

from keras_ssl.analysis.critics import (
    best_temperature,
    cosine_scores,
    critic_bounds,
    train_critic,
)
from keras_ssl.analysis.sections import Plot, Section, Table
from keras_ssl.analysis.spectrum import alignment, uniformity
from stages.analysis.subject import Subject
from stages.analysis.transformed import (
    FEWEST,
    NARROW,
    by_representation,
    known_transformations,
    narrow,
    too_wide,
)

CRITIC = {"kind": "concatenated", "hidden": 64, "learning_rate": 1e-3, "steps": 200}
# The critics, as a comparison of runs can match them.
PLOTTED = {"trained": "trained critic", "own": "loss's critic", "cosine": "best cosines"}
_NOTHING, _NEAR = 0.02, 0.9  # of what InfoNCE can say at most: noise of a sample, and its limit
_ENDS = 0.4, 0.5  # of the pairs: to learn, then to stop by; half is left, as it sets the limit
BOUNDS = {"infonce": "InfoNCE", "tuba": "TUBA", "nwj": "NWJ", "dv": "DV", "uba": "UBA"}


def section(subject: Subject) -> Section | None:
    """Bounds on the information of views, alignment and uniformity, probes of transformations."""
    parts = [
        part
        for part in (_shared(subject), known_transformations(subject), _aligned(subject))
        if part
    ]
    if not parts:
        return None
    words = [words for part in parts for words in part.words]
    wide = too_wide(subject)
    if wide:
        words.append(
            f"Of {' and '.join(wide)}, wider than analysis.max_width, {NARROW} random projections "
            "are read."
        )
    return Section(
        "information",
        "What views share, and what is known of their transformations",
        tuple(words),
        {name: value for part in parts for name, value in part.values.items()},
        tuple(table for part in parts for table in part.tables),
        tuple(plot for part in parts for plot in part.plots),
    )


# What two views share.


def _shared(subject):
    """Bounds on the mutual information of the projections of two views."""
    pairs = _pairs(subject, subject.view_projections)
    if pairs is None:
        return None
    train, validation, held_out = pairs
    critics = _critics(subject, train, validation)
    found = {key: critic_bounds(score, held_out, train[0]) for key, (_, score) in critics.items()}
    labels = {key: label for key, (label, _) in critics.items()}
    estimates = {key: [each[name] for name in BOUNDS] for key, each in found.items()}
    count = len(held_out[0])
    cap = f"log {count} = {math.log(count):.2f}"
    rows = tuple((labels[key], *map(_cell, each)) for key, each in estimates.items())
    note = (
        f"InfoNCE (at most {cap}), TUBA and NWJ are lower bounds in expectation: TUBA with a "
        "baseline for each y, NWJ with one for all, both from other x. DV and UBA take the "
        "logarithm of a mean over samples and may exceed the information. The variance of TUBA, "
        "NWJ and DV grows with it: below 0 they say nothing. Views of training images; the critics "
        "were fitted to views of other images than these."
    )
    head = ("critic", *BOUNDS.values())
    drawn = {PLOTTED[key]: _drawn(head[1:], each) for key, each in estimates.items()}
    plot = Plot(
        "mutual_information",
        "Bounds on the mutual information of two views",
        "bars",
        {label: bars for label, bars in drawn.items() if bars["x"]},
        y_label="nats",
        note=f"InfoNCE is at most {cap} nats (Poole et al., 2019); what is below 0 is left out.",
    )
    return Section(
        "information",
        "",
        tuple(_said_of_bounds(found, labels, count)),
        {"mutual_information": {**found, "pairs": count}},
        (Table("Mutual information of two views, nats", head, rows, note),),
        (plot,) if plot.series else (),
    )


def _cell(value):
    """A bound for the table: negative but for rounding, it may have any size and means nothing."""
    return "below 0" if value < -0.05 else value


def _drawn(names, values):
    """Bars of what is a number in the table."""
    bars = [(name, value) for name, value in zip(names, values, strict=True) if value >= -0.05]
    return {"x": [name for name, _ in bars], "y": [max(value, 0.0) for _, value in bars]}


def _said_of_bounds(found, labels, count):
    cap, largest = math.log(count), max(found, key=lambda key: found[key]["infonce"])
    value = found[largest]["infonce"]
    others = (f"{found[key]['infonce']:.2f} by {labels[key]}" for key in found if key != largest)
    yield (
        f"Two views of an image share {max(value, 0.0):.2f} nats or more in their projections: "
        f"InfoNCE of {count} pairs, which can say at most log {count} = {cap:.2f}, by "
        f"{labels[largest]} ({', '.join(others)})."
    )
    if value < _NOTHING * cap:
        yield "That is bad: the views of one image cannot be told from those of others."
        return
    left = f"narrows {count} images, one of which is the other, down to about "
    left += f"{count / math.exp(value):.1f}"
    if value < _NEAR * cap:
        yield f"Knowing one view {left}: the fewer, the better."
    else:
        yield f"That is good: knowing one view {left}. With more pairs it may be far more."


def _pairs(subject, views):
    """The rows of two views for a critic to learn, to stop by and to be measured on, or None."""
    if views is None or len(views) < 2 or len(views[0]) < FEWEST:
        return None
    first, second = (narrow(subject, view, "projections") for view in views[:2])
    order = np.random.default_rng(0).permutation(len(first))
    ends = [int(share * len(first)) for share in _ENDS]
    parts = np.split(order, ends)
    train, validation, held_out = ((first[rows], second[rows]) for rows in parts)
    return train, validation, held_out


def _critics(subject, train, validation):
    """{name: (words for it, function of x and y -> scores)}: fitted to pairs, and given."""
    # Which view is the first is chance: every pair serves in both orders.
    both = np.concatenate(train), np.concatenate(train[::-1])
    critic = train_critic(*both, validation=validation, **CRITIC)
    critics = {"trained": ("a trained critic", lambda x, y: critic([x, y]))}
    own = _own_temperature(subject.method)
    if own is not None:
        label = f"the loss of {subject.recipe.name} (cosines over {own:g})"
        critics["own"] = label, _cosine(own)
    fitted = [np.concatenate(view) for view in zip(train, validation, strict=True)]
    best = best_temperature(*fitted)
    critics["cosine"] = f"cosines over the best temperature ({best:g})", _cosine(best)
    return critics


def _cosine(temperature) -> Callable:
    return lambda x, y: cosine_scores(x, y, temperature=temperature)


def _own_temperature(method):
    """Of a method whose loss is InfoNCE of cosines, or None."""
    contrastive = "mutual_information_bound" in method.diagnostic_names
    return getattr(method, "temperature", None) if contrastive else None


# Alignment and uniformity.


def _aligned(subject):
    """How near the views of an image are on the sphere, and how evenly images cover it."""
    values, rows = {}, []
    for name, views in by_representation(subject.view_features, subject.view_projections):
        if len(views) < 2 or len(views[0]) < 2:
            continue
        first, second = (narrow(subject, view, name) for view in views[:2])
        apart = float(alignment(first, second))
        spread = float((uniformity(first) + uniformity(second)) / 2.0)
        values[name] = {"alignment": apart, "uniformity": spread}
        rows.append((name, apart, spread))
    if not rows:
        return None
    text = " and ".join(f"{apart:.2f} ({name})" for name, apart, _ in rows)
    even = " and ".join(f"{spread:.2f} ({name})" for name, _, spread in rows)
    words = (
        f"Two views of an image lie {text} apart on the sphere (alignment; 0 where they are equal, "
        f"2 where they are unrelated), and images are spread over it by {even} (uniformity; 0 "
        "where all have one direction, down to -4 where they cover it). Both small is good; a "
        "small alignment alone tells of a collapse.",
    )
    note = "Mean squared distance of two views on the sphere; log of the mean Gaussian potential."
    head = ("representation", "alignment (0 to 4)", "uniformity (-8 to 0)")
    table = Table("Alignment and uniformity of two views", head, tuple(rows), note)
    return Section("information", "", words, {"views": values}, (table,))
