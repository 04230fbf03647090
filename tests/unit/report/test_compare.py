"""Several runs on one page."""

import numpy as np

from keras_ssl.analysis.sections import Plot, Section, Table
from keras_ssl.report import Report, render_comparison
from keras_ssl.report.compare import merged_plot, merged_tables
from tests.unit.report.support import Reader, curve, section


def report(verdict, **more):
    return Report("a", [verdict], {"The run": {"batch": "64"}}, sections=[section(**more)])


def test_verdicts_and_words_stand_under_the_names_of_the_runs():
    page = render_comparison(
        {"runs/<a>": report("Good.", plots=()), "runs/b": report("Collapsed.", plots=())}
    )
    text = "".join(Reader(page).text)
    assert text.index("runs/<a>") < text.index("Good.") < text.index("Collapsed.")
    assert Reader(page).open == [] and "http" not in page
    assert len(set(Reader(page).ids)) == len(Reader(page).ids)


def test_curves_of_one_name_share_a_picture_and_matrices_do_not():
    page = render_comparison({"a": report("x"), "b": report("y")})
    drawn = Reader(page).tags.count("svg")
    assert drawn == 3 + 2 * 3  # lines, bars and histogram; matrix, scatter and network of each


def test_a_run_has_a_color_and_a_series_a_dash():
    series = {"loss": curve(1, 2), "term": curve(0, 1)}
    merged, styles = merged_plot(
        {run: Plot("p", "P", "lines", series) for run in "bc"}, {"a": 0, "b": 1, "c": 2}
    )
    assert list(merged.series) == ["b: loss", "b: term", "c: loss", "c: term"]
    assert [styles[name] for name in merged.series] == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_tables_of_one_heading_become_one():
    first = Table("T", ("of", "x"), ((1, 2),))
    other = Table("T", ("of", "y"), ((3, 4),))
    merged = merged_tables({"a": [first], "b": [first, other]})
    assert [table.rows for table in merged] == [(("a", 1, 2), ("b", 1, 2)), (("b", 3, 4),)]


def test_what_differs_is_told_apart_from_what_is_the_same():
    runs = {name: Report(name, facts={"": {"batch": "64", "seed": name}}) for name in "ab"}
    page = render_comparison(runs)
    assert page.index("What differs") < page.index("seed") < page.index("What is the same")


def test_a_run_without_a_section_is_left_out_of_it():
    with_rank = Report("a", sections=[Section("r", "R", values={"rank": np.float32(2)})])
    page = render_comparison({"a": with_rank, "b": Report("b")})
    assert "rank" in page and Reader(page).open == []
