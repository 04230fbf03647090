from dataclasses import replace

import numpy as np
import pytest

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.compare import (
    compare_runs,
    load_run,
    paired_bootstrap,
    protocol_differences,
)
from keras_ssl.evaluation.results import Result, write_results

BITS = np.random.RandomState(0).uniform(size=(3, 400))


def _result(value, *, source="pretrained", task="knn", metric="accuracy", std=None, **protocol):
    protocol = {"k": 20, **protocol}
    return Result(source, None, None, task, metric, value, "digits", "test", protocol, std)


def _correct(value, line=0):
    return BITS[line] < value / 100


def _run(directory, results, *, images="same", correct=True):
    directory.mkdir()
    if correct:
        results = [replace(result, correct=_correct(result.value)) for result in results]
    write_results(directory, results, {}, images if correct else None)
    return load_run(directory, directory.name)


def test_runs_stand_side_by_side_with_differences_from_the_first(tmp_path):
    raw = _result(40.0, source="pixels")
    first = _run(tmp_path / "byol", [raw, _result(60.0)], correct=False)
    second = _run(tmp_path / "moco", [raw, _result(63.5, std=0.4)], correct=False)
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


def test_intervals_come_from_the_predictions_of_both(tmp_path):
    runs = [_run(tmp_path / "a", [_result(60.0)]), _run(tmp_path / "b", [_result(63.5)])]
    table, left_out = compare_runs(runs)
    _, low, high = paired_bootstrap(_correct(60), _correct(63.5))
    assert f"63.5 (+3.5 [{low:+.1f}, {high:+.1f}])" in table
    assert not left_out
    assert compare_runs(runs)[0] == table


def test_other_test_images_give_no_interval(tmp_path):
    runs = [_run(tmp_path / n, [_result(60.0)], images=n) for n in ("a", "b")]
    table, left_out = compare_runs(runs)
    assert "60.0 (+0.0)" in table
    assert "tested on different images" in left_out[0]


def test_other_protocols_are_not_compared_and_the_settings_that_differ_are_named(tmp_path):
    first = _run(tmp_path / "a", [_result(60.0), _result(50.0, task="linear", seed=0)])
    second = _run(tmp_path / "b", [_result(61.0), _result(70.0, task="linear", seed=1, folds=5)])
    table, left_out = compare_runs([first, second])
    assert "linear" not in table and "70.0" not in table
    assert left_out == [
        "Not compared: 'linear' (accuracy, digits/test) of a has another protocol than that of b: "
        "seed is 0, not 1; folds is None, not 5.",
        "Not compared: 'linear' (accuracy, digits/test) of b has another protocol than that of a: "
        "seed is 1, not 0; folds is 5, not None.",
    ]


def test_runs_without_a_row_in_common_are_refused_with_the_reason(tmp_path):
    runs = [_run(tmp_path / "a", [_result(60.0)]), _run(tmp_path / "b", [_result(61.0, k=5)])]
    with pytest.raises(UserError, match="no row in common.*k is 20, not 5"):
        compare_runs(runs)


def test_a_task_of_one_run_is_left_out_by_name(tmp_path):
    runs = [
        _run(tmp_path / "a", [_result(60.0), _result(1.0, task="rank")]),
        _run(tmp_path / "b", [_result(61.0)]),
    ]
    assert compare_runs(runs)[1] == ["Only a has 'rank' (accuracy, digits/test)."]


def test_of_three_runs_two_are_enough_for_a_column(tmp_path):
    rows = [[_result(60.0)], [_result(61.0, k=5)], [_result(62.0)]]
    runs = [_run(tmp_path / name, r) for name, r in zip("abc", rows, strict=True)]
    table, left_out = compare_runs(runs)
    assert "62.0 (+2.0" in table and "61.0" not in table
    assert "k is 5, not 20" in left_out[0]


