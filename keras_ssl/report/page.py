"""One self-contained page: what a run did, or several runs next to each other."""

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from keras_ssl.analysis.sections import Plot, Section, Table
from keras_ssl.core.files import write_text
from keras_ssl.report import pictures
from keras_ssl.report.glossary import GLOSSARY
from keras_ssl.report.labels import short
from keras_ssl.report.plots import Panel, draw

MOST_ROWS = 60  # pictures in a row each; more make a page heavy
MOST_VALUES = 200  # of a section that are listed; analysis.json has them all


@dataclass(frozen=True)
class Report:
    """What a page says of a run.

    Attributes:
        title: what the run is.
        verdict: sentences, the most important first.
        facts: {name of a group: {name: text}}, what ran and what it cost.
        results: tables of what was measured.
        sections: what an analysis found, in order.
        alarm: whether the verdict is a bad one.

    Example:

    >>> Report("byol", verdict=["No collapse."]).verdict
    ['No collapse.']
    """

    title: str
    verdict: Sequence[str] = ()
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    results: Sequence[Table] = ()
    sections: Sequence[Section] = ()
    alarm: bool = False


def write_report(path: str | Path, report: Report) -> None:
    """Write a page that needs nothing but itself: no network, no script.

    The same report gives the same bytes.

    Args:
        path: of the file, such as `report.html`.
        report: `Report`.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "report.html"
    >>> write_report(path, Report("byol", verdict=["No collapse."]))
    >>> "<h1>byol</h1>" in path.read_text()
    True
    """
    write_text(path, render(report))


def render(report: Report) -> str:
    """The page of a report, as HTML.

    Example:

    >>> "&lt;b&gt;" in render(Report("<b>"))
    True
    """
    blocks = []
    for number, section in enumerate(report.sections):
        prefix = f"s{number}"
        figures = [figure_of(plot, f"{prefix}p{i}") for i, plot in enumerate(section.plots)]
        values = {name: text_of(value) for name, value in flat(section.values).items()}
        blocks.append(
            block_of(
                f"{prefix}-{section.name}",
                section.title,
                columns={"": section.words} if section.words else {},
                tables=section.tables,
                figures=figures,
                values=Table("", ("value", "number"), tuple(values.items())),
                folded=section.folded,
            )
        )
    return render_page(
        title=report.title,
        verdicts={"": report.verdict} if report.verdict else {},
        alarms=("",) if report.alarm else (),
        facts=report.facts,
        results=[table_of(table) for table in report.results],
        blocks=blocks,
    )


def render_page(**parts: Any) -> str:
    """A page of parts as the template takes them.

    Args:
        parts: `title`; `verdicts` {name of a run: sentences}, "" for the only run; `alarms`, the
            names of those whose verdict is bad; `facts`, where there is one run; `results`, of
            `table_of`; `blocks`, of `block_of`.

    Example:

    >>> "<h1>A</h1>" in render_page(title="A", verdicts={}, results=[], blocks=[])
    True
    """
    parts = {"facts": {}, "alarms": (), "glossary": GLOSSARY, **parts}
    return _template().render(css=_style_sheet(), **parts)


def block_of(
    name: str,
    title: str,
    *,
    columns: Mapping[str, Sequence[str]] = {},  # noqa: B006
    tables: Sequence[Table] = (),
    figures: Sequence[dict] = (),
    values: Table | None = None,
    folded: bool = False,
) -> dict:
    """A section as the template takes it.

    Args:
        name: becomes its address on the page.
        title: str.
        columns: {name of a run: sentences}, side by side; "" for the only run.
        tables: sequence of `Table`.
        figures: of `figure_of`.
        values: what is there to be opened; its first 200 rows are shown.
        folded: whether only the title is seen until a reader opens it.
    """
    rows = () if values is None else values.rows
    shown = None if not rows else table_of(Table("", values.head, rows[:MOST_VALUES]))
    return {
        "id": _slug(name),
        "title": title,
        "columns": columns,
        "tables": [table_of(table) for table in tables],
        "figures": figures,
        "values": shown,
        "count": len(rows),
        "more": max(0, len(rows) - MOST_VALUES),
        "folded": folded,
    }


def figure_of(plot: Plot, prefix: str, styles: Mapping | None = None) -> dict:
    """A plot as the template takes it; one that cannot be drawn says so, and the page goes on."""
    figure = {"title": plot.title, "note": plot.note, "panels": [], "rows": [], "failed": ""}
    try:
        if plot.kind == "images":
            figure["rows"] = _rows(plot)
        else:
            figure["panels"] = [_safe(panel) for panel in draw(plot, prefix, styles or {})]
    except Exception as error:  # of arrays that nobody thought of
        figure["failed"] = f"This could not be drawn: {type(error).__name__}: {error}"
    return figure


def _rows(plot: Plot):
    rows = []
    for label, data in list(plot.series.items())[:MOST_ROWS]:
        images = np.asarray(data["images"])
        count = len(images)
        text = f"{plot.title}: {label}, {count} {'picture' if count == 1 else 'pictures'}"
        rows.append({"label": label, "source": pictures.row(images), "count": count, "alt": text})
    return rows


def _safe(panel: Panel):
    from markupsafe import Markup

    return {"title": panel.title, "svg": Markup(panel.svg)}  # escaped where it was made


def table_of(table: Table) -> dict:
    """A table as the template takes it: text, and which columns are numbers."""
    rows = [[text_of(cell) for cell in row] for row in table.rows]
    numeric = [
        all(_is_number(row[i]) for row in rows if i < len(row)) for i in range(len(table.head))
    ]
    return {
        "title": table.title,
        "head": [str(cell) for cell in table.head],
        "rows": rows,
        "numeric": numeric,
        "note": table.note,
    }


def _is_number(text):
    return bool(re.fullmatch(r"[-+−]?[\d.,]+(e[-+]?\d+)?( ?±.*| ?%|\s\(.*\))?|-|–|—|", text))


def text_of(value: Any) -> str:
    """A value as a table has it: four digits of a number.

    Example:

    >>> text_of(0.123456), text_of(1234567.0), text_of(None), text_of(float("nan"))
    ('0.1235', '1,234,567', '-', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, (float, np.floating)):
        if not math.isfinite(value):
            return "-"
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return short(", ".join(text_of(one) for one in value), 80)
    return str(value)


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested values under names with dots.

    Example:

    >>> flat({"features": {"rank": 3, "std": {"mean": 0.5}}})
    {'features.rank': 3, 'features.std.mean': 0.5}
    """
    found = {}
    for name, value in values.items():
        name = f"{before}{name}"
        found |= flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def _slug(name):
    return re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-") or "section"


@functools.cache
def _template():
    import jinja2

    options = {"autoescape": True, "undefined": jinja2.StrictUndefined}
    environment = jinja2.Environment(**options, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_read("template.html"))


def _style_sheet():
    from markupsafe import Markup

    return Markup(_read("style.css"))


def _read(name):
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
