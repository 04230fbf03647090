"""What all plots share: how a series looks, and axes when everything is drawn."""

from keras_ssl.report import style
from keras_ssl.report.labels import plain_ticks

MOST_LABELED = 10  # curves that carry their names
MOST_NAMED = 40  # bars, rows or nodes that carry their names


def look_of(number, label, series, styles):
    """Color, dash and marker of a series; of very many, colors in the order of the series."""
    if label in styles:
        return style.series_style(*styles[label])
    look = style.series_style(number)
    if len(series) > MOST_LABELED:
        import matplotlib

        color = matplotlib.colormaps["viridis"](number / (len(series) - 1))
        look |= {"color": matplotlib.colors.to_hex(color), "linestyle": "-"}
    return look


def finish(axes, plot, *, empty):
    """Labels and scales, when everything is drawn; or that there is nothing."""
    axes.set_xlabel(literal(plot.x_label))
    axes.set_ylabel(literal(plot.y_label))
    if empty:
        return say_empty(axes)
    if plot.log_x:
        axes.set_xscale("log")
    if plot.log_y:
        axes.set_yscale("log")
    plain_ticks(axes)


def say_empty(axes):
    """Say in the middle that there is nothing to see."""
    axes.set_axis_off()
    middle = {"ha": "center", "va": "center", "transform": axes.transAxes}
    axes.text(0.5, 0.5, "no finite numbers", **middle)


def literal(text):
    """A label that Matplotlib would take for none of its own words."""
    return f" {text}" if str(text).startswith("_") else str(text)
