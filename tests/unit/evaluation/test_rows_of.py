from dataclasses import replace

import numpy as np
import pytest

from keras_ssl.evaluation.clustering import cluster_agreement
from keras_ssl.evaluation.hits import read_hits, row_key, write_hits
from keras_ssl.evaluation.knn import knn_accuracy, knn_sweep
from keras_ssl.evaluation.probes.linear import linear_probe_few
from keras_ssl.evaluation.probes.sgd import PROBES, probe_grid
from keras_ssl.evaluation.robustness import corruption_accuracy
from keras_ssl.evaluation.rows import format_table
from keras_ssl.evaluation.rows_of import (
    accuracy_rows,
    cluster_rows,
    corruption_rows,
    grid_rows,
    sweep_rows,
)


def _data(seed=0):
    draw = np.random.default_rng(seed)
    labels = [np.arange(count) % 3 for count in (60, 30)]
    train, test = (np.eye(3, 5)[y] + 0.7 * draw.normal(size=(len(y), 5)) for y in labels)
    return train, labels[0], test, labels[1]


def _all_rows():
    data = _data()
    protocol = replace(PROBES["sem_sgd"], epochs=2, batch_size=20)
    corrupted = [(name, s, np.full(30, s)) for name in ("fog", "snow") for s in (1, 2)]
    broken = corruption_accuracy(lambda x: data[3] * (x == 1), data[3], corrupted)
    few = linear_probe_few(*data, per_class=4, subsets=2)
    return [
        *accuracy_rows(knn_accuracy(*data, k=5), "pretrained", "knn", "blobs"),
        *accuracy_rows(few, "pretrained", "few", "blobs"),
        *sweep_rows(knn_sweep(*data, neighbors=(5, 9))[0], "pretrained", "blobs"),
        *grid_rows(probe_grid(*data, protocol=protocol, seeds=(0, 1)), "sem_sgd", "blobs"),
        *cluster_rows(cluster_agreement(data[3], data[3]), "pretrained", "argmax", "blobs"),
        *corruption_rows(broken, "pretrained", "blobs", {"k": 5}, each=True),
    ]


def test_hits_of_every_accuracy_have_its_mean(tmp_path):
    pairs = _all_rows()
    for row, hits in pairs:
        if row.metric == "accuracy":
            assert 100 * np.mean(hits) == pytest.approx(row.value), row
        else:
            assert hits is None
    known = [pair for pair in pairs if pair[1] is not None]
    write_hits(tmp_path / "results.npz", known, "same")
    hits, _ = read_hits(tmp_path / "results.npz")
    assert set(hits) == {row_key(row) for row, _ in known}


def test_rows_carry_deviations_and_stand_in_columns_of_their_own():
    rows = [row for row, _ in _all_rows()]
    assert {row.task for row in rows if row.std is not None} == {"few", "linear, sem_sgd"}
    heading = format_table(rows).splitlines()[0]
    for column in ("knn", "linear, sem_sgd top5", "argmax nmi", "corrupted", "fog", "snow"):
        assert column in heading


def test_a_corruption_has_the_hits_of_its_own_severities():
    rows = {row.task: hits for row, hits in _all_rows() if row.task in ("corrupted", "fog", "snow")}
    assert [len(rows[name]) for name in ("corrupted", "fog", "snow")] == [4, 2, 2]
    assert np.array_equal(rows["corrupted"], np.concatenate([rows["fog"], rows["snow"]]))


def test_a_row_of_a_sweep_says_its_setting():
    results, _ = knn_sweep(*_data(), neighbors=(5,), temperatures=(0.07, 0.1))
    tasks = [row.task for row, _ in sweep_rows(results, "pretrained", "blobs")]
    assert tasks == ["knn k=5 T=0.07", "knn k=5 T=0.1", "knn k=5 euclidean"]
