"""Words of tables are made from fields, and numbers share a column only if they can be compared."""

from dataclasses import replace

from keras_ssl.evaluation.results import Result
from keras_ssl.evaluation.tables import (
    format_table,
    format_tables,
    format_transfer,
    representation_name,
    task_name,
)

PIXELS, TAU = ("pixels", None, None), ("pretrained", "simplices", 0.1)


def _result(representation, task, value, *, metric="accuracy", std=None, **protocol):
    return Result(*representation, task, metric, value, "digits", "test", protocol, std)


RESULTS = [
    _result(PIXELS, "knn", 98.61, k=20),
    _result(PIXELS, "few labels", 87.24, std=1.06, per_class=10),
    _result(TAU, "knn", 99.0, k=20),
]


def test_a_table_has_a_line_for_each_representation_and_a_column_for_each_task():
    assert format_table(RESULTS).splitlines() == [
        "representation              knn  linear, 10 labels/class",
        "raw pixels                 98.6                87.2 ±1.1",
        "pretrained, SEM tau_d=0.1  99.0                        -",
    ]


def test_a_markdown_table_has_the_same_cells():
    assert format_table(RESULTS, markdown=True).splitlines() == [
        "| representation | knn | linear, 10 labels/class |",
        "| --- | ---: | ---: |",
        "| raw pixels | 98.6 | 87.2 ±1.1 |",
        "| pretrained, SEM tau_d=0.1 | 99.0 | - |",
    ]


def test_numbers_of_different_protocols_never_share_a_column():
    table = format_table([_result(PIXELS, "knn", 90.0, k=20), _result(TAU, "knn", 91.0, k=5)])
    heading, first, second = table.splitlines()
    assert heading.count("knn digits/test [") == 2
    assert first.split()[-2:] == ["90.0", "-"] and second.split()[-2:] == ["-", "91.0"]


def test_other_metrics_are_named_in_the_heading():
    table = format_table(
        [_result(PIXELS, "adam", 9.0), _result(PIXELS, "adam", 99.0, metric="top5")]
    )
    heading = "representation  linear, adam  linear, adam top5"
    assert table.splitlines()[0] == heading


def test_representations_are_named_after_source_readout_and_tau():
    names = {
        PIXELS: "raw pixels",
        ("random", "backbone", None): "random weights",
        ("pretrained", None, None): "pretrained",
        ("pretrained", "random codes", None): "pretrained, random codes",
        TAU: "pretrained, SEM tau_d=0.1",
        ("fine-tuned", None, None): "pretrained, fine-tuned",
        ("scratch", "simplices", 1.0): "from scratch, SEM tau_d=1",
    }
    assert {one: representation_name(*one) for one in names} == names


def test_tasks_are_named_after_their_protocols():
    knn = {"k": 5, "metric": "cosine", "temperature": 0.07, "classifier": "weighted knn"}
    names = [
        ("knn", knn, "knn"),
        ("knn sweep", knn, "knn k=5 T=0.07"),
        ("knn sweep", {"k": 5, "metric": "euclidean"}, "knn k=5 euclidean"),
        ("label fraction", {"share": 0.01}, "linear, 1 % of labels"),
        ("finetune", {"share": 1.0}, "100 % of labels"),
        ("shifted linear", {}, "linear, other"),
        ("sem_sgd", {}, "linear, sem_sgd"),
    ]
    for task, protocol, name in names:
        assert task_name(task, protocol, "npz:/x/other.npz") == name


def test_clusters_of_other_numbers_have_lines_of_their_own():
    rows = [_result(PIXELS, "k-means", float(k), metric="nmi", k=k) for k in (10, 50)]
    rows += [_result(PIXELS, "knn", 5.0, k=20), _result(PIXELS, "linear", None)]
    first, second = format_tables(rows).split("\n\n")
    assert "knn" in first and "k-means" not in first and "linear" not in first
    assert [line.split()[-2:] for line in second.splitlines()[1:]] == [
        ["10", "10.0"],
        ["50", "50.0"],
    ]


def _transfer(representation, dataset, value):
    return Result(*representation, "transfer", "accuracy", value, dataset, "test", {})


def test_the_mean_is_of_all_data_sets_or_none():
    results = [_transfer(PIXELS, "x", 10.0), _transfer(PIXELS, "npz:/1/y.npz", 21.0)]
    results.append(_transfer(TAU, "x", 30.0))
    assert format_transfer(results).splitlines() == [
        "representation                x     y  mean",
        "raw pixels                 10.0  21.0  15.5",
        "pretrained, SEM tau_d=0.1  30.0     -     -",
    ]


def test_the_mean_of_transfer_is_of_accuracies_alone():
    results = [_transfer(PIXELS, "x", 10.0), _transfer(PIXELS, "y", 21.0)]
    results.insert(1, replace(results[0], metric="top5", value=90.0))
    assert format_transfer(results).splitlines() == [
        "representation     x  x top5     y  mean",
        "raw pixels      10.0    90.0  21.0  15.5",
    ]


def test_data_sets_of_one_file_name_keep_their_paths_in_the_heading():
    results = [_transfer(PIXELS, f"npz:/{i}/y.npz", 10.0) for i in (1, 2)]
    heading = format_transfer(results).splitlines()[0]
    assert heading.split()[1:] == ["npz:/1/y.npz", "npz:/2/y.npz", "mean"]


def test_fine_tuning_is_called_by_its_labels():
    assert task_name("finetune", {"share": 0.1}, "a") == "10 % of labels"
    assert task_name("finetune", {"labels_per_class": 40}, "a") == "40 labels/class"
