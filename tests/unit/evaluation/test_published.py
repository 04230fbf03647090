"""Measured numbers next to printed ones of the same kind."""

import dataclasses

import pytest

from keras_ssl.core.published import Published
from keras_ssl.evaluation.published import Target, pairs, same_kind
from keras_ssl.evaluation.results import Result, write_results
from keras_ssl.evaluation.tables import format_published, write_tables

SOFT = Published("73.9", "SEM, table 1", "sem_sgd", tau=0.1, std="0.2")
PLAIN = Published("70.7", "SEM, table 1", "sem_sgd")
TARGET = Target((SOFT, PLAIN), "cifar100", augmented=True)


def result(**fields):
    what = {
        "source": "pretrained",
        "readout": "simplices",
        "tau": 0.1,
        "task": "sem_sgd",
        "metric": "accuracy",
        "value": 71.0,
        "dataset": "cifar100",
        "split": "test",
        "protocol": {"view": {"flip": 0.5}},
    }
    return Result(**{**what, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"tau": 1.0},
        {"readout": "backbone", "tau": None},
        {"task": "lars"},
        {"metric": "top5"},
        {"dataset": "cifar10"},
        {"dataset": "cifar100#coarse_label"},
        {"source": "random"},
        {"value": None},
    ],
)
def test_only_a_result_of_the_same_kind_is_compared(fields):
    assert same_kind(SOFT, result(), TARGET)
    assert same_kind(SOFT, result(dataset="cifar100:3.0.2"), TARGET)
    assert not same_kind(SOFT, result(**fields), TARGET)


def test_the_backbone_of_a_network_without_a_neck_is_its_output():
    for readout in (None, "backbone"):
        assert same_kind(PLAIN, result(readout=readout, tau=None), TARGET)
    assert not same_kind(PLAIN, result(), TARGET)


def test_a_probe_on_augmented_images_is_not_one_on_cached_features():
    cached, augmented = result(protocol={}), result()
    target = dataclasses.replace(TARGET, augmented=False)
    assert same_kind(SOFT, cached, target) and not same_kind(SOFT, augmented, target)
    assert same_kind(SOFT, augmented, TARGET) and not same_kind(SOFT, cached, TARGET)


def test_fine_tuning_is_compared_at_its_share_of_the_labels():
    share = {"share": 0.01}
    printed = Published("56.7", "SEM, table 5", "finetune", tau=1.0, protocol=share)
    tuned = {"source": "fine-tuned", "task": "finetune", "tau": 1.0}
    assert same_kind(printed, result(**tuned, protocol={"share": 0.01}), TARGET)
    assert not same_kind(printed, result(**tuned, protocol={"share": 0.1}), TARGET)
    chosen = Published("56.7", "SEM, table 5", "finetune", readout="simplices", protocol=share)
    assert same_kind(chosen, result(**tuned, protocol={"share": 0.01}), TARGET)


def test_parts_of_a_data_set_are_told_apart_where_the_print_does():
    printed = Published("56.7", "SEM, table 5", dataset="imagenet2012_subset/1pct", tau=0.1)
    there = {"task": "linear", "dataset": "imagenet2012_subset/1pct:5.0.0"}
    assert same_kind(printed, result(**there), TARGET)
    assert not same_kind(printed, result(**{**there, "dataset": "imagenet2012_subset"}), TARGET)
    shifted = Published("61.2", "SEM, table 3", "shifted probe", dataset="imagenet_v2", tau=0.1)
    own = result(task="shifted probe", dataset="imagenet_v2/matched-frequency:3.0.0")
    assert same_kind(shifted, own, TARGET)
    assert not same_kind(shifted, own, dataclasses.replace(TARGET, measured=["a=1"]))


def test_other_data_are_shown_only_where_they_were_measured():
    printed = Published("78.6", "SEM, table 4", "transfer", tau=0.0, dataset="cifar100")
    target = Target((SOFT, printed), "imagenet2012", augmented=True)
    assert pairs(target, []) == [(SOFT, None)]
    there = result(task="transfer", tau=0.0)
    assert pairs(target, [there]) == [(SOFT, None), (printed, there)]


def test_a_table_has_the_measured_next_to_the_printed_and_says_where_they_differ():
    target = dataclasses.replace(
        TARGET, differ=["training.epochs=1000"], measured=["evaluation.probe=sem_sgd"]
    )
    lines = format_published([result()], target).splitlines()
    assert lines[1].startswith("linear, sem_sgd  pretrained, SEM tau_d=0.1")
    assert lines[1].split()[-6:] == ["SEM,", "table", "1", "71.0", "73.9", "±0.2"]
    assert lines[2].split()[-5:] == ["SEM,", "table", "1", "-", "70.7"]
    assert lines[3] == "Published for training.epochs=1000, not for this run."
    assert lines[4] == "Measured with evaluation.probe=sem_sgd, which this run has otherwise."
    assert len(format_published([result()], TARGET).splitlines()) == 3


def test_results_md_ends_with_what_is_published(tmp_path):
    write_results(tmp_path, [result()], {})
    write_tables(tmp_path)
    alone = (tmp_path / "results.md").read_text(encoding="utf-8")
    write_tables(tmp_path, TARGET)
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert text.startswith(alone.rstrip()) and "| SEM, table 1 | 71.0 | 73.9 ±0.2 |" in text
