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


def test_a_sweep_and_shares_add_rows_of_their_own():
    data = (*_features(0, 30), *_features(1, 12))
    settings = {"dataset": "blobs", "k": 5, "per_class": 4}
    plain, _ = evaluate_features("pretrained", *data, **settings)
    pairs, left_out = evaluate_features(
        "pretrained", *data, shares=(0.01, 0.5), sweep=True, **settings
    )
    swept = [f"knn k={k} {how}" for how in ("T=0.07", "T=0.1", "euclidean") for k in (5, 20)]
    shares = ["linear, 1 % of labels", "linear, 50 % of labels"]
    assert {row.task for row, _ in pairs[len(plain) :]} == {*swept, *shares}
    assert [row for row, _ in pairs[: len(plain)]] == [row for row, _ in plain]
    assert left_out == [
        f"knn, {metric}, k=200: there are 30 train images." for metric in ("cosine", "euclidean")
    ]
    assert all(hits.shape[-1] == 12 for _, hits in pairs)


def test_features_without_a_direction_still_have_distances():
    train, *rest = (*_features(0, 30), *_features(1, 12))
    train[3] = 0
    pairs, left_out = evaluate_features("pretrained", train, *rest, dataset="blobs", sweep=True)
    assert "knn k=5 euclidean" in [row.task for row, _ in pairs]
    assert any(why.startswith("knn, cosine: 1 of 30 train features") for why in left_out)
