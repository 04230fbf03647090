import json

import numpy as np
import pytest

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.compare import (
    compare_runs,
    load_run,
    paired_bootstrap,
    protocol_differences,
)
from keras_ssl.evaluation.hits import images_digest, read_hits, row_key, write_hits
from keras_ssl.evaluation.rows import Row, write_results

BITS = np.random.RandomState(0).uniform(size=(3, 400))


def _row(value, *, representation="pretrained", task="knn", std=None, **protocol):
    protocol = {"k": 20, **protocol}
    return Row(representation, task, "accuracy", value, "digits", "test", protocol, std)


def _hits(value, line=0):
    return BITS[line] < value / 100


def _run(directory, rows, *, images="same", hits=True):
    directory.mkdir()
    write_results(directory / "results.json", rows, {})
    if hits:
        pairs = [(row, _hits(row.value)) for row in rows]
        write_hits(directory / "results.npz", pairs, images)
    return load_run(directory, directory.name)


def test_runs_stand_side_by_side_with_differences_from_the_first(tmp_path):
    raw = _row(40.0, representation="raw pixels")
    first = _run(tmp_path / "byol", [raw, _row(60.0)], hits=False)
    second = _run(tmp_path / "moco", [raw, _row(63.5, std=0.4)], hits=False)
    table, left_out = compare_runs([first, second])
    assert table.splitlines() == [
        "run   representation               knn",
        "byol  raw pixels          40.0 (-20.0)",
        "byol  pretrained                  60.0",
        "moco  raw pixels          40.0 (-20.0)",
        "moco  pretrained      63.5 ±0.4 (+3.5)",
        "",
        "Differences are from 'pretrained' of byol, with 95 % intervals.",
    ]
    assert left_out == ["No intervals with byol, moco: no results.npz."]


def test_intervals_come_from_the_hits_of_both(tmp_path):
    runs = [_run(tmp_path / "a", [_row(60.0)]), _run(tmp_path / "b", [_row(63.5)])]
    table, left_out = compare_runs(runs)
    _, low, high = paired_bootstrap(_hits(60), _hits(63.5))
    assert f"63.5 (+3.5 [{low:+.1f}, {high:+.1f}])" in table
    assert not left_out
    assert compare_runs(runs)[0] == table


def test_other_test_images_give_no_interval(tmp_path):
    runs = [_run(tmp_path / n, [_row(60.0)], images=n) for n in ("a", "b")]
    table, left_out = compare_runs(runs)
    assert "60.0 (+0.0)" in table
    assert "tested on different images" in left_out[0]


def test_other_protocols_are_not_compared_and_the_settings_that_differ_are_named(tmp_path):
    first = _run(tmp_path / "a", [_row(60.0), _row(50.0, task="linear", seed=0)])
    second = _run(tmp_path / "b", [_row(61.0), _row(70.0, task="linear", seed=1, folds=5)])
    table, left_out = compare_runs([first, second])
    assert "linear" not in table and "70.0" not in table
    assert left_out == [
        "Not compared: 'linear' (accuracy, digits/test) of a has another protocol than that of b: "
        "seed is 0, not 1; folds is None, not 5.",
        "Not compared: 'linear' (accuracy, digits/test) of b has another protocol than that of a: "
        "seed is 1, not 0; folds is 5, not None.",
    ]


def test_runs_without_a_row_in_common_are_refused_with_the_reason(tmp_path):
    runs = [_run(tmp_path / "a", [_row(60.0)]), _run(tmp_path / "b", [_row(61.0, k=5)])]
    with pytest.raises(UserError, match="no row in common.*k is 20, not 5"):
        compare_runs(runs)


def test_a_task_of_one_run_is_left_out_by_name(tmp_path):
    runs = [
        _run(tmp_path / "a", [_row(60.0), _row(1.0, task="rank")]),
        _run(tmp_path / "b", [_row(61.0)]),
    ]
    assert compare_runs(runs)[1] == ["Only a has 'rank' (accuracy, digits/test)."]


def test_of_three_runs_two_are_enough_for_a_column(tmp_path):
    rows = [[_row(60.0)], [_row(61.0, k=5)], [_row(62.0)]]
    runs = [_run(tmp_path / name, r) for name, r in zip("abc", rows, strict=True)]
    table, left_out = compare_runs(runs)
    assert "62.0 (+2.0" in table and "61.0" not in table
    assert "k is 5, not 20" in left_out[0]


def test_markdown_has_the_same_cells(tmp_path):
    runs = [_run(tmp_path / n, [_row(60.0)], hits=False) for n in ("a", "b")]
    assert compare_runs(runs, markdown=True)[0].splitlines()[:4] == [
        "| run | representation | knn |",
        "| --- | --- | ---: |",
        "| a | pretrained | 60.0 |",
        "| b | pretrained | 60.0 (+0.0) |",
    ]


def test_a_value_that_is_no_number_is_an_empty_cell(tmp_path):
    runs = [_run(tmp_path / n, [_row(v)], hits=False) for n, v in [("a", 60.0), ("b", np.nan)]]
    assert "b " not in compare_runs(runs)[0]


@pytest.mark.parametrize("names", [["a"], ["a", "a"]])
def test_two_different_runs_are_needed(names, tmp_path):
    run = _run(tmp_path / "a", [_row(60.0)])
    with pytest.raises(UserError, match="two different runs"):
        compare_runs([run] * len(names))


