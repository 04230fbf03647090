"""Draw matrices, points and networks; every function takes the axes, the plot and its series."""

import numpy as np

from keras_ssl.report import style
from keras_ssl.report.axes import MOST_LABELED, MOST_NAMED, finish, literal, look_of, say_empty
from keras_ssl.report.labels import apart_in_plane, name_ticks, short

MOST_CELLS = 200  # rows or columns of a matrix; more are averaged


def draw_matrix(axes, plot, series, styles):
    """Colors from violet over white to orange where numbers have both signs, else viridis."""
    ((_, data),) = series.items()
    z = np.atleast_2d(np.asarray(data["z"], float))
    z = np.where(np.isfinite(z), z, np.nan)
    shown = _averaged(z)
    finite = shown[np.isfinite(shown)]
    if not finite.size:
        return finish(axes, plot, empty=True)
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
    axes.set_xlabel(literal(plot.x_label))
    axes.set_ylabel(literal(plot.y_label))
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


def draw_scatter(axes, plot, series, styles):
    """A color and a marker for each class, and its name."""
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
            labeled.append((label, np.median(x[keep]), np.median(y[keep]), look["color"]))
    finish(axes, plot, empty=not everything)
    if not plot.x_label and not plot.y_label:  # a map, whose coordinates mean nothing
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
    if 1 < len(labeled) <= 3 * MOST_LABELED:
        _label_points(axes, labeled)


def _label_points(axes, labeled):
    """Names of classes at the medians of their points, moved where they would cover each other."""
    texts = [short(label, 14) for label, *_ in labeled]
    places = axes.transData.transform([(x, y) for _, x, y, _ in labeled])
    places = axes.transAxes.inverted().transform(places)
    widths = [0.02 + 0.018 * len(text) for text in texts]
    places = apart_in_plane(places, widths, 0.05)
    for (_, _, _, color), text, (x, y) in zip(labeled, texts, places, strict=True):
        box = {"boxstyle": "round,pad=0.15", "facecolor": style.PAGE, "linewidth": 0.8}
        box |= {"edgecolor": color, "alpha": 0.85}
        where = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(x, y, literal(text), fontsize=8, bbox=box, **where)


def _point_look(number, label, series, styles):
    """Color and marker of a class; above the number of labels, a color of an ordered map."""
    if label not in styles and len(series) > 3 * MOST_LABELED:
        import matplotlib

        color = matplotlib.colormaps["viridis"](number / (len(series) - 1))
        marker = style.MARKERS[number % len(style.MARKERS)]
        return {"color": matplotlib.colors.to_hex(color), "marker": marker}
    look = look_of(number, label, series, styles)
    return {"color": look["color"], "marker": look["marker"]}


def draw_network(axes, plot, series, styles):
    """Two columns of nodes, and edges as wide as they weigh."""
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
            y, text = places[side][name], literal(short(name, 20))
            axes.text(place, y, text, ha=align, va="center", fontsize=7 if every == 1 else 6)
    axes.set(xlim=(-0.3, 1.3), ylim=(-0.03, 1.03))
    axes.set_axis_off()
    for x, text in ((0, plot.x_label), (1, plot.y_label)):
        axes.text(x, 1.05, literal(text), ha="center", fontsize=9)
    if not edges:
        say_empty(axes)


def _spread(count):
    return np.linspace(1, 0, count) if count > 1 else np.full(count, 0.5)


def _averaged(z):
    """A matrix of at most `MOST_CELLS` rows and columns, by means of neighboring cells."""
    for axis in (0, 1):
        times = -(-z.shape[axis] // MOST_CELLS)
        if times > 1:
            starts = np.arange(0, z.shape[axis], times)
            sizes = np.diff([*starts, z.shape[axis]])
            z = np.add.reduceat(z, starts, axis) / np.expand_dims(sizes, 1 - axis)
    return z


def matrix_height(series):
    """Inches that show the rows of a matrix as high as its columns are wide, within bounds."""
    ((_, data),) = series.items()
    rows, columns = np.atleast_2d(np.asarray(data["z"])).shape
    return float(np.clip(4.2 * rows / max(columns, 1), 1.6, 4.6))


def network_height(series):
    """Inches in which the names of the nodes have room, within bounds."""
    ((_, data),) = series.items()
    most = max((len({str(name) for name in data[side]}) for side in ("from", "to")), default=0)
    return float(np.clip(0.14 * most, style.HEIGHT, 6.5))
