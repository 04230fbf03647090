"""Sections as data."""

import json

import numpy as np
import pytest

from keras_ssl.analysis.sections import Plot, Section, Table, section_from_plain, section_to_plain


def section(series):
    plot = Plot("spectrum", "Spectrum", "lines", series)
    shown = Plot("views", "Views", "images", {"first": {"images": np.zeros((1, 4, 4, 1), "uint8")}})
    table = Table("Ranks", ("of", "rank"), (("features", np.float32(2.5)),))
    values = {"rank": np.float64(2.123456789), "none": float("nan"), "nested": {"n": np.int64(3)}}
    return Section("collapse", "Collapse", ("Words.",), values, (table,), (plot, shown))


def test_section_survives_json_without_its_images():
    plain = section_to_plain(section({"features": {"x": np.arange(2), "y": np.ones(2)}}))
    read = section_from_plain(json.loads(json.dumps(plain, allow_nan=False)))
    assert [plot.name for plot in read.plots] == ["spectrum"]
    assert read.plots[0].series == {"features": {"x": [0, 1], "y": [1.0, 1.0]}}
    assert read.values == {"rank": 2.1235, "none": None, "nested": {"n": 3}}
    assert read.tables[0].rows == (("features", 2.5),)
    assert section_to_plain(read) == plain


def test_a_folded_section_is_read_back_as_one_and_older_files_have_none():
    plain = section_to_plain(Section("bound", "Bound", folded=True))
    assert section_from_plain(json.loads(json.dumps(plain))).folded
    del plain["folded"]
    assert not section_from_plain(plain).folded


def test_series_without_the_arrays_of_its_kind_is_refused():
    with pytest.raises(ValueError, match="lack"):
        section({"features": {"x": [1]}})
