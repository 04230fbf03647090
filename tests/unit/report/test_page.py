"""The page needs nothing but itself, can be read by all, and shows what it was given."""

import re

import numpy as np
import pytest

from keras_ssl.analysis.sections import Plot, Section, Table
from keras_ssl.report import Report, render, render_comparison, write_report
from keras_ssl.report.glossary import GLOSSARY
from keras_ssl.report.page import text_of
from tests.unit.report.support import HOSTILE, Reader, curve, plots, section


@pytest.fixture(scope="module")
def page():
    facts = {"The run": {HOSTILE: HOSTILE}}
    results = [Table("Accuracy", ("representation", "knn"), (("pixels", "97.5"),))]
    return render(Report(f"byol on {HOSTILE}", [f"Fine {HOSTILE}."], facts, results, [section()]))


def test_every_tag_is_closed_and_every_id_is_unique(page):
    read = Reader(page)
    assert read.open == []
    assert len(read.ids) == len(set(read.ids))


def test_nothing_is_loaded_from_elsewhere(page):
    read = Reader(page)
    assert all(one.startswith(("#", "data:image/")) for one in read.references)
    assert not {"script", "link", "iframe", "object", "base"} & set(read.tags)
    assert "http:" not in page and "https:" not in page
    assert not re.search(r"@import|url\((?!#)", page)


def test_links_within_the_page_lead_somewhere(page):
    read = Reader(page)
    inside = {one[1:] for one in read.references if one.startswith("#")}
    assert inside <= set(read.ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(read.ids)


def test_names_are_text_and_never_markup(page):
    assert "<b>&" not in page.replace("&amp;", "&").replace("&lt;", "<") or HOSTILE not in page
    assert HOSTILE in "".join(Reader(page).text)
    tags = Reader(page).tags
    assert tags.count("b") == tags.count("figcaption")  # titles of figures and nothing else


def test_every_picture_is_told_in_words(page):
    read = Reader(page)
    pictures = [a for tag, a in read.attributes if tag == "svg"]
    assert len(pictures) == 6 and all(len(a["aria-label"]) > 10 for a in pictures)
    assert all(a["role"] == "img" for a in pictures)
    images = [a for tag, a in read.attributes if tag == "img"]
    assert images and all(len(a["alt"]) > 10 for a in images)


def test_tables_have_headings_for_columns_and_rows(page):
    read = Reader(page)
    scopes = [a["scope"] for tag, a in read.attributes if tag == "th"]
    assert "col" in scopes and "row" in scopes
    assert {"h1", "h2", "figure", "figcaption", "nav", "main"} <= set(read.tags)


def test_the_verdict_comes_first(page):
    text = "".join(Reader(page).text)
    order = [text.rindex(one) for one in ("Verdict", "Results", "What ran")]
    assert order == sorted(order)


def test_the_same_report_gives_the_same_bytes(tmp_path):
    report = Report("a", sections=[section()])
    write_report(tmp_path / "a.html", report)
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == render(report)


def test_a_plot_that_cannot_be_drawn_says_so_and_the_page_goes_on():
    bad = Plot("bad", "Bad", "lines", {"a": {"x": ["no"], "y": ["number"]}})
    page = render(Report("a", sections=[Section("s", "S", plots=(bad, *plots()[:1]))]))
    assert "could not be drawn" in page and page.count("<svg") == 1


def test_a_bad_verdict_looks_like_one():
    assert 'class="alarm"' in render(Report("a", ["This run has collapsed."], alarm=True))
    assert 'class="alarm"' not in render(Report("a", ["No collapse is seen."]))


def test_a_table_without_rows_is_its_title_and_its_note():
    page = render(Report("a", results=[Table("Accuracy", ("run",), (), "Nothing is known.")]))
    assert "Nothing is known." in page and "<table" not in page


def test_a_folded_section_is_closed_until_it_is_opened():
    parts = {"title": "Bound", "words": ("It is 3.",)}
    for folded in (True, False):
        page = render(Report("a", sections=[Section("bound", **parts, folded=folded)]))
        read = Reader(page)
        assert read.open == [] and "It is 3." in page
        assert ("<summary><h2>Bound</h2></summary>" in page) == folded
        assert not any("open" in a for tag, a in read.attributes if tag == "details")


def test_every_page_ends_with_its_words_and_they_are_lines():
    report = Report("a", sections=[Section("s", "S")])
    for page in (render(report), render_comparison({"a": report, "b": report})):
        assert page.index('<section id="words">') > page.index("<h2>S</h2>")
        assert page.count("<dt>RankMe</dt>") == 1 and 'href="#words"' in page
    assert all(0 < len(meaning) < 170 and meaning[-1] != "." for meaning in GLOSSARY.values())


def test_an_empty_report_is_a_page():
    assert Reader(render(Report(""))).open == []


def test_values_that_are_no_numbers_are_dashes():
    page = render(Report("a", sections=[Section("s", "S", values={"x": np.nan, "y": None})]))
    assert "nan" not in page.lower().replace("finance", "")
    assert text_of(np.float32("inf")) == "-" and text_of(True) == "yes"


def test_a_page_of_many_plots_stays_small():
    random = np.random.RandomState(0)
    spectra = {f"epoch {i}": curve(*np.sort(random.rand(2048))[::-1]) for i in range(8)}
    points = {str(c): {"x": random.randn(500), "y": random.randn(500)} for c in range(10)}
    codes = {"codes": {"z": random.rand(1000, 1000)}}
    photos = {f"row {i}": {"images": random.randint(0, 256, (9, 96, 96, 3))} for i in range(20)}
    photos = {name: {"images": row["images"].astype("uint8")} for name, row in photos.items()}
    many = (
        *(Plot(f"s{i}", "Spectra", "lines", spectra, log_y=True) for i in range(3)),
        *(Plot(f"m{i}", "Map", "scatter", points) for i in range(2)),
        Plot("codes", "Codes", "matrix", codes),
        Plot("photos", "Photos", "images", photos),
    )
    size = len(render(Report("a", sections=[Section("s", "S", plots=many)])).encode())
    assert size < 2_000_000, size
