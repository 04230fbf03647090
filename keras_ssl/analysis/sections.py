"""What an analysis says: sections of sentences, values, tables and plots, all of them data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

PlotKind = Literal["lines", "bars", "histogram", "matrix", "scatter", "images", "network"]

# What the arrays of a series are called, by kind of plot.
SERIES = {
    "lines": ("x", "y"),
    "bars": ("x", "y"),
    "histogram": ("edges", "counts"),
    "matrix": ("z",),
    "scatter": ("x", "y"),
    "images": ("images",),
    "network": ("from", "to", "weight"),
}
_DIGITS = 5  # significant ones, of the numbers that are kept


@dataclass(frozen=True)
class Plot:
    """A picture as data: a report draws it, and a comparison puts those of one name together.

    Args:
        name: unique within its section, such as "spectrum".
        title: str.
        kind: "lines", "bars", "histogram", "matrix", "scatter", "images" or "network".
        series: {label: {array's name: array}}. Lines and scatter have "x" and "y" (n,), scatter a
            label for each class; bars have names (n,) for "x"; a histogram has "edges" (n + 1,)
            and "counts" (n,); a matrix "z" (rows, columns) and, where they have names, "rows" and
            "columns"; images a row of "images" uint8 (n, height, width, channels); a network, of
            two kinds of nodes, "from", "to" and "weight" (edges,).
        x_label, y_label: of the axes.
        log_x, log_y: whether an axis is logarithmic.
        note: what to see in it, in a sentence or two.

    Raises:
        ValueError: for a series without the arrays of its kind.

    Example:

    >>> plot = Plot("spectrum", "Spectrum", "lines", {"features": {"x": [1, 2], "y": [3.0, 0.5]}})
    >>> plot.series["features"]["y"]
    [3.0, 0.5]
    """

    name: str
    title: str
    kind: PlotKind
    series: Mapping[str, Mapping[str, Any]]
    x_label: str = ""
    y_label: str = ""
    log_x: bool = False
    log_y: bool = False
    note: str = ""

    def __post_init__(self):
        for label, arrays in self.series.items():
            missing = [name for name in SERIES[self.kind] if name not in arrays]
            if missing:
                raise ValueError(f"{self.kind} of '{label}' in '{self.name}' lack {missing}.")


@dataclass(frozen=True)
class Table:
    """A table: a title, the names of its columns, and rows of text and numbers (None: empty).

    Example:

    >>> Table("Rank", ("of", "rank"), (("features", 12.5),)).rows[0]
    ('features', 12.5)
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple, ...]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """One subject of an analysis.

    Args:
        name: such as "collapse".
        title: its heading.
        words: sentences, the most important first.
        values: numbers and text by name, perhaps in mappings of their own, for programs to read.
        tables, plots: what shows it.
        folded: whether a page shows the title alone until a reader opens it.

    Example:

    >>> Section("collapse", "Collapse", ("No collapse is seen.",), {"rankme": 31.0}).name
    'collapse'
    """

    name: str
    title: str
    words: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    folded: bool = False


def section_to_plain(section: Section) -> dict:
    """A section as JSON takes it: lists, text, numbers of five digits, None for what is no number.

    Plots of images are left out.

    Example:

    >>> section_to_plain(Section("a", "A", values={"x": np.float32(1 / 3)}))["values"]
    {'x': 0.33333}
    """
    kept = tuple(plot for plot in section.plots if plot.kind != "images")
    plain = {**asdict(section), "plots": tuple(map(asdict, kept))}
    return _plain(plain)


def section_from_plain(plain: Mapping) -> Section:
    """The section that `section_to_plain` wrote; one that does not say so is not folded.

    Example:

    >>> section = Section("a", "A", ("Words.",), tables=(Table("T", ("x",), ((1,),)),))
    >>> section_from_plain(section_to_plain(section)) == section
    True
    """
    tables = tuple(
        Table(t["title"], tuple(t["head"]), tuple(map(tuple, t["rows"])), t["note"])
        for t in plain["tables"]
    )
    plots = tuple(Plot(**plot) for plot in plain["plots"])
    words, folded = tuple(plain["words"]), bool(plain.get("folded", False))
    return Section(plain["name"], plain["title"], words, plain["values"], tables, plots, folded)


def said(value: float, digits: int = 3) -> str:
    """A number as a sentence has it: some digits of it, or whole with commas where it is large.

    Example:

    >>> said(0.123456), said(1315.2), said(999.7), said(-25000.0), said(12.5, 2)
    ('0.123', '1,315', '1,000', '-25,000', '12')
    """
    return f"{value:,.0f}" if abs(value) >= 10**digits - 0.5 else f"{value:.{digits}g}"


def _plain(value):
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if hasattr(value, "numpy"):
        value = value.numpy()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