def test_markdown_has_the_same_cells(tmp_path):
    runs = [_run(tmp_path / n, [_result(60.0)], correct=False) for n in ("a", "b")]
    assert compare_runs(runs, markdown=True)[0].splitlines()[:4] == [
        "| run | representation | knn |",
        "| --- | --- | ---: |",
        "| a | pretrained | 60.0 |",
        "| b | pretrained | 60.0 (+0.0) |",
    ]


def test_a_value_that_is_no_number_is_an_empty_cell(tmp_path):
    runs = [
        _run(tmp_path / n, [_result(v)], correct=False) for n, v in [("a", 60.0), ("b", np.nan)]
    ]
    assert "b " not in compare_runs(runs)[0]


@pytest.mark.parametrize("names", [["a"], ["a", "a"]])
def test_two_different_runs_are_needed(names, tmp_path):
    run = _run(tmp_path / "a", [_result(60.0)])
    with pytest.raises(UserError, match="two different runs"):
        compare_runs([run] * len(names))


def test_the_bootstrap_is_that_of_drawing_images():
    first, second = _correct(60), _correct(70, line=1)
    difference, low, high = paired_bootstrap(first, second)
    assert difference == pytest.approx(100 * (second.mean() - first.mean()))
    draw = np.random.RandomState(1)
    rows = draw.randint(0, 400, (4000, 400))
    loop = 100 * (second[rows].mean(axis=1) - first[rows].mean(axis=1))
    np.testing.assert_allclose([low, high], np.percentile(loop, [2.5, 97.5]), atol=0.5)


def test_pairs_that_agree_more_have_a_narrower_interval():
    widths = []
    for line in (0, 1):  # the same images are hard, or others
        _, low, high = paired_bootstrap(_correct(60), _correct(65, line=line))
        widths.append(high - low)
    assert widths[0] < widths[1] / 2


def test_repetitions_count_by_their_mean():
    first, second = BITS < 0.6, BITS[:2] < 0.7
    difference, low, high = paired_bootstrap(first, second)
    assert difference == pytest.approx(100 * (second.mean() - first.mean()))
    assert low < difference < high


def test_predictions_of_different_numbers_of_images_are_refused():
    with pytest.raises(UserError, match="same images"):
        paired_bootstrap(_correct(60), _correct(60)[:-1])


def test_differences_of_protocols_name_what_only_one_has():
    assert protocol_differences({"a": 1, "b": 2}, {"a": 1, "c": 3}) == {
        "b": (2, None),
        "c": (None, 3),
    }


def test_differences_are_from_a_representation_that_the_runs_share(tmp_path):
    alone = _result(90.0, source="fine-tuned", task="finetune", share=0.01)
    runs = [
        _run(tmp_path / "a", [alone, _result(50.0)]),
        _run(tmp_path / "b", [_result(60.0)]),
    ]
    table, _ = compare_runs(runs)
    assert "Differences are from 'pretrained' of a" in table
    assert "60.0 (+10" in table


def test_a_run_is_not_compared_with_itself(tmp_path):
    own = [_result(40.0, task="transfer", size=size) for size in (8, 16)]
    first = _run(tmp_path / "byol", [_result(60.0), *own])
    _, left_out = compare_runs([first, _run(tmp_path / "moco", [_result(63.5)])])
    assert left_out == ["Only byol has 'transfer' (accuracy, digits/test)."]


def test_a_task_of_one_run_is_one_line_with_all_its_metrics(tmp_path):
    own = [_result(40.0, task="argmax", metric=metric) for metric in ("accuracy", "nmi")]
    runs = [_run(tmp_path / "a", [_result(60.0), *own]), _run(tmp_path / "b", [_result(61.0)])]
    assert compare_runs(runs)[1] == ["Only a has 'argmax' (accuracy, nmi, digits/test)."]


def test_a_run_that_is_missing_or_unfinished_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="no run in .*gone'.*give the directories"):
        load_run(tmp_path / "gone")
    with pytest.raises(UserError, match="no results.json: evaluate the run first"):
        load_run(tmp_path)
    (tmp_path / "recipe.json").touch()
    with pytest.raises(UserError, match="training has not ended. --resume --workdir="):
        load_run(tmp_path)
