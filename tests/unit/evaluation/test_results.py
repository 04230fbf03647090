"""Results are written with their predictions and read back, those of earlier versions too."""

import json
from dataclasses import replace

import numpy as np
import pytest

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.results import (
    Measurement,
    Result,
    protocol_hash,
    read_results,
    write_results,
)
from keras_ssl.evaluation.tables import name_of

BITS = np.random.RandomState(0).uniform(size=(3, 400))


def _result(value, task="knn", *, source="pretrained", correct=None, **protocol):
    protocol = {"k": 20, **protocol}
    return Result(
        *(source, None, None, task, "accuracy", value, "digits", "test", protocol),
        correct=correct,
    )


def test_a_protocol_hash_depends_on_values_and_not_on_order():
    assert protocol_hash({"a": 1, "b": [2.5]}) == protocol_hash({"b": [2.5], "a": 1})
    assert protocol_hash({"a": 1}) != protocol_hash({"a": 2})
    assert len(protocol_hash({})) == 12


def test_results_are_strict_json_with_every_field_and_the_hash(tmp_path):
    results = [_result(np.float32(90), k=np.int64(20)), _result(float("nan"), "linear")]
    write_results(tmp_path, results, {"seed": 0})
    text = (tmp_path / "results.json").read_text()
    assert "NaN" not in text
    table = json.loads(text)
    assert table["meta"] == {"seed": 0}
    first, second = table["rows"]
    assert first["value"] == 90 and second["value"] is None
    assert first["protocol"] == {"k": 20}
    assert first["protocol_hash"] == protocol_hash({"k": 20})
    fields = {"source", "readout", "tau", "task", "metric", "dataset", "split", "std"}
    assert fields < set(first)


def test_what_is_measured_again_keeps_its_place_and_the_rest_stays(tmp_path):
    first, second = _result(1.0, source="pixels"), _result(1.0)
    write_results(tmp_path, [first, second], {"a": 1})
    write_results(tmp_path, [replace(first, value=2.0)], {"b": 2})
    run = read_results(tmp_path)
    assert run.results == [replace(first, value=2.0), second]
    assert run.meta == {"a": 1, "b": 2}


def test_a_measurement_gives_a_result_for_each_metric():
    correct = BITS < 0.5
    found = Measurement({"accuracy": 50.0, "top5": 90.0}, {"k": 5}, {"top5": 0.2}, correct)
    first, second = found.results(
        "knn", "digits", source="pretrained", readout="simplices", tau=0.1
    )
    assert first.representation == second.representation == ("pretrained", "simplices", 0.1)
    assert first.correct is correct and second.correct is None
    assert (first.std, second.std) == (None, 0.2)


def test_a_regression_by_scikit_learn_shares_the_column_of_the_one_of_today(tmp_path):
    correct = BITS[0] < 0.5
    words = "multinomial logistic regression, L2, L-BFGS"
    old = _result(1.0, "linear", correct=correct, classifier=f"{words} (scikit-learn)")
    new = _result(1.0, "linear", classifier=words)
    write_results(tmp_path, [old], {}, "abc")
    (found,) = read_results(tmp_path).results
    assert found == new and found.key == new.key
    np.testing.assert_array_equal(found.correct, correct[None])
    write_results(tmp_path, [replace(new, value=2.0)], {}, "abc")
    assert [one.value for one in read_results(tmp_path).results] == [2.0]


def test_predictions_come_back_as_they_were_written(tmp_path):
    one, many = (BITS[0, :13] < 0.5), (BITS[:, :13] < 0.5)
    results = [_result(1.0, correct=one), _result(2.0, "few", correct=many), _result(3.0, "x")]
    write_results(tmp_path, results, {}, "abc")
    run = read_results(tmp_path)
    assert run.images == "abc" and run.results[2].correct is None
    np.testing.assert_array_equal(run.results[0].correct, one[None])
    np.testing.assert_array_equal(run.results[1].correct, many)