def test_the_bootstrap_is_that_of_drawing_images():
    first, second = _hits(60), _hits(70, line=1)
    difference, low, high = paired_bootstrap(first, second)
    assert difference == pytest.approx(100 * (second.mean() - first.mean()))
    draw = np.random.RandomState(1)
    rows = draw.randint(0, 400, (4000, 400))
    loop = 100 * (second[rows].mean(axis=1) - first[rows].mean(axis=1))
    np.testing.assert_allclose([low, high], np.percentile(loop, [2.5, 97.5]), atol=0.5)


def test_pairs_that_agree_more_have_a_narrower_interval():
    widths = []
    for line in (0, 1):  # the same images are hard, or others
        _, low, high = paired_bootstrap(_hits(60), _hits(65, line=line))
        widths.append(high - low)
    assert widths[0] < widths[1] / 2


def test_repetitions_count_by_their_mean():
    first, second = BITS < 0.6, BITS[:2] < 0.7
    difference, low, high = paired_bootstrap(first, second)
    assert difference == pytest.approx(100 * (second.mean() - first.mean()))
    assert low < difference < high


def test_hits_of_different_numbers_of_images_are_refused():
    with pytest.raises(UserError, match="same images"):
        paired_bootstrap(_hits(60), _hits(60)[:-1])


def test_hits_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "results.npz"
    one, many = _row(1.0), _row(2.0, task="few")
    write_hits(path, [(one, BITS[0, :13] < 0.5), (many, BITS[:, :13] < 0.5)], "abc")
    hits, images = read_hits(path)
    assert images == "abc"
    assert np.array_equal(hits[row_key(one)], BITS[:1, :13] < 0.5)
    assert np.array_equal(hits[row_key(many)], BITS[:, :13] < 0.5)


def test_a_row_of_json_has_the_key_of_the_row(tmp_path):
    row = _row(1.0, grid=(1, 2), rate=np.float32(0.5))
    write_results(tmp_path / "results.json", [row], {})
    record = json.loads((tmp_path / "results.json").read_text())["rows"][0]
    assert row_key(record) == row_key(row)
    assert row_key(row) == row_key(_row(9.0, grid=(1, 2), rate=0.5))
    assert row_key(row) != row_key(_row(1.0, grid=(1, 3), rate=0.5))


def test_hits_of_other_rows_stay_if_they_are_of_the_same_images(tmp_path):
    path = tmp_path / "results.npz"
    rows = [_row(1.0, task=task) for task in "abc"]
    write_hits(path, [(rows[0], _hits(50))], "same")
    write_hits(path, [(rows[1], _hits(60))], "same")
    assert set(read_hits(path)[0]) == {row_key(row) for row in rows[:2]}
    write_hits(path, [(rows[2], _hits(60))], "other")
    assert set(read_hits(path)[0]) == {row_key(rows[2])}


def test_five_thousand_images_take_625_bytes_a_row(tmp_path):
    rows = [_row(1.0, task=str(i)) for i in range(20)]
    write_hits(tmp_path / "results.npz", [(row, np.ones(5000, bool)) for row in rows], "same")
    assert (tmp_path / "results.npz").stat().st_size < 20 * (625 + 350) + 600


def test_wrong_hits_are_refused(tmp_path):
    with pytest.raises(UserError, match="booleans of the same images"):
        write_hits(tmp_path / "a.npz", [(_row(1.0), np.ones(3))], "same")
    pairs = [(_row(1.0), _hits(50)), (_row(1.0, task="b"), _hits(50)[:-1])]
    with pytest.raises(UserError, match="booleans of the same images"):
        write_hits(tmp_path / "a.npz", pairs, "same")


def test_the_digest_of_images_is_that_of_their_content_and_order():
    images = np.random.RandomState(0).randint(0, 256, (5, 4, 4, 3)).astype("uint8")
    digest = images_digest(images, np.arange(5))
    assert digest == images_digest(images.copy(), list(range(5)))
    assert digest != images_digest(images[::-1], np.arange(5))
    assert digest != images_digest(images, np.zeros(5, int))


@pytest.mark.parametrize("text", ["", "[]", '{"rows": [{}]}', '{"rows": 3}'])
def test_a_file_that_is_no_table_is_refused(text, tmp_path):
    with pytest.raises(UserError, match="evaluate the run first"):
        load_run(tmp_path)
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(UserError, match="not a table of results"):
        load_run(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut short"])
def test_damaged_hits_are_refused(content, tmp_path):
    path = tmp_path / "results.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged or holds no hits"):
        read_hits(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(UserError, match="damaged or holds no hits"):
        read_hits(path)


def test_differences_of_protocols_name_what_only_one_has():
    assert protocol_differences({"a": 1, "b": 2}, {"a": 1, "c": 3}) == {
        "b": (2, None),
        "c": (None, 3),
    }


def test_differences_are_from_a_representation_that_the_runs_share(tmp_path):
    alone = _row(90.0, representation="pretrained, fine-tuned", task="1 % of labels")
    runs = [
        _run(tmp_path / "a", [alone, _row(50.0)]),
        _run(tmp_path / "b", [_row(60.0)]),
    ]
    table, _ = compare_runs(runs)
    assert "Differences are from 'pretrained' of a" in table
    assert "60.0 (+10" in table


def test_a_run_is_not_compared_with_itself(tmp_path):
    own = [_row(40.0, task="transfer", size=size) for size in (8, 16)]
    first = _run(tmp_path / "byol", [_row(60.0), *own])
    _, left_out = compare_runs([first, _run(tmp_path / "moco", [_row(63.5)])])
    assert left_out == ["Only byol has 'transfer' (accuracy, digits/test)."]
