import json
from dataclasses import replace

import numpy as np

from keras_ssl.evaluation.rows import Row, format_table, protocol_hash, write_results


def _row(representation, task, value, *, metric="accuracy", std=None, **protocol):
    return Row(representation, task, metric, value, "digits", "test", protocol, std)


ROWS = [
    _row("raw pixels", "knn", 98.61, k=20),
    _row("raw pixels", "10 labels", 87.24, std=1.06),
    _row("pretrained, SEM tau_d=0.1", "knn", 99.0, k=20),
]


def test_a_table_has_a_line_for_each_representation_and_a_column_for_each_task():
    assert format_table(ROWS).splitlines() == [
        "representation              knn  10 labels",
        "raw pixels                 98.6  87.2 ±1.1",
        "pretrained, SEM tau_d=0.1  99.0          -",
    ]


def test_a_markdown_table_has_the_same_cells():
    assert format_table(ROWS, markdown=True).splitlines() == [
        "| representation | knn | 10 labels |",
        "| --- | ---: | ---: |",
        "| raw pixels | 98.6 | 87.2 ±1.1 |",
        "| pretrained, SEM tau_d=0.1 | 99.0 | - |",
    ]


def test_numbers_of_different_protocols_never_share_a_column():
    table = format_table([_row("a", "knn", 90.0, k=20), _row("b", "knn", 91.0, k=5)])
    heading, first, second = table.splitlines()
    assert heading.count("knn digits/test [") == 2
    assert first.split() == ["a", "90.0", "-"] and second.split() == ["b", "-", "91.0"]


def test_other_metrics_are_named_in_the_heading():
    table = format_table([_row("a", "knn", 9.0), _row("a", "knn", 99.0, metric="top5")])
    assert table.splitlines()[0].split() == ["representation", "knn", "knn", "top5"]


def test_a_protocol_hash_depends_on_values_and_not_on_order():
    assert protocol_hash({"a": 1, "b": [2.5]}) == protocol_hash({"b": [2.5], "a": 1})
    assert protocol_hash({"a": 1}) != protocol_hash({"a": 2})
    assert len(protocol_hash({})) == 12


def test_results_are_strict_json_with_every_field_and_the_hash(tmp_path):
    rows = [_row("a", "knn", np.float32(90), k=np.int64(20)), _row("b", "knn", float("nan"))]
    write_results(tmp_path / "results.json", rows, {"seed": 0})
    text = (tmp_path / "results.json").read_text()
    assert "NaN" not in text
    results = json.loads(text)
    assert results["meta"] == {"seed": 0}
    first, second = results["rows"]
    assert first["value"] == 90 and second["value"] is None
    assert first["protocol"] == {"k": 20}
    assert first["protocol_hash"] == protocol_hash({"k": 20})
    assert {"representation", "task", "metric", "dataset", "split", "std"} < set(first)


def test_a_row_that_is_measured_again_keeps_its_place(tmp_path):
    first, second = (Row(name, "knn", "accuracy", 1.0, "d", "test", {}) for name in ("a", "b"))
    write_results(tmp_path / "r.json", [first, second], {})
    write_results(tmp_path / "r.json", [replace(first, value=2.0)], {})
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [(row["representation"], row["value"]) for row in rows] == [("a", 2.0), ("b", 1.0)]