def test_a_result_has_the_key_of_what_is_read_back(tmp_path):
    result = _result(1.0, grid=(1, 2), rate=np.float32(0.5))
    write_results(tmp_path, [result], {})
    (again,) = read_results(tmp_path).results
    assert again.key == result.key == _result(9.0, grid=(1, 2), rate=0.5).key
    assert result.key != _result(1.0, grid=(1, 3), rate=0.5).key
    assert result.key != replace(result, tau=0.1).key


def test_predictions_stay_if_they_are_about_the_same_images(tmp_path):
    a, b, c, d = (_result(1.0, task, correct=BITS[:1] < 0.5) for task in "abcd")

    def known():
        return [r.task for r in read_results(tmp_path).results if r.correct is not None]

    write_results(tmp_path, [a], {}, "same")
    write_results(tmp_path, [b], {}, "same")
    write_results(tmp_path, [c], {})  # nobody says which images these are about
    assert known() == ["a", "b"]
    write_results(tmp_path, [d], {}, "other")
    assert known() == ["d"] and len(read_results(tmp_path).results) == 4


def test_five_thousand_images_take_625_bytes_a_row(tmp_path):
    results = [_result(1.0, str(i), correct=np.ones(5000, bool)) for i in range(20)]
    write_results(tmp_path, results, {}, "same")
    assert (tmp_path / "results.npz").stat().st_size < 20 * (625 + 350) + 600


@pytest.mark.parametrize("wrong", [np.ones(400), BITS[0, :-1] < 0.5])
def test_wrong_predictions_are_refused(wrong, tmp_path):
    results = [_result(1.0, correct=BITS[0] < 0.5), _result(1.0, "b", correct=wrong)]
    with pytest.raises(UserError, match="booleans of the same images"):
        write_results(tmp_path, results, {}, "same")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "[]", '{"rows": [{}]}', '{"rows": 3}'])
def test_a_file_that_is_no_table_is_refused(text, tmp_path):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(UserError, match="not a table of results"):
        read_results(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut short"])
def test_damaged_predictions_are_reported_once_and_the_numbers_stay(content, tmp_path, capsys):
    result = _result(1.0, correct=BITS[0] < 0.5)
    write_results(tmp_path, [result], {}, "same")
    path = tmp_path / "results.npz"
    path.write_bytes(content)
    for _ in range(2):
        run = read_results(tmp_path)
        assert run.results == [result] and run.results[0].correct is None and run.images is None
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"'{path}' is damaged or holds no predictions")
    write_results(tmp_path, [_result(2.0, "linear", correct=BITS[0] < 0.5)], {}, "same")
    first, second = read_results(tmp_path).results
    assert first.correct is None and second.correct is not None


def test_predictions_that_are_not_about_images_count_as_none(tmp_path, capsys):
    write_results(tmp_path, [_result(1.0)], {})
    np.savez(tmp_path / "results.npz", other=np.zeros(3))
    assert read_results(tmp_path).results == [_result(1.0)]
    np.savez(tmp_path / "results.npz", images=np.array([None, "0"]))
    assert read_results(tmp_path).results == [_result(1.0)]
    assert "damaged or holds no predictions" in capsys.readouterr().out


def test_without_its_table_a_file_of_predictions_does_no_harm(tmp_path, capsys):
    write_results(tmp_path, [_result(1.0, correct=BITS[0] < 0.5)], {}, "same")
    (tmp_path / "results.json").unlink()
    write_results(tmp_path, [_result(2.0, "transfer")], {})
    assert read_results(tmp_path).results == [_result(2.0, "transfer")]
    assert not (tmp_path / "results.npz").exists() and not capsys.readouterr().out


def test_nothing_measured_is_no_result(tmp_path):
    run = read_results(tmp_path)
    assert run.results == [] and run.meta == {} and run.images is None


# Rows of earlier versions.

