import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import top_k_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation import nearest as module
from keras_ssl.evaluation import rows as rows_module
from keras_ssl.evaluation.knn import knn_accuracy, knn_scores, knn_sweep, top_accuracy
from keras_ssl.evaluation.nearest import nearest_blocks, rows_at_a_time
from keras_ssl.evaluation.rows import Rows
from keras_ssl.layers.simplicial import simplicial_embedding


def _data(train=60, test=25, width=6, classes=5, dtype="float64", seed=0):
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(classes, width))
    labels = [generator.permutation(np.arange(count) % classes) for count in (train, test)]
    features = [
        (centres[label] + generator.normal(size=(len(label), width))).astype(dtype)
        for label in labels
    ]
    return features[0], labels[0], features[1], labels[1]


def _shares(scores):
    return scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 7, 60])
@pytest.mark.parametrize(
    "metric, weights",
    [
        ("cosine", lambda distance: np.exp((1 - distance) / 0.3)),
        ("euclidean", lambda distance: 1 / (distance + 1e-5)),
    ],
)
def test_scores_are_those_of_scikit_learn_with_the_same_votes(metric, weights, k):
    train, labels, test, _ = _data()
    theirs = KNeighborsClassifier(k, weights=weights, metric=metric, algorithm="brute")
    expected = theirs.fit(train, labels).predict_proba(test)
    settings = {"k": k, "temperature": 0.3, "num_classes": 5, "metric": metric}
    np.testing.assert_allclose(_shares(knn_scores(train, labels, test, **settings)), expected)


def test_a_hot_temperature_counts_votes_as_uniform_scikit_learn_does():
    train, labels, test, _ = _data()
    expected = KNeighborsClassifier(9, metric="cosine").fit(train, labels).predict_proba(test)
    scores = knn_scores(train, labels, test, k=9, temperature=1e9, num_classes=5)
    np.testing.assert_allclose(scores / 9, expected, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_blocked_equals_unblocked(metric, dtype):
    train, labels, test, _ = _data(dtype=dtype)
    settings = {"k": 5, "num_classes": 5, "metric": metric}
    whole = knn_scores(train, labels, test, block=len(test), **settings)
    assert whole.dtype == dtype
    for block in (1, 4, 100):
        blocked = knn_scores(train, labels, test, block=block, **settings)
        np.testing.assert_allclose(blocked, whole, rtol=1e-5 if dtype == "float32" else 1e-12)


def test_the_same_features_give_the_same_bits():
    data = _data(dtype="float32")
    first, second = (knn_scores(*data[:3], num_classes=5) for _ in range(2))
    assert np.array_equal(first, second)


def test_cosine_scores_ignore_the_length_of_rows():
    train, labels, test, _ = _data()
    lengths = np.random.default_rng(1).uniform(0.1, 10, (len(train), 1))
    expected = knn_scores(train, labels, test, num_classes=5)
    np.testing.assert_allclose(
        knn_scores(train * lengths, labels, test * 7, num_classes=5), expected
    )


def test_euclidean_scores_ignore_a_common_shift():
    train, labels, test, _ = _data()
    expected = knn_scores(train, labels, test, num_classes=5, metric="euclidean")
    shifted = knn_scores(train + 3, labels, test + 3, num_classes=5, metric="euclidean")
    np.testing.assert_allclose(shifted, expected, rtol=1e-9)


def test_a_copy_of_a_train_row_is_at_distance_zero_in_float32():
    train, labels, *_ = _data(dtype="float32")
    train += 1000
    scores = knn_scores(train, labels, train, k=1, num_classes=5, metric="euclidean")
    np.testing.assert_allclose(scores.max(axis=1), 1e5, rtol=1e-6)


def test_of_equally_near_rows_the_earlier_one_votes():
    scores = knn_scores(np.ones((6, 2)), [3, 1, 2, 0, 1, 2], np.ones((1, 2)), k=1, num_classes=4)
    assert scores.argmax() == 3


def test_top_accuracy_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    scores, labels = generator.normal(size=(40, 8)), generator.integers(0, 8, 40)
    for top in (1, 5):
        expected = 100 * top_k_accuracy_score(labels, scores, k=top, labels=range(8))
        assert top_accuracy(scores, labels, top) == pytest.approx(expected)


@pytest.mark.parametrize("error", [tf.errors.ResourceExhaustedError, tf.errors.InternalError])
def test_a_search_that_a_device_fails_is_done_on_the_host(error):
    tried = []

    def search(x):
        tried.append(x.device)
        if len(tried) == 1:
            raise error(None, None, "top_k")
        return x + 1

    with tf.device("CPU:1"):
        found = module._on_a_device(search, tf.constant([1.0]))
    assert found.numpy() == [2.0]
    assert tried[1].endswith("CPU:0")


def test_accuracies_come_with_the_settings_behind_them():
    result = knn_accuracy(*_data(), k=3, temperature=0.2)
    assert 20 < result.accuracy <= result.metrics["top5"] == 100
    assert result.protocol["k"] == 3 and result.protocol["temperature"] == 0.2
    assert "temperature" not in knn_accuracy(*_data(), metric="euclidean").protocol


def test_one_trace_serves_all_sizes_of_a_dtype():
    for train, test, width in ((20, 3, 4), (30, 9, 6), (41, 1, 2)):
        data = _data(train, test, width, dtype="float32")
        knn_scores(*data[:3], k=train // 4, num_classes=5)
    assert module._search("float32").experimental_get_tracing_count() == 1


def _changed(**changes):
    names = ("train", "train_labels", "test", "test_labels")
    return {**dict(zip(names, _data(), strict=True)), **changes}


def _broken(row, value):
    train = _data()[0]
    train[row] = value
    return train


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"k": 61}, "k=61 neighbors do not fit 60 train images"),
        ({"k": 0}, "k=0"),
        ({"train": _broken(3, 0)}, "1 of 60 train features are all zero"),
        ({"test": np.zeros((25, 6))}, "25 of 25 test features are all zero"),
        ({"train": _broken((5, 2), np.nan)}, "NaN or infinite values in 1 of 60 rows"),
        ({"test": np.zeros((25, 7))}, "Received 6 and 7"),
        ({"test": np.zeros((25, 2, 3))}, r"Received shape \(25, 2, 3\)"),
        ({"train_labels": np.zeros(60)}, "must be integers. Received dtype float64"),
        ({"train_labels": np.array(["cat"] * 60)}, "must be integers"),
        ({"train_labels": np.zeros(59, int)}, "one train label per image"),
        ({"test_labels": np.full(25, -1)}, "0 or more. Received -1"),
        ({"metric": "cosin"}, "Did you mean 'cosine'"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"temperature": 1e-4}, "must be finite in float64"),
        ({"num_classes": 3}, "num_classes=3 is too small for the train label 4"),
    ],
)
def test_a_mistake_is_answered_by_what_came(changes, message):
    with pytest.raises(UserError, match=message):
        knn_accuracy(**_changed(**changes))


