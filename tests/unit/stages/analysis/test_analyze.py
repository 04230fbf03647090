"""How an analysis is put together, written and read."""

import pytest

from keras_ssl.analysis import Section
from keras_ssl.core.errors import UserError
from stages.analysis import analyze

VERDICT = {"overall": "No collapse is seen.", "cluster": {"state": "healthy", "words": "Fine."}}
COLLAPSE = Section("collapse", "Collapse", ("A.", "B."), {"verdict": VERDICT})
OTHER = Section("map", "Map", ("C.",))


def test_a_section_that_fails_costs_no_other(monkeypatch):
    def user(subject):
        raise UserError("It has no labels.")

    def bug(subject):
        raise ZeroDivisionError("division by zero")

    table = (("a", user), ("b", bug), ("c", lambda subject: None), ("d", lambda subject: OTHER))
    monkeypatch.setattr(analyze, "ANALYSES", table)
    sections, left_out = analyze.look_at(None)
    assert sections == [OTHER]
    assert left_out == ["a: It has no labels.", "b: ZeroDivisionError: division by zero"]


def test_a_pretraining_ends_with_the_verdict_alone():
    brief = analyze.format_sections([COLLAPSE, OTHER], ["x"], brief=True)
    assert "No collapse is seen." in brief and "Left out: x" in brief
    assert "C." not in brief and "Map" not in brief
    assert "C." in analyze.format_sections([COLLAPSE, OTHER], [], brief=False)


def test_an_analysis_is_read_as_it_was_written(tmp_path):
    assert analyze.read_analysis(tmp_path) == []
    analyze.write_analysis(tmp_path, [COLLAPSE, OTHER], [])
    assert analyze.read_analysis(tmp_path) == [COLLAPSE, OTHER]


def test_a_damaged_analysis_is_refused_with_what_writes_it_anew(tmp_path):
    (tmp_path / "analysis.json").write_text('{"sections": [{"na')
    with pytest.raises(UserError, match="--mode=analyze"):
        analyze.read_analysis(tmp_path)
