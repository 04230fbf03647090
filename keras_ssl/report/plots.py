"""Draw a `Plot`: each kind as SVG for a page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_ssl.analysis.sections import Plot
from keras_ssl.report import style
from keras_ssl.report.labels import end_labels, in_words, name_ticks, plain_ticks, short

MOST_POINTS = 400  # of a curve; more are not seen
MOST_LABELED = 10  # curves that carry their names
MOST_NAMED = 40  # bars, rows or nodes that carry their names
MOST_CELLS = 200  # rows or columns of a matrix; more are averaged


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
        look = _look(number, label, series, styles)
        if len(x) > 25:
            look["markevery"] = max(1, len(x) // 8)
        (line,) = axes.plot(x, y, label=_literal(label), **look)
        finite = np.flatnonzero(np.isfinite(y))
        if len(finite):
            ends.append((label, x[finite[-1]], y[finite[-1]], line))
    _finish(axes, plot, empty=not ends)
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
        look = _look(number, label, series, styles)
        hatch = style.HATCHES[number % len(style.HATCHES)] if len(names) <= MOST_NAMED else None
        options = {"color": look["color"], "hatch": hatch, "label": _literal(label)}
        options |= {"edgecolor": style.PAGE, "linewidth": 0.3}
        thick = axes.barh if across else axes.bar
        drawn = thick(places, np.nan_to_num(y), share, **options)
        if len(names) * len(series) <= 12:
            texts = ["" if np.isnan(v) else f"{v:.3g}" for v in y]
            axes.bar_label(drawn, texts, fontsize=8, padding=2)
        everything.append(y)
    _finish(axes, plot, empty=not np.isfinite(np.concatenate([[np.nan], *everything])).any())
    if across:
        axes.set(xlabel=_literal(plot.y_label), ylabel=_literal(plot.x_label), yscale="linear")
        axes.set_xscale("log" if plot.log_y else "linear")
        plain_ticks(axes)
        axes.invert_yaxis()
    name_ticks(axes, names, along="y" if across else "x", most=MOST_NAMED)
    axes.grid(visible=False, axis="y" if across else "x")
    if len(series) > 1:
        axes.legend(fontsize=8, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))


def _histogram(axes, plot, series, styles):
    handles = 0
    for number, (label, data) in enumerate(series.items()):
        edges, counts = np.asarray(data["edges"], float), np.asarray(data["counts"], float)
        counts = np.where(np.isfinite(counts), counts, 0.0)
        look = _look(number, label, series, styles)
        if len(edges) != len(counts) + 1 or not np.isfinite(edges).all():
            continue
        options = {"color": look["color"], "linestyle": look["linestyle"], "linewidth": 1.4}
        axes.stairs(counts, edges, label=_literal(label), **options)
        axes.stairs(counts, edges, fill=True, alpha=0.15, color=look["color"])
        handles += 1
    _finish(axes, plot, empty=not handles)
    if handles > 1:
        axes.legend(fontsize=8, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))


def _matrix(axes, plot, series, styles):
    ((_, data),) = series.items()
    z = np.atleast_2d(np.asarray(data["z"], float))
    z = np.where(np.isfinite(z), z, np.nan)
    shown = _averaged(z)
    finite = shown[np.isfinite(shown)]
    if not finite.size:
        return _finish(axes, plot, empty=True)
    low, high = finite.min(), finite.max()
    signed = low < -0.05 * abs(high) and high > 0.05 * abs(low)
    most = max(-low, high)
    limits = {"vmin": -most, "vmax": most, "cmap": "PuOr"} if signed else {"cmap": "viridis"}
    extent = (-0.5, z.shape[1] - 0.5, z.shape[0] - 0.5, -0.5)
    interpolation = {"interpolation": "nearest", "aspect": "auto", "extent": extent}
    picture = axes.imshow(shown, **limits, **interpolation)
    bar = axes.figure.colorbar(picture, ax=axes, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    axes.grid(visible=False)
    axes.set_xlabel(_literal(plot.x_label))
    axes.set_ylabel(_literal(plot.y_label))
    for along, names in (("x", data.get("columns")), ("y", data.get("rows"))):
        if names is not None:
            name_ticks(axes, [str(name) for name in names], along=along, most=MOST_NAMED)
    if z.size <= 64:
        _write_values(axes, z, picture)


def _write_values(axes, z, picture):
    for (row, column), value in np.ndenumerate(z):
        if np.isfinite(value):
            red, green, blue, _ = picture.cmap(picture.norm(value))
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
            color = "#ffffff" if dark else "#000000"
            text = f"{value:.2g}"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=color)


def _scatter(axes, plot, series, styles):
    labeled, everything = [], 0
    axes.set_rasterization_zorder(0)  # all points are one picture of pixels
    for number, (label, data) in enumerate(series.items()):
        x, y = (np.asarray(data[name], float) for name in ("x", "y"))
        keep = np.isfinite(x) & np.isfinite(y)
        look = _point_look(number, label, series, styles)
        size = 14 if keep.sum() < 500 else 7
        options = {"s": size, "linewidths": 0, "alpha": 0.65, "zorder": -1}
        axes.scatter(x[keep], y[keep], **options, **look)
        everything += keep.sum()
        if keep.any():
            labeled.append((label, np.median(x[keep]), np.median(y[keep]), look))
    _finish(axes, plot, empty=not everything)
    if not plot.x_label and not plot.y_label:  # a map, whose coordinates mean nothing
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
    if 1 < len(labeled) <= 3 * MOST_LABELED:
        for label, x, y, look in labeled:
            box = {"boxstyle": "round,pad=0.15", "facecolor": style.PAGE, "linewidth": 0.8}
            box |= {"edgecolor": look["color"], "alpha": 0.85}
            text = _literal(short(label, 14))
            axes.text(x, y, text, fontsize=8, ha="center", va="center", bbox=box)


def _point_look(number, label, series, styles):
    """Color and marker of a class; above the number of labels, a color of an ordered map."""
    if label not in styles and len(series) > 3 * MOST_LABELED:
        import matplotlib

        color = matplotlib.colormaps["viridis"](number / (len(series) - 1))
        return {"color": [color], "marker": style.MARKERS[number % len(style.MARKERS)]}
    look = _look(number, label, series, styles)
    return {"color": look["color"], "marker": look["marker"]}


def _network(axes, plot, series, styles):
    from matplotlib.collections import LineCollection

    ((_, data),) = series.items()
    sides = [[str(name) for name in data[side]] for side in ("from", "to")]
    weights = np.asarray(data.get("weight", np.ones(len(sides[0]))), float)
    weights = np.where(np.isfinite(weights), weights, 0.0)
    nodes = [list(dict.fromkeys(names)) for names in sides]
    places = [dict(zip(names, _spread(len(names)), strict=True)) for names in nodes]
    most = max(np.abs(weights).max(initial=0.0), 1e-12)
    starts = {name: i for i, name in enumerate(nodes[0])}
    edges = [((0, places[0][a]), (1, places[1][b])) for a, b in zip(*sides, strict=True)]
    colors = [style.COLORS[starts[a] % len(style.COLORS)] for a in sides[0]]
    widths = 0.3 + 1.7 * np.abs(weights) / most
    dashes = [style.DASHES[starts[a] // len(style.COLORS) % len(style.DASHES)] for a in sides[0]]
    options = {"colors": colors, "linewidths": widths, "linestyles": dashes, "alpha": 0.7}
    axes.add_collection(LineCollection(edges, rasterized=len(edges) > 300, **options))
    for side, (align, place) in enumerate((("right", -0.02), ("left", 1.02))):
        every = max(1, -(-len(nodes[side]) // MOST_NAMED))
        for name in nodes[side][::every]:
            y, text = places[side][name], _literal(short(name, 20))
            axes.text(place, y, text, ha=align, va="center", fontsize=7 if every == 1 else 6)
    axes.set(xlim=(-0.3, 1.3), ylim=(-0.03, 1.03))
    axes.set_axis_off()
    for x, text in ((0, plot.x_label), (1, plot.y_label)):
        axes.text(x, 1.05, _literal(text), ha="center", fontsize=9)
    if not edges:
        _say_empty(axes)


def _spread(count):
    return np.linspace(1, 0, count) if count > 1 else np.full(count, 0.5)


def _look(number, label, series, styles):
    if label in styles:
        return style.series_style(*styles[label])
    look = style.series_style(number)
    if len(series) > MOST_LABELED:
        import matplotlib

        color = matplotlib.colormaps["viridis"](number / (len(series) - 1))
        look |= {"color": matplotlib.colors.to_hex(color), "linestyle": "-"}
    return look


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


def _averaged(z):
    """A matrix of at most `MOST_CELLS` rows and columns, by means of neighboring cells."""
    for axis in (0, 1):
        times = -(-z.shape[axis] // MOST_CELLS)
        if times > 1:
            starts = np.arange(0, z.shape[axis], times)
            sizes = np.diff([*starts, z.shape[axis]])
            z = np.add.reduceat(z, starts, axis) / np.expand_dims(sizes, 1 - axis)
    return z


def _finish(axes, plot, *, empty):
    axes.set_xlabel(_literal(plot.x_label))
    axes.set_ylabel(_literal(plot.y_label))
    if empty:
        return _say_empty(axes)
    if plot.log_x:
        axes.set_xscale("log")
    if plot.log_y:
        axes.set_yscale("log")
    plain_ticks(axes)


def _say_empty(axes):
    axes.set_axis_off()
    middle = {"ha": "center", "va": "center", "transform": axes.transAxes}
    axes.text(0.5, 0.5, "no finite numbers", **middle)


def _literal(text):
    """A label that Matplotlib would take for none of its own words."""
    return f" {text}" if str(text).startswith("_") else str(text)


def _lie(series: Mapping[str, Mapping[str, Sequence[Any]]]) -> bool:
    """Whether bars lie on their sides, so that their names can be read."""
    names = [str(name) for data in series.values() for name in data["x"]]
    count = len(set(names))
    return count <= MOST_NAMED and max(map(len, names), default=0) * count > 55


def _bars_height(series):
    names = {str(name) for data in series.values() for name in data["x"]}
    return max(style.HEIGHT, 0.6 + len(names) * (0.1 + 0.11 * len(series))) if _lie(series) else 3.1


def _matrix_height(series):
    ((_, data),) = series.items()
    rows, columns = np.atleast_2d(np.asarray(data["z"])).shape
    return float(np.clip(4.2 * rows / max(columns, 1), 1.6, 4.6))


def _network_height(series):
    ((_, data),) = series.items()
    most = max((len({str(name) for name in data[side]}) for side in ("from", "to")), default=0)
    return float(np.clip(0.14 * most, style.HEIGHT, 6.5))


_DRAW: dict[str, Callable] = {
    "lines": _lines,
    "bars": _bars,
    "histogram": _histogram,
    "matrix": _matrix,
    "scatter": _scatter,
    "network": _network,
}
_HEIGHTS: dict[str, Callable] = {
    "bars": _bars_height,
    "matrix": _matrix_height,
    "network": _network_height,
    "scatter": lambda _: 4.2,
}
