"""Plots of any numbers, without a trace in the settings of who calls."""

import sys
from pathlib import Path

import numpy as np
import pytest

import keras_ssl.report
from keras_ssl.analysis.sections import Plot
from keras_ssl.report import draw
from keras_ssl.report.labels import _apart, apart_in_plane, short
from keras_ssl.report.plots import MOST_POINTS
from tests.unit.report.support import curve, plots

DRAWN = [plot for plot in plots() if plot.kind != "images"]
HARD = {"empty": [], "one": [1.0], "constant": [2.0] * 5, "nan": [np.nan] * 3, "zero": [0.0] * 4}
HARD |= {"infinite": [np.inf, 1.0, -np.inf], "huge": [1e300, -1e300], "tiny": [1e-300, 2e-300]}


@pytest.mark.parametrize("plot", DRAWN, ids=lambda plot: plot.kind)
def test_drawing_leaves_the_settings_of_the_caller(plot):
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw(plot)
    assert dict(matplotlib.rcParams) == before
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


@pytest.mark.parametrize("path", sorted(Path(keras_ssl.report.__file__).parent.glob("*.py")))
def test_what_takes_long_to_import_is_imported_where_it_is_used(path):
    names = [line.split()[1].split(".")[0] for line in imports_of(path)]
    assert not {"matplotlib", "jinja2", "markupsafe", "PIL", "sklearn"} & set(names)


def imports_of(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith(("import ", "from "))]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", HARD.values(), ids=HARD)
@pytest.mark.parametrize("log", [False, True])
def test_curves_of_any_numbers_are_drawn(values, log):
    plot = Plot("p", "P", "lines", {"a": curve(*values), "b": curve(*values)}, log_y=log)
    [panel] = draw(plot)
    assert panel.svg.startswith("<svg") and "nan" not in panel.svg.split(">", 1)[1].lower()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", HARD.values(), ids=HARD)
def test_other_kinds_take_any_numbers(values):
    values = np.array(values, float)
    names = [str(i) for i in range(len(values))]
    series = {
        "bars": {"x": names, "y": values},
        "scatter": {"x": values, "y": values},
        "matrix": {"z": values[None]},
        "network": {"from": names, "to": names, "weight": values},
        "histogram": {"edges": np.arange(len(values) + 1.0), "counts": values},
    }
    for kind, arrays in series.items():
        for panel in draw(Plot("p", "P", kind, {"a": arrays})):
            assert panel.svg.endswith("</svg>")


@pytest.mark.parametrize("kind", ["lines", "bars", "histogram", "scatter"])
def test_no_series_at_all_says_so(kind):
    assert "no finite numbers" in draw(Plot("p", "P", kind, {}))[0].svg


def test_long_curves_are_thinned():
    few = draw(Plot("p", "P", "lines", {"a": curve(*np.random.RandomState(0).rand(500))}))[0].svg
    long = np.random.RandomState(0).rand(50_000)
    assert len(draw(Plot("p", "P", "lines", {"a": curve(*long)}))[0].svg) < 1.3 * len(few)
    assert len(long) > MOST_POINTS


def test_curves_carry_their_names_and_differ_without_color():
    names = ("features", "embeddings", "projections")
    series = {name: curve(i, i + 1.0) for i, name in enumerate(names)}
    svg = draw(Plot("p", "P", "lines", series))[0].svg
    assert all(f">{name}<" in svg for name in names)
    assert svg.count("stroke-dasharray") >= 2


def test_labels_do_not_cover_each_other():
    placed = _apart([0.5, 0.5, 0.5, 0.99], 0.1)
    assert np.diff(placed).min() >= 0.1 - 1e-9 and min(placed) >= 0 and max(placed) <= 1


def test_names_of_classes_are_moved_apart():
    places = apart_in_plane(np.full((5, 2), 0.5), [0.2] * 5, 0.05)
    assert np.diff(np.sort(places[:, 1])).min() > 0.049 and (places[:, 0] == 0.5).all()


def test_a_single_point_has_an_axis_of_whole_numbers():
    svg = draw(Plot("p", "P", "lines", {"a": {"x": [5], "y": [1.0]}}, x_label="epoch"))[0].svg
    assert ">5<" in svg and ">4.8" not in svg


def test_text_follows_the_theme_of_the_page():
    svg = draw(DRAWN[0])[0].svg
    assert "var(--ink)" in svg and "#010203" not in svg


def test_formulas_of_other_people_are_text():
    svg = draw(Plot("p", "$\\frac", "lines", {"$x^": curve(1, 2)}, x_label="$\\bad{"))[0].svg
    assert "$\\bad{" in svg


def test_text_is_cut_in_its_middle():
    assert short("abcdefghijklmnop", 8) == "abcd…nop" and short("abc", 8) == "abc"
