"""Draw a `Plot`: each kind as SVG for a page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_ssl.analysis.sections import Plot
from keras_ssl.report import style
from keras_ssl.report.axes import MOST_LABELED, MOST_NAMED, finish, literal, look_of
from keras_ssl.report.labels import end_labels, in_words, name_ticks, plain_ticks, short
from keras_ssl.report.planes import (
    draw_matrix,
    draw_network,
    draw_scatter,
    matrix_height,
    network_height,
)

MOST_POINTS = 400  # of a curve; more are not seen


class Panel(NamedTuple):
    """A picture of a plot.

    Attributes:
        title: what distinguishes it from the others of the same plot, or "".
        svg: `<svg>` element.
    """

    title: str
    svg: str


def draw(plot: Plot, prefix: str = "p", styles: Mapping[str, tuple[int, int]] = {}) -> list[Panel]:  # noqa: B006
    """Draw a plot of any kind but "images".

    Kinds with one picture for all series give one panel, matrices and networks one for each.

    Args:
        plot: `Plot`. Numbers that are not finite are left out; a series without any says so.
        prefix: of the ids in the pictures, unique on the page.
        styles: {label: (number of the color, number of the dash)}; by default both count the
            series.

    Returns:
        List of `Panel`.

    Example:

    >>> curve = {"x": np.arange(3), "y": np.array([3.0, 2.0, np.nan])}
    >>> [panel] = draw(Plot("loss", "Loss", "lines", {"loss": curve}))
    >>> panel.svg[:4], "NaN" in panel.svg
    ('<svg', False)
    """
    alone = plot.kind in ("matrix", "network")
    parts = [{label: one} for label, one in plot.series.items()] if alone else [dict(plot.series)]
    panels = []
    with style.drawing():
        for number, series in enumerate(parts):
            height = _HEIGHTS.get(plot.kind, lambda _: style.HEIGHT)(series)
            figure = style.new_figure(height=height)
            axes = figure.add_subplot()
            _DRAW[plot.kind](axes, plot, series, styles)
            title = short(next(iter(series)), 60) if alone and len(parts) > 1 else ""
            label = in_words(plot, series)
            panels.append(Panel(title, style.svg_of(figure, label, f"{prefix}-{number}-")))
    return panels


def _lines(axes, plot, series, styles):
    ends, many = [], len(series) > MOST_LABELED
    for number, (label, data) in enumerate(series.items()):
        x, y = _points(data["x"], data["y"], plot)
        look = look_of(number, label, series, styles)
        if len(x) > 25:
            look["markevery"] = max(1, len(x) // 8)
        (line,) = axes.plot(x, y, label=literal(label), **look)
        finite = np.flatnonzero(np.isfinite(y))
        if len(finite):
            ends.append((label, x[finite[-1]], y[finite[-1]], line))
    finish(axes, plot, empty=not ends)
    shown = {x for line in axes.lines for x in line.get_xdata()[np.isfinite(line.get_ydata())]}
    if len(shown) == 1:  # of a single point no axis can be made
        (x,) = shown
        axes.set_xlim((x / 2, x * 2) if plot.log_x else (x - 1, x + 1))
    if len(series) == 1 and ends and ends[0][0] in (plot.name, plot.y_label, plot.title):
        return
    wanted = np.linspace(0, len(ends) - 1, MOST_LABELED).astype(int) if many else range(len(ends))
    end_labels(axes, [ends[i] for i in dict.fromkeys(wanted)], log_y=plot.log_y)


def _bars(axes, plot, series, styles):
    names = list(dict.fromkeys(str(name) for data in series.values() for name in data["x"]))
    across = _lie(series)
    share, everything = 0.8 / max(len(series), 1), []
    for number, (label, data) in enumerate(series.items()):
        of = dict(zip(map(str, data["x"]), np.asarray(data["y"], float).ravel(), strict=True))
        y = np.array([of.get(name, np.nan) for name in names])
        y[~np.isfinite(y)] = np.nan
        places = np.arange(len(names)) + (number - (len(series) - 1) / 2) * share
        look = look_of(number, label, series, styles)
        hatch = style.HATCHES[number % len(style.HATCHES)] if len(names) <= MOST_NAMED else None
        options = {"color": look["color"], "hatch": hatch, "label": literal(label)}
        options |= {"edgecolor": style.PAGE, "linewidth": 0.3}
        thick = axes.barh if across else axes.bar
        drawn = thick(places, np.nan_to_num(y), share, **options)
        if len(names) * len(series) <= 12:
            texts = ["" if np.isnan(v) else f"{v:.3g}" for v in y]
            axes.bar_label(drawn, texts, fontsize=8, padding=2)
        everything.append(y)
    finish(axes, plot, empty=not np.isfinite(np.concatenate([[np.nan], *everything])).any())
    if across:
        axes.set(xlabel=literal(plot.y_label), ylabel=literal(plot.x_label), yscale="linear")
        axes.set_xscale("log" if plot.log_y else "linear")
        plain_ticks(axes)
        axes.invert_yaxis()
    name_ticks(axes, names, along="y" if across else "x", most=MOST_NAMED)
    axes.grid(visible=False, axis="y" if across else "x")
    if len(series) > 1 or styles:
        axes.legend(fontsize=8, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))


def _histogram(axes, plot, series, styles):
    handles = 0
    for number, (label, data) in enumerate(series.items()):
        edges, counts = np.asarray(data["edges"], float), np.asarray(data["counts"], float)
        counts = np.where(np.isfinite(counts), counts, 0.0)
        look = look_of(number, label, series, styles)
        if len(edges) != len(counts) + 1 or not np.isfinite(edges).all():
            continue
        options = {"color": look["color"], "linestyle": look["linestyle"], "linewidth": 1.4}
        axes.stairs(counts, edges, label=literal(label), **options)
        axes.stairs(counts, edges, fill=True, alpha=0.15, color=look["color"])
        handles += 1
    finish(axes, plot, empty=not handles)
    if handles > 1 or handles and styles:
        axes.legend(fontsize=8, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))


def _points(x, y, plot):
    """At most `MOST_POINTS` of a curve; what a logarithm has no place for becomes NaN."""
    x, y = np.asarray(x, float).ravel(), np.array(y, float).ravel()
    size = min(len(x), len(y))
    x, y = x[:size], y[:size]
    y[~np.isfinite(x) | ~np.isfinite(y)] = np.nan
    if plot.log_y:
        y[~(y > 0)] = np.nan
    if plot.log_x:
        x, y = x[x > 0], y[x > 0]
    if len(x) > MOST_POINTS:
        spread = np.geomspace(1, len(x), MOST_POINTS) if plot.log_x else None
        spread = np.linspace(1, len(x), MOST_POINTS) if spread is None else spread
        kept = np.unique(spread.round().astype(int)) - 1
        x, y = x[kept], y[kept]
    return x, y


def _lie(series: Mapping[str, Mapping[str, Sequence[Any]]]) -> bool:
    """Whether bars lie on their sides, so that their names can be read."""
    names = [str(name) for data in series.values() for name in data["x"]]
    count = len(set(names))
    return count <= MOST_NAMED and max(map(len, names), default=0) * count > 55


def _bars_height(series):
    names = {str(name) for data in series.values() for name in data["x"]}
    return max(style.HEIGHT, 0.6 + len(names) * (0.1 + 0.11 * len(series))) if _lie(series) else 3.1


_DRAW: dict[str, Callable] = {
    "lines": _lines,
    "bars": _bars,
    "histogram": _histogram,
    "matrix": draw_matrix,
    "scatter": draw_scatter,
    "network": draw_network,
}
_HEIGHTS: dict[str, Callable] = {
    "bars": _bars_height,
    "matrix": matrix_height,
    "network": network_height,
    "scatter": lambda _: 4.2,
}
