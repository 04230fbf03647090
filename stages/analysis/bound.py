"""Theorem 1 of Simplicial Embeddings on a run: does it bound the error of a classifier?"""

import numpy as np

from keras_ssl.analysis.bound import (
    bound_terms,
    lipschitz_constant,
    margin_loss,
    phi_base,
    phi_gap_bound,
    phi_lemma4,
    phi_observed,
    phi_sem,
)
from keras_ssl.analysis.linear import affordable_rows, ridge_classifier
from keras_ssl.analysis.sections import Plot, Section, Table, said
from keras_ssl.analysis.simplices import margins, simplices_at
from keras_ssl.ops.rows import some_rows
from stages.analysis.simplices import TEMPERATURES, trained_temperature
from stages.analysis.subject import Subject

_TITLE = "Simplicial Embeddings (Lavoie et al.), theorem 1: a bound of the downstream error"
_SIMPLICES = 64  # of which cells are measured
_OPERATIONS = 1e10  # of a classifier
_SIZES = (2, 3, 5, 8, 13, 21, 34, 64)  # V


def section(subject: Subject) -> Section | None:
    """The terms of the bound for the run's L, V and temperatures; None without simplices."""
    if subject.sizes is None:
        return None
    (num, size), tau = subject.sizes, trained_temperature(subject)
    rows = some_rows(len(subject.train_features), affordable_rows(num * size, _OPERATIONS, 1000))
    train = subject.logits_of(subject.train_features[rows]).reshape(-1, num, size)
    half_range = float(np.abs(train).max())
    if not 0 < half_range < np.inf:
        return None
    gaps = margins(train)
    margin = {"least": float(gaps.min()), "median": float(np.median(gaps))}
    taus = sorted({tau, *TEMPERATURES}) + [None]
    readings = [_reading(subject, rows, train, each, margin, half_range) for each in taus]
    words = _words(readings, tau, size, margin, half_range)
    values = {
        "half_range": half_range,
        "margin": margin,
        "images": len(rows),
        "readings": {_name(each["tau"]): each for each in readings},
    }
    plots = (_over_temperatures(readings, size, margin, half_range), _over_sizes(tau / half_range))
    tables = (_table(readings),)
    return Section("bound", _TITLE, tuple(words), values, tables, plots, folded=True)


def _reading(subject, rows, train, tau, margin, half_range):
    """What the theorem says of the logits themselves (tau None) or of simplices at one tau."""
    num, size = subject.sizes
    scale = {"margin": margin["least"], "half_range": half_range}
    points = train if tau is None else simplices_at(train, tau)
    phi = phi_base(size, **scale) if tau is None else phi_sem(size, tau, **scale)
    some = some_rows(num, _SIMPLICES)
    observed = phi_observed(points[:, some], train[:, some].argmax(axis=-1))
    found = {"tau": tau, "phi": phi, "phi_observed": float(observed.mean())}
    if tau is not None:
        found["phi_lemma4"] = phi_lemma4(size, tau, **scale)
    if subject.labels is None or len(np.unique(subject.train_labels[rows])) < 2:
        return found
    return found | _classified(subject, rows, points.reshape(len(rows), -1), tau, found)


def _classified(subject, rows, x, tau, found):
    num, size = subject.sizes
    labels = subject.train_labels[rows]
    fitted = ridge_classifier(x, labels)
    known = np.flatnonzero(np.isin(subject.labels, fitted.classes))
    if not len(known):
        return {}
    seen = known[some_rows(len(known), len(rows))]
    test = np.asarray(subject.logits[seen]).reshape(-1, num, size)
    test = (test if tau is None else simplices_at(test, tau)).reshape(len(seen), -1)
    losses = [
        float(margin_loss(fitted.scores(some), np.searchsorted(fitted.classes, of)).mean())
        for some, of in ((x, labels), (test, subject.labels[seen]))
    ]
    steep = lipschitz_constant(fitted.weights)
    size_of = {"simplex_size": size, "classes": len(fitted.classes), "images": len(rows)}
    terms = bound_terms(steep, num, found["phi"], **size_of)
    on_sample = bound_terms(steep, num, found["phi_observed"], **size_of)["expressivity"]
    return {
        "train_loss": losses[0],
        "test_loss": losses[1],
        "lipschitz": steep,
        "expressivity": terms["expressivity"],
        "expressivity_observed": on_sample,
        "log10_confidence": terms["log10_confidence"],
    }


def _name(tau):
    return "logits" if tau is None else f"tau = {tau:g}"


