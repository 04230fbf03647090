import numpy as np

from keras_ssl.evaluation.rows import format_table
from keras_ssl.evaluation.table import evaluate_features


def _features(seed, count):
    labels = np.arange(count) % 3
    noise = np.random.default_rng(seed).normal(size=(count, 5))
    return (np.eye(3, 5)[labels] + 0.1 * noise).astype("float32"), labels


def test_representations_of_the_same_data_share_the_columns_of_one_table():
    data = (*_features(0, 30), *_features(1, 12))
    rows = []
    for name in ("raw pixels", "pretrained"):
        more, left_out = evaluate_features(name, *data, dataset="blobs", k=5, per_class=4)
        assert not left_out
        rows += [row for row, _ in more]
        assert all(hits.all() and hits.shape[-1] == 12 for _, hits in more)
    heading, *lines = format_table(rows).splitlines()
    assert heading.split() == ["representation", "knn", "linear", "linear,", "4", "labels/class"]
    assert [line.split()[-4:] for line in lines] == [["100.0", "100.0", "100.0", "±0.0"]] * 2


def test_a_task_that_the_data_do_not_allow_is_left_out_with_its_reason():
    data = (*_features(0, 30), *_features(1, 12))
    rows, left_out = evaluate_features("pretrained", *data, dataset="blobs", k=5, per_class=11)
    assert [row.task for row, _ in rows] == ["knn", "linear"]
    assert len(left_out) == 1 and "per_class=11" in left_out[0]