SHIFTED = {"among_classes": 3}
OLD = {  # (representation, task, protocol) -> (source, readout, tau, task)
    ("raw pixels", "knn", None): ("pixels", None, None, "knn"),
    ("random weights", "linear", None): ("random", "backbone", None, "linear"),
    ("pretrained", "knn k=5 T=0.07", None): ("pretrained", None, None, "knn sweep"),
    ("pretrained, backbone", "k-means", None): ("pretrained", "backbone", None, "k-means"),
    ("pretrained, SEM tau_d=0.1", "linear, 10 labels/class", "per_class"): (
        *("pretrained", "simplices", 0.1, "few labels"),
    ),
    ("pretrained, embedding", "linear, 1 % of labels", "share"): (
        *("pretrained", "embedding", None, "label fraction"),
    ),
    ("pretrained, codes", "codes", None): ("pretrained", "codes", None, "codes"),
    ("pretrained, random codes", "argmax", None): ("pretrained", "random codes", None, "argmax"),
    ("pretrained, vq", "linear, sem_sgd", None): ("pretrained", "vq", None, "sem_sgd"),
    ("raw pixels", "knn, adam", "among_classes"): ("pixels", None, None, "shifted knn"),
    ("raw pixels", "linear, adam", "among_classes"): ("pixels", None, None, "shifted linear"),
    ("pretrained, fine-tuned", "1 % of labels", "share"): ("fine-tuned", None, None, "finetune"),
    ("from scratch, SEM tau_d=1", "100 % of labels", "share"): (
        *("scratch", "simplices", 1.0, "finetune"),
    ),
}


def _old_row(representation, task, setting, value=50.0):
    protocol = {setting: 1} if setting else {"k": 20}
    row = {"representation": representation, "task": task, "metric": "accuracy", "value": value}
    row |= {"dataset": "digits", "split": "test", "protocol": protocol, "std": None}
    return {**row, "protocol_hash": protocol_hash(protocol)}


def _write_old(directory, rows):
    """Files as earlier versions wrote them, predictions under a hash of the words."""
    text = json.dumps({"meta": {"method": "byol"}, "rows": rows})
    (directory / "results.json").write_text(text)
    names = ("representation", "task", "metric", "dataset", "split", "protocol")
    correct = {}
    for number, row in enumerate(rows):
        key = protocol_hash({name: row[name] for name in names})
        correct[key] = np.packbits(np.arange(40)[None] >= number, axis=1)
    np.savez(directory / "results.npz", **correct, images=np.array(["abc", "40"]))


def test_rows_of_earlier_versions_become_fields(tmp_path):
    _write_old(tmp_path, [_old_row(*words) for words in OLD])
    run = read_results(tmp_path)
    assert [(*r.representation, r.task) for r in run.results] == list(OLD.values())
    assert run.images == "abc" and run.meta == {"method": "byol"}
    assert [r.correct.sum() for r in run.results] == [40 - i for i in range(len(OLD))]


def test_a_directory_of_an_earlier_version_is_written_on(tmp_path):
    _write_old(tmp_path, [_old_row("raw pixels", "knn", None), _old_row("pretrained", "knn", None)])
    again = _result(60.0, source="pixels", correct=np.ones(40, bool))
    write_results(tmp_path, [again], {}, "abc")
    first, second = read_results(tmp_path).results
    assert (first.value, second.value) == (60.0, 50.0)  # in its old place
    assert first.correct.sum() == 40 and second.correct.sum() == 39
    assert "representation" not in (tmp_path / "results.json").read_text()


def test_a_row_that_no_version_wrote_is_refused_in_words(tmp_path):
    _write_old(tmp_path, [_old_row("my features", "knn", None)])
    with pytest.raises(UserError, match="'my features' cannot be read.*--mode=evaluate"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    "words", ["linear, 1 % of labels", "100 % of labels", "linear, 9 labels/class"]
)
def test_what_a_protocol_lacks_is_taken_from_the_words(words, tmp_path):
    _write_old(tmp_path, [_old_row("pretrained", words, None)])
    (result,) = read_results(tmp_path).results
    assert name_of(result) == words and result.correct.all()