def _words(readings, tau, size, margin, half_range):
    base = readings[-1]
    simplices = [each for each in readings if each["tau"] is not None]
    least = min(simplices, key=lambda each: each["phi"])
    complete = "expressivity" in base
    yield (
        "Lavoie et al., Simplicial Embeddings, theorem 1: compare runs, and simplices with logits, "
        f"by {'the first term, R sqrt(L phi)' if complete else 'the size of the cells (phi)'}; the "
        "bound itself guarantees nothing at this size."
    )
    yield (
        "A cell holds the points with the same largest entry, and phi is the largest squared "
        f"distance of two of them: {said(base['phi'])} for the logits, which lie in "
        f"+-{said(half_range)}, and at most {said(max(each['phi'] for each in simplices))} for "
        f"simplices of {size} entries; the least is {least['phi']:.2g} at {_name(least['tau'])}."
    )
    trained = next(each for each in simplices if each["tau"] == tau)
    what, name = ("expressivity", "first term") if complete else ("phi", "phi")
    if trained[what] < base[what]:
        yield (
            f"That is good: as trained ({_name(tau)}) simplices have a smaller {name} than their "
            "logits."
        )
    else:
        yield (
            f"That is bad: as trained ({_name(tau)}) simplices have no smaller {name} than their "
            "logits, and the theorem gives no reason for them."
        )
    yield (
        "The theorem needs a margin between the two largest entries; the least of these images is "
        f"{margin['least']:.2g}, the median {margin['median']:.2g}. With the least one, cells are "
        "not small before the temperature (tau) is below it."
    )
    if complete:
        yield from _said_of_terms(readings, base)


def _said_of_terms(readings, base):
    """The term of the bound that depends on the cells, next to what is measured."""
    gaps = [each["test_loss"] - each["train_loss"] for each in readings]
    terms = (f"{said(each['expressivity'])} ({_name(each['tau'])})" for each in readings[:-1])
    yield (
        "The first term grows with the steepness R of the classifier, the number L of simplices "
        f"and the size phi of their cells: R sqrt(L phi) is {said(base['expressivity'])} for "
        f"logits and {', '.join(terms)} for simplices. What it bounds, the difference of the loss "
        f"between test and training images, is {min(gaps):.2f} to {max(gaps):.2f} and never "
        "exceeds 1. The other term, which the paper calls a constant, is about 10 to the power of "
        f"{base['log10_confidence']:,.0f} for this run."
    )
    larger = [each for each in readings if each["expressivity"] > base["expressivity"]]
    if larger and all(each["phi"] < base["phi"] for each in larger):
        yield (
            f"Simplices read at {', '.join(_name(each['tau']) for each in larger)} have a larger "
            "first term than the logits although their cells are smaller: the classifier that "
            "reads them is steeper, and the theorem compares cells at one steepness."
        )


def _table(readings):
    columns = ("phi", "phi_lemma4", "phi_observed", "lipschitz", "expressivity")
    columns += ("expressivity_observed", "train_loss", "test_loss")
    head = ("classifier reads", "size of a cell (phi)", "by lemma 4", "phi of the sample")
    head += ("steepness (R)", "first term (R sqrt(L phi))", "first term of the sample")
    head += ("train loss", "test loss")
    rows = tuple((_name(r["tau"]), *(r.get(name) for name in columns)) for r in readings)
    note = (
        "phi with the least margin and the range of the sample's logits; of the sample: mean over "
        f"up to {_SIMPLICES} simplices of the widest cell. R is the Lipschitz constant of a margin "
        "loss in [0, 1] behind a ridge classifier."
    )
    return Table("Terms of the bound", head, rows, note)


def _over_temperatures(readings, size, margin, half_range):
    taus = np.geomspace(0.005, 20.0, 60)
    series = {}
    for name, least in margin.items():
        scale = {"margin": least, "half_range": half_range}
        series[f"{name} margin"] = _line(taus, phi_sem, size, scale)
    series["lemma 4"] = _line(taus, phi_lemma4, size, scale)
    base = phi_base(size, margin=margin["least"], half_range=half_range)
    series["logits"] = {"x": taus[[0, -1]], "y": [base, base]}
    sampled = [each for each in readings if each["tau"]]
    series["sample"] = {
        "x": [each["tau"] for each in sampled],
        "y": [each["phi_observed"] for each in sampled],
    }
    return Plot(
        "phi",
        "Size of a cell against the temperature",
        "lines",
        series,
        x_label="tau",
        y_label="phi",
        log_x=True,
        log_y=True,
        note="phi of simplices with the least and the median margin of the sample, by lemma 4 with "
        "the median one, and as the sample has it. It vanishes on both sides: near one-hot where "
        "tau is below the margin, and near uniform at large tau, where a classifier needs larger "
        "weights, hence a larger R.",
    )


def _line(taus, function, size, scale):
    values = np.array([function(size, tau, **scale) for tau in taus])
    kept = values > 1e-12
    return {"x": taus[kept], "y": values[kept]}


def _over_sizes(tau):
    gain = [phi_base(size) - phi_sem(size, tau) for size in _SIZES]
    least = [-phi_gap_bound(size) for size in _SIZES]
    return Plot(
        "phi_gap",
        "How much smaller cells are with simplices",
        "lines",
        {"phi_base - phi_SEM": {"x": _SIZES, "y": gain}, "theorem 1": {"x": _SIZES, "y": least}},
        x_label="V",
        y_label="difference of phi",
        note=f"For logits in [-1, 1] at tau = {tau:.3g}, that of the run in this unit. The error "
        "bound takes the root of L times phi.",
    )