def test_hits_are_the_images_that_accuracy_counts():
    result = knn_accuracy(*_data(), k=3)
    assert result.correct.dtype == bool
    assert 100 * result.correct.mean() == pytest.approx(result.accuracy)


SWEEP = {"neighbors": (3, 11, 40), "temperatures": (0.07, 0.5)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sweep_gives_what_each_setting_gives_alone(dtype):
    data = _data(width=3, dtype=dtype)
    results, left_out = knn_sweep(*data, **SWEEP)
    settings = [("cosine", k, {"temperature": t}) for k in (3, 11, 40) for t in (0.07, 0.5)]
    settings += [("euclidean", k, {}) for k in (3, 11, 40)]
    assert not left_out and len(results) == len(settings)
    assert len({one.accuracy for one in results}) > 2  # the settings matter
    for found, (metric, k, more) in zip(results, settings, strict=True):
        alone = knn_accuracy(*data, k=k, metric=metric, **more)
        assert found == alone
        assert np.array_equal(found.correct, alone.correct)


def test_a_sweep_searches_once_for_each_metric_and_in_blocks(monkeypatch):
    data, searched, search = _data(), [], module._ranked

    def counted(parts, *rest):
        searched.append(len(parts))
        return search(parts, *rest)

    whole, _ = knn_sweep(*data, **SWEEP)
    monkeypatch.setattr(module, "_ranked", counted)
    blocked, _ = knn_sweep(*data, **SWEEP, block=4)
    assert searched == [7, 7]
    assert [one.accuracy for one in blocked] == [one.accuracy for one in whole]


def test_more_neighbours_than_there_are_rows_are_left_out_with_a_reason():
    results, left_out = knn_sweep(*_data(), neighbors=(5, 61, 200), temperatures=(0.1,))
    assert [one.protocol["k"] for one in results] == [5, 5]
    assert left_out == [f"k={k}: there are 60 train images." for k in (61, 200)]
    assert knn_sweep(*_data(), neighbors=(61,))[0] == []


def test_a_sweep_refuses_what_a_single_setting_refuses():
    for wrong, message in (
        ({"temperatures": (0.1, 1e-4)}, "temperature=0.0001"),
        ({"neighbors": (5, 0)}, "k=0"),
        ({"metrics": ("euclid",)}, "Did you mean 'euclidean'"),
        ({"num_classes": 3}, "num_classes=3 is too small"),
    ):
        with pytest.raises(UserError, match=message):
            knn_sweep(*_data(), **{**SWEEP, **wrong})


@pytest.mark.parametrize("columns", [128, 2048, 65_000, 2**25])
@pytest.mark.parametrize("train_rows", [1437, 50_000, 1_281_167])
def test_similarities_to_a_block_of_train_rows_take_64_mib_at_most(train_rows, columns):
    rows, block = rows_at_a_time(train_rows, columns), max(1, 2**24 // columns)
    assert 1 <= rows <= 512 and rows * min(block, train_rows) <= 2**24


# Rows that are read in blocks.

SIZES = (4, 3)  # of simplices


def _stored(path, dtype="float32", **sizes):
    """What simplices are read from, in memory and on disk, and labels."""
    train, labels, test, test_labels = _data(width=12, dtype=dtype, **sizes)
    on_disk = []
    for name, part in (("train", train), ("test", test)):
        np.save(path / f"{name}.npy", part)
        on_disk.append(np.load(path / f"{name}.npy", mmap_mode="r"))
    return (train, test), on_disk, (labels, test_labels)


def _read(tau):
    return lambda features: simplicial_embedding(features, *SIZES, tau)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of seven train rows and of at most four test rows."""
    monkeypatch.setattr(rows_module, "BLOCK_VALUES", 7 * 12)
    monkeypatch.setattr(module, "_TEST_ROWS", 4)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("tau", [0, 0.1, 1])
def test_rows_beyond_the_memory_give_every_bit_of_those_within(tau, metric, tmp_path, small_blocks):
    (train, test), on_disk, (labels, test_labels) = _stored(tmp_path)
    settings = {"k": 9, "metric": metric}
    found = []
    for memory, parts in ((float("inf"), (train, test)), (1, on_disk), (1000, on_disk)):
        rows = [Rows(part, _read(tau), memory=memory) for part in parts]
        held = [one.held() for one in rows]
        for one in (rows, held):
            scores = knn_scores(one[0], labels, one[1], num_classes=5, **settings)
            accuracy = knn_accuracy(one[0], labels, one[1], test_labels, **settings)
            found.append((scores, accuracy.correct))
    for scores, correct in found:
        np.testing.assert_array_equal(scores, found[0][0])
        np.testing.assert_array_equal(correct, found[0][1])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_blocks_give_the_neighbours_of_sorting(metric, small_blocks):
    train, _, test, _ = _data()
    unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (train, test)]
    expected = unit[1] @ unit[0].T
    if metric == "euclidean":
        expected = np.linalg.norm(test[:, None] - train, axis=2)
    order = np.argsort(expected if metric == "euclidean" else -expected, axis=1)[:, :20]
    for rows, values, nearest in nearest_blocks(train, test, 20, metric):
        assert len(nearest) <= 4
        np.testing.assert_array_equal(nearest, order[rows])
        np.testing.assert_allclose(values, np.take_along_axis(expected, order, 1)[rows])


def test_equally_near_rows_of_several_blocks_come_in_their_order(small_blocks):
    for metric in ("cosine", "euclidean"):
        ((_, _, nearest),) = nearest_blocks(np.ones((40, 12)), np.ones((1, 12)), 30, metric)
        assert nearest.tolist() == [list(range(30))]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_codes_give_what_their_one_hot_vectors_give(metric, tmp_path, small_blocks):
    (train, test), _, _ = _stored(tmp_path, train=90)
    read, codes = _read(0), lambda x: tf.argmax(tf.reshape(x, (-1, *SIZES)), axis=-1)
    by_codes = [Rows(part, read, codes=codes) for part in (train, test)]
    one_hot = [np.asarray(rows) for rows in by_codes]
    equal = one_hot[1] @ one_hot[0].T
    order = np.argsort(-equal, axis=1, kind="stable")[:, :50]  # many are equally near
    near = np.take_along_axis(equal, order, axis=1)
    expected = near / 4 if metric == "cosine" else np.sqrt(2 * (4 - near))
    for rows, values, nearest in nearest_blocks(*by_codes, 50, metric):
        np.testing.assert_array_equal(nearest, order[rows])
        np.testing.assert_allclose(values, expected[rows], atol=1e-6)
    some = by_codes[0].take(np.arange(1, 30))
    ((_, _, nearest),) = nearest_blocks(some, by_codes[0].take(np.arange(5, 6)), 1, metric)
    np.testing.assert_array_equal(some[nearest[0]], one_hot[0][5:6])


def test_what_is_read_as_no_number_is_refused():
    rows = Rows(np.ones((3, 2), "float32"), lambda x: x / 0)
    with pytest.raises(UserError, match="test features are not finite"):
        knn_scores(np.ones((3, 2), "float32"), [0, 1, 2], rows, k=1, num_classes=3)


def test_rows_of_zeros_are_counted_over_all_blocks(small_blocks):
    train, labels, test, _ = _data()
    train[[2, 30, 59]] = 0
    with pytest.raises(UserError, match="3 of 60 train features are all zero.*'euclidean'"):
        knn_scores(Rows(train), labels, test, k=1, num_classes=5)
