"""Words in plots: names at the ends of curves, ticks, and what a picture shows in a sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_ssl.analysis.sections import Plot

WHOLE = ("epoch", "rank", "cluster", "code", "images", "index", "step")  # counted, so no 2.5


def short(text: Any, most: int) -> str:
    """Text of at most that many characters, with its end where it is cut."""
    text = str(text)
    head, tail = most * 2 // 3 - 1, most - most * 2 // 3
    return text if len(text) <= most else f"{text[:head]}…{text[len(text) - tail :]}"


def end_labels(axes: Any, ends: Sequence[tuple], *, log_y: bool):
    """Write the names of curves right of where they end, none over another.

    Args:
        axes: with the curves and their limits.
        ends: sequence of (name, x and y of the last point, line).
        log_y: whether the y axis is logarithmic.
    """
    if not ends:
        return
    axes.margins(y=0.08)
    low, high = axes.get_ylim()
    scale = np.log if log_y else np.asarray
    span = max(float(scale(high) - scale(low)), 1e-30)
    heights = [float((scale(y) - scale(low)) / span) for _, _, y, _ in ends]
    order = np.argsort(heights)
    texts = [_in_lines(name) for name, *_ in ends]
    gap = 0.14 if any("\n" in text for text in texts) else 0.085
    gap = min(gap, 1.0 / max(len(ends) - 1, 1))
    placed = _apart([heights[i] for i in order], gap)
    for place, i in zip(placed, order, strict=True):
        line = ends[i][-1]
        color, dash = line.get_color(), line.get_linestyle()
        where = {"transform": axes.transAxes, "clip_on": False, "linewidth": 1.6}
        marker = {"marker": line.get_marker(), "markersize": 4.5, "markevery": [1]}
        axes.plot([1.02, 1.06], [place] * 2, color=color, linestyle=dash, **where, **marker)
        text = {"transform": axes.transAxes, "va": "center", "fontsize": 8.5}
        axes.text(1.08, place, texts[i], **text)
    axes.set_ylim(low, high)


def _in_lines(name):
    """A name on two lines where it is that of a run and what is measured of it, and long."""
    run, between, what = name.partition(": ")
    if len(name) <= 22 or not between:
        return short(name, 22)
    return f"{short(run, 22)}:\n{short(what, 22)}"


def _apart(heights, gap):
    """Sorted heights in [0, 1] moved as little as needed to lie `gap` apart."""
    placed = list(np.clip(heights, 0.0, 1.0))
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    if placed and placed[-1] > 1.0:
        placed[-1] = 1.0
        for i in range(len(placed) - 2, -1, -1):
            placed[i] = min(placed[i], placed[i + 1] - gap)
    return placed


def apart_in_plane(places: np.ndarray, widths: Sequence[float], height: float) -> np.ndarray:
    """Places of boxes moved up and down until none covers another, or nearly.

    Example:

    >>> apart_in_plane(np.array([[0.5, 0.5], [0.5, 0.51]]), [0.1, 0.1], 0.04).round(3).tolist()
    [[0.5, 0.485], [0.5, 0.525]]
    """
    places = np.array(places, float)
    order = np.argsort(places[:, 1], kind="stable")
    for _ in range(100):
        moved = False
        for first, i in enumerate(order):
            for j in order[first + 1 :]:
                across = abs(places[i, 0] - places[j, 0]) < (widths[i] + widths[j]) / 2
                missing = height - (places[j, 1] - places[i, 1])
                if across and missing > 1e-9:
                    places[i, 1] -= missing / 2
                    places[j, 1] += missing / 2
                    moved = True
        if not moved:
            break
    return places


def plain_ticks(axes: Any):
    """Ticks of logarithmic axes as plain numbers instead of formulas; whole epochs and ranks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_locator(LogLocator(numticks=6))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
        elif axis is axes.xaxis and axis.get_label_text() in WHOLE:
            axis.set_major_locator(MaxNLocator(nbins=7, integer=True))


def name_ticks(axes: Any, names: Sequence[str], *, along: str, most: int):
    """Names at the places 0, 1, ... of an axis, every second, third, ... if there are many."""
    if len(names) > most and along == "x":
        most = 12
    every = max(1, -(-len(names) // most))
    places = range(0, len(names), every)
    texts = [short(names[i], 18 if along == "x" else 28) for i in places]
    rotate = along == "x" and sum(map(len, texts)) > 45
    size = 8 if len(texts) <= 24 else 6
    if along == "x":
        axes.set_xticks(places, texts, fontsize=size, rotation=90 if rotate else 0)
    else:
        axes.set_yticks(places, texts, fontsize=size)


def in_words(plot: Plot, series: Mapping[str, Mapping[str, Any]]) -> str:
    """What a picture shows, for who does not see it.

    Example:

    >>> curve = {"x": np.arange(3), "y": np.array([3.0, 2.0, 1.5])}
    >>> plot = Plot("loss", "Loss", "lines", {"byol": curve}, x_label="epoch")
    >>> in_words(plot, plot.series)
    'Loss. Curves over epoch: byol from 3 to 1.5.'
    """
    tell = [_TELL[plot.kind](label, data) for label, data in list(series.items())[:12]]
    more = f" and {len(series) - 12} more" if len(series) > 12 else ""
    what = {"lines": "Curves", "bars": "Bars", "histogram": "Histogram", "matrix": "Matrix"}
    what |= {"scatter": "Points", "network": "Network", "images": "Pictures"}
    over = f" over {plot.x_label}" if plot.x_label and plot.kind in ("lines", "histogram") else ""
    return f"{plot.title}. {what[plot.kind]}{over}: {'; '.join(tell)}{more}."


def _tell_curve(label, data):
    y = np.asarray(data["y"], float)
    y = y[np.isfinite(y)]
    return f"{label} from {y[0]:.3g} to {y[-1]:.3g}" if len(y) else f"{label} without numbers"


def _tell_bars(label, data):
    y = np.asarray(data["y"], float)
    return f"{label}, {len(y)} of {_range(y)}"


def _tell_histogram(label, data):
    return f"{label}, between {_range(np.asarray(data['edges'], float))}"


def _tell_matrix(label, data):
    z = np.atleast_2d(np.asarray(data["z"], float))
    return f"{label}, {z.shape[0]} x {z.shape[1]} of {_range(z)}"


def _range(values):
    values = values[np.isfinite(values)]
    return f"{values.min():.3g} to {values.max():.3g}" if values.size else "no finite numbers"


_TELL = {
    "lines": _tell_curve,
    "bars": _tell_bars,
    "histogram": _tell_histogram,
    "matrix": _tell_matrix,
    "scatter": lambda label, data: f"{label}, {len(data['x'])}",
    "network": lambda label, data: f"{label}, {len(data['from'])} edges",
    "images": lambda label, data: f"{label}, {len(data['images'])}",
}
