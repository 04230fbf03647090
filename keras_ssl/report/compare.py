"""Several runs on one page: plots of one name over each other, the rest side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from keras_ssl.analysis.sections import Plot, Table
from keras_ssl.core.files import write_text
from keras_ssl.report.page import (
    Report,
    block_of,
    figure_of,
    flat,
    render_page,
    table_of,
    text_of,
)

MOST_CURVES = 8  # in one picture; with more, each run has a picture of its own
_OVERLAID = ("lines", "bars", "histogram")


def write_comparison(
    path: str | Path, reports: Mapping[str, Report], results: Sequence[Table] = ()
) -> None:
    """Write a page of several runs: verdicts, values and tables side by side, curves together.

    Args:
        path: of the file, such as `compare.html`.
        reports: {name of a run: `Report`}, in order.
        results: tables of what was measured of all of them.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "compare.html"
    >>> write_comparison(path, {"a": Report("byol"), "b": Report("moco")})
    >>> "<h1>Comparison of a and b</h1>" in path.read_text()
    True
    """
    write_text(path, render_comparison(reports, results))


def render_comparison(reports: Mapping[str, Report], results: Sequence[Table] = ()) -> str:
    """The page of several runs, as HTML.

    Example:

    >>> "<h1>Comparison of a and b</h1>" in render_comparison({"a": Report(""), "b": Report("")})
    True
    """
    sections = {}
    for name, report in reports.items():
        for section in report.sections:
            sections.setdefault(section.name, {})[name] = section
    colors = {name: number for number, name in enumerate(reports)}
    blocks = [_block(of, f"s{number}", colors) for number, of in enumerate(sections.values())]
    facts = _facts(reports)
    verdicts = {name: report.verdict for name, report in reports.items() if report.verdict}
    return render_page(
        title=f"Comparison of {_listed(list(reports))}",
        verdicts=verdicts,
        alarms=[name for name, report in reports.items() if report.alarm],
        results=[table_of(table) for table in results],
        blocks=[block_of("run", "What ran", tables=facts), *blocks] if facts else blocks,
    )


def _listed(names):
    names = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more runs"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _facts(reports):
    """What differs between the runs, and what does not."""
    lines = {name: {} for name in reports}
    for name, report in reports.items():
        for of in report.facts.values():
            lines[name] |= of
    names = dict.fromkeys(key for of in lines.values() for key in of)
    rows = [(key, *(lines[name].get(key, "-") for name in reports)) for key in names]
    differ = tuple(row for row in rows if len(set(row[1:])) > 1)
    same = tuple(row[:2] for row in rows if len(set(row[1:])) == 1)
    tables = [Table("What differs", ("", *reports), differ)] if differ else []
    return tables + ([Table("What is the same", ("", "all runs"), same)] if same else [])


def _block(sections, prefix, colors):
    """Sections of one name as the template takes them."""
    first = next(iter(sections.values()))
    plots = {}
    for run, section in sections.items():
        for plot in section.plots:
            plots.setdefault((plot.name, plot.kind), {})[run] = plot
    figures = [
        _figure(of, f"{prefix}p{number}", colors) for number, of in enumerate(plots.values())
    ]
    return block_of(
        f"{prefix}-{first.name}",
        first.title,
        columns={run: section.words for run, section in sections.items() if section.words},
        tables=merged_tables({run: section.tables for run, section in sections.items()}),
        figures=figures,
        values=values_of({run: section.values for run, section in sections.items()}),
        folded=all(section.folded for section in sections.values()),
    )


def values_of(values: Mapping[str, Mapping]) -> Table:
    """Nested values of several runs side by side.

    Example:

    >>> values_of({"a": {"rank": {"mean": 3.0}}, "b": {"std": 0.5}}).rows
    (('rank.mean', '3', '-'), ('std', '-', '0.5'))
    """
    values = {run: flat(of) for run, of in values.items()}
    names = dict.fromkeys(name for of in values.values() for name in of)
    rows = tuple((name, *(text_of(of.get(name)) for of in values.values())) for name in names)
    return Table("", ("value", *values), rows)


def merged_tables(tables: Mapping[str, Sequence[Table]]) -> list[Table]:
    """Tables of several runs; those of one title and heading become one.

    Example:

    >>> rank = {run: [Table("Rank", ("of", "rank"), (("features", 3),))] for run in "ab"}
    >>> merged_tables(rank)[0].rows
    (('a', 'features', 3), ('b', 'features', 3))
    """
    merged = {}
    for run, of in tables.items():
        for table in of:
            rows = tuple((run, *row) for row in table.rows)
            before = merged.get((table.title, table.head))
            known = replace(table, head=("run", *table.head), rows=())
            before = before or known
            merged[table.title, table.head] = replace(before, rows=before.rows + rows)
    return list(merged.values())


def merged_plot(
    plots: Mapping[str, Plot], colors: Mapping[str, int]
) -> tuple[Plot, dict[str, tuple[int, int]]]:
    """Plots of one name of several runs as one: a run is a color, a series a dash.

    Args:
        plots: {name of a run: `Plot`}, all of one kind.
        colors: {name of a run: number of its color}, the same in all plots.

    Returns:
        (`Plot` whose series begin with the name of their run, styles as in `draw`).

    Example:

    >>> curve = {"loss": {"x": [1, 2], "y": [3.0, 2.0]}}
    >>> plots = {run: Plot("p", "P", "lines", curve) for run in "ab"}
    >>> merged, styles = merged_plot(plots, {"a": 0, "b": 1})
    >>> list(merged.series), styles
    (['a', 'b'], {'a': (0, 0), 'b': (1, 1)})
    """
    labels = list(dict.fromkeys(label for plot in plots.values() for label in plot.series))
    series, styles = {}, {}
    for run, plot in plots.items():
        color = colors[run]
        for label, data in plot.series.items():
            name = run if len(labels) == 1 else f"{run}: {label}"
            series[name] = data
            styles[name] = (color, color if len(labels) == 1 else labels.index(label))
    return replace(next(iter(plots.values())), series=series), styles


def _figure(plots, prefix, colors):
    """What is drawn of the plots of one name: all in one picture, or one for each run."""
    first = next(iter(plots.values()))
    count = sum(len(plot.series) for plot in plots.values())
    if first.kind in _OVERLAID and count <= MOST_CURVES:
        plot, styles = merged_plot(plots, colors)
        return figure_of(plot, prefix, styles)
    panels, rows, failed = [], [], []
    for number, (run, plot) in enumerate(plots.items()):
        figure = figure_of(plot, f"{prefix}r{number}")
        for panel in figure["panels"]:
            panels.append({**panel, "title": f"{run}: {panel['title']}" if panel["title"] else run})
        rows += [{**row, "label": f"{run}: {row['label']}"} for row in figure["rows"]]
        failed += [f"{run}: {figure['failed']}"] if figure["failed"] else []
    shown = {"title": first.title, "note": first.note, "failed": " ".join(failed)}
    return {**shown, "panels": panels, "rows": rows}
