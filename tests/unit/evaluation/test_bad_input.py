"""Every measure of features, codes or clusters against every fault of what it is given."""

import inspect
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.clustering import cluster_agreement, code_agreement, kmeans_agreement
from keras_ssl.evaluation.finetuning import finetune
from keras_ssl.evaluation.knn import knn_accuracy, knn_scores, knn_sweep
from keras_ssl.evaluation.probes.linear import (
    linear_probe,
    linear_probe_few,
    linear_probe_share,
    standardize,
)
from keras_ssl.evaluation.probes.sgd import ProbeProtocol, probe_grid
from keras_ssl.evaluation.probes.transfer import codes_probe, dense_probe
from keras_ssl.evaluation.robustness import corruption_accuracy
from keras_ssl.evaluation.splits import few_labels, label_subset, stratified_parts
from keras_ssl.evaluation.validation import unit_rows
from keras_ssl.training.online import OnlineEvaluation, OnlineLinearProbe, online_knn
from tests.blobs import blobs

PROTOCOL = ProbeProtocol("a test", "sgd", (0.5, 0.1), epochs=2, batch_size=16)
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 2, 2, 1), "uint8")

TRAIN, LABELS, TEST, TEST_LABELS = blobs(train=30, test=15, spread=0.5)
GOOD = {"train": TRAIN, "train_labels": LABELS, "test": TEST, "test_labels": TEST_LABELS}
CODES = {**GOOD, "train": (TRAIN > 0).astype("uint8"), "test": (TEST > 0).astype("uint8")}


def _online(train_labels, test_labels, k=20):
    encode = lambda images, training: images[:, 0, :, 0]  # noqa: E731
    data = (IMAGES, train_labels, IMAGES[:15], test_labels)
    probes = {"knn": online_knn(k), "linear": OnlineLinearProbe()}
    return OnlineEvaluation(encode, lambda images: images, *data, probes=probes)


def _corrupted(test_labels, answer=0):
    predict = partial(np.full, (15,), answer)
    return corruption_accuracy(lambda _: predict(), test_labels, [("fog", 1, IMAGES[:15])])


def _finetuned(train_labels, test_labels):
    return finetune(
        None, IMAGES, train_labels, IMAGES[:15], test_labels, views=None, preprocess=None
    )


# By parameter names: a measure reads those of the four parts that it asks for.
OF_FEATURES = {
    "knn_accuracy": partial(knn_accuracy, k=5),
    "knn_scores": partial(knn_scores, k=5, num_classes=3),
    "knn_sweep": partial(knn_sweep, neighbors=(1, 5)),
    "linear_probe": linear_probe,
    "linear_probe_few": partial(linear_probe_few, per_class=2, subsets=2),
    "linear_probe_share": partial(linear_probe_share, share=0.3, subsets=2),
    "probe_grid": partial(probe_grid, protocol=PROTOCOL),
    "dense_probe": partial(dense_probe, strengths=3),
    "kmeans_agreement": lambda train, train_labels: kmeans_agreement(train, train_labels),
}
OF_CODES = {
    "codes_probe": partial(codes_probe, simplex_size=2, strengths=3),
    "code_agreement": lambda train, train_labels: code_agreement(train, train_labels),
}
OF_LABELS = {
    "few_labels": lambda train_labels: few_labels(train_labels, 2),
    "cluster_agreement": lambda train_labels: cluster_agreement(LABELS, train_labels),
    "cluster_agreement, clusters": lambda train_labels: cluster_agreement(train_labels, LABELS),
    "corruption_accuracy": _corrupted,
    "OnlineEvaluation": _online,
    "finetune": _finetuned,
}
MEASURES = OF_FEATURES | OF_CODES | OF_LABELS


def _reads(name, part):
    return part in inspect.signature(MEASURES[name]).parameters


def _measured(name, **changes):
    parts = {**(CODES if name in OF_CODES else GOOD), **changes}
    return MEASURES[name](**{part: value for part, value in parts.items() if _reads(name, part)})


def _pairs(measures, parts):
    return [(name, part) for name in measures for part in parts if _reads(name, part)]


@pytest.mark.parametrize("name", [name for name in MEASURES if name != "finetune"])
def test_what_is_spoiled_below_is_good_to_begin_with(name):
    _measured(name)


LABEL_FAULTS = {
    "whole floats": (lambda y: y.astype(float), "integers. Received dtype float64: number the"),
    "halves": (lambda y: y + 0.5, "integers. Received dtype float64: number the classes from 0"),
    "strings": (lambda y: np.array(list("abc"))[y], "Received dtype <U1: number the classes"),
    "booleans": (lambda y: y > 0, "integers. Received dtype bool: number the classes from 0"),
    "None": (lambda y: None, "integers. Received dtype object: number the classes from 0"),
    "negative": (lambda y: y - 1, "0 or more. Received -1: leave images without a label out"),
    "wrapped": (lambda y: (y - 1).astype("uint64"), "0 or more. Received -1: leave images"),
    "too few": (lambda y: y[:-1], r"one \w+ label per image. Received \d+ images and .*: give"),
    "a column": (lambda y: y[:, None], r"Received labels of shape \(\d+, 1\): give a vector"),
    "one-hot": (lambda y: np.eye(3, dtype=int)[y], r"shape \(\d+, 3\): .* one-hot labels the arg"),
    "a scalar": (lambda y: 1, r"Received labels of shape \(\): give a vector"),
    "none": (lambda y: y[:0], r"There are no \w+ labels: give one integer for each image"),
    "an empty list": (lambda y: [], r"There are no \w+ labels: give one integer for each image"),
    "ragged": (lambda y: [[1], [2, 3]], "labels must be an array. Received list .*: give each"),
}


NO_FAULT = {
    ("few_labels", "too few"),  # it has nothing to count them by
    ("OnlineEvaluation", "None"),  # measures without labels
}
LABEL_CASES = [
    (name, part, fault)
    for name, part in _pairs(MEASURES, ("train_labels", "test_labels"))
    for fault in LABEL_FAULTS
    if (name, fault) not in NO_FAULT
]


@pytest.mark.parametrize("name, part, fault", LABEL_CASES)
def test_wrong_labels_are_answered_by_what_came_and_what_to_do(name, part, fault):
    spoil, message = LABEL_FAULTS[fault]
    with pytest.raises(UserError, match=message):
        _measured(name, **{part: spoil(GOOD[part])})


def _with(value):
    def spoil(features):
        features = features.copy()
        features[2, 1] = value
        return features

    return spoil


FEATURE_FAULTS = {
    "1-D": (lambda x: x[:, 0], r"matrix .* shape \(\d+,\): flatten or pool"),
    "4-D": (lambda x: x.reshape(-1, 2, 2, 2), r"shape \(\d+, 2, 2, 2\): flatten or pool"),
    "no images": (lambda x: x[:0], r"non-empty matrix .* shape \(0, 8\)"),
    "no columns": (lambda x: x[:, :0], r"non-empty matrix .* shape \(\d+, 0\)"),
    "an empty list": (lambda x: [], r"non-empty matrix .* shape \(0,\)"),
    "NaN": (_with(np.nan), r"NaN or infinite values in 1 of \d+ rows: .* \(lower the learning"),
    "infinite": (_with(np.inf), r"NaN or infinite values in 1 of \d+ rows"),
    "-infinite": (_with(-np.inf), r"NaN or infinite values in 1 of \d+ rows"),
    "too large": (_with(-1e25), r"reach 1.0e\+25, too large for .* float32: the encoder diverged"),
    "strings": (lambda x: x.astype(str), "real numbers. Received dtype <U32: give them as the"),
    "objects": (lambda x: x.astype(object), "real numbers. Received dtype object: give them as"),
    "complex": (lambda x: 1j * x, "real numbers. Received dtype complex64: give them as"),
    "ragged": (lambda x: [[1.0], [2.0, 3.0]], "features must be an array. Received list"),
    "all zero": (lambda x: 0 * x, r"(\d+) of \1 .*features are all zero.*: the encoder collapsed"),
}


@pytest.mark.parametrize("fault", FEATURE_FAULTS)
@pytest.mark.parametrize("name, part", _pairs(OF_FEATURES, ("train", "test")))
def test_wrong_features_are_answered_by_what_came_and_what_to_do(name, part, fault):
    spoil, message = FEATURE_FAULTS[fault]
    with pytest.raises(UserError, match=message) as caught:
        _measured(name, **{part: spoil(GOOD[part])})
    assert name == "kmeans_agreement" or part in str(caught.value)


CODE_FAULTS = {
    "1-D": (lambda x: x[:, 0], r"non-empty matrix \(images, simplices\). Received shape \(\d+,\)"),
    "no images": (lambda x: x[:0], r"non-empty matrix .* shape \(0, 8\)"),
    "floats": (lambda x: x.astype(float), r"integers. Received dtype float64: read them with"),
    "NaN": (lambda x: x * np.nan, r"integers. Received dtype float.*: read them with codes_of"),
    "strings": (lambda x: x.astype(str), r"integers. Received dtype <U.*: read them with codes_of"),
    "booleans": (lambda x: x > 0, r"integers. Received dtype bool: read them with codes_of"),
    "negative": (lambda x: x.astype(int) - 1, r"Received -1"),
}


@pytest.mark.parametrize("fault", CODE_FAULTS)
@pytest.mark.parametrize("name, part", _pairs(OF_CODES, ("train", "test")))
def test_wrong_codes_are_answered_by_what_came(name, part, fault):
    spoil, message = CODE_FAULTS[fault]
    with pytest.raises(UserError, match=message):
        _measured(name, **{part: spoil(CODES[part])})


WITH_TEST = [name for name in OF_FEATURES | OF_CODES if _reads(name, "test")]


@pytest.mark.parametrize("name", WITH_TEST)
def test_parts_of_different_width_are_refused(name):
    wide = np.ones((15, 9), "uint8" if name in OF_CODES else "float32")
    with pytest.raises(UserError, match="the same .* Received 8 and 9: .* the same encoder"):
        _measured(name, test=wide)


@pytest.mark.parametrize(
    "probe, options", [(linear_probe_few, {"per_class": 2}), (linear_probe_share, {"share": 0.3})]
)
def test_no_subset_of_labels_is_refused(probe, options):
    with pytest.raises(UserError, match="subsets=0 leaves nothing to fit: use 1 or more"):
        probe(**GOOD, **options, subsets=0)


def test_numbers_that_only_float64_holds_are_too_large_for_a_measure_in_float32():
    train = TRAIN.astype("float64")
    assert knn_accuracy(1e60 * train, LABELS, TEST, TEST_LABELS, k=5).accuracy == 100
    with pytest.raises(UserError, match="too large for distances in float32|infinite values in 30"):
        probe_grid(1e60 * train, LABELS, TEST, TEST_LABELS, protocol=PROTOCOL)


def test_rows_of_any_finite_length_have_a_direction():
    rows = np.array([[3e-30, 4e-30], [3e18, -4e18], [0.6, 0.8]], "float32")
    expected = np.array([[0.6, 0.8], [0.6, -0.8], [0.6, 0.8]])
    np.testing.assert_allclose(unit_rows(rows, "rows", "nothing"), expected, rtol=1e-6)
    plain = TRAIN / np.linalg.norm(TRAIN, axis=1, keepdims=True)
    assert np.array_equal(unit_rows(TRAIN, "rows", "nothing"), plain)


# Classes that are missing, or have one image


def _without_class(part, last=2):
    keep = GOOD[f"{part}_labels"] != last
    names = (part, f"{part}_labels")
    return lambda name: {n: (CODES if name in OF_CODES else GOOD)[n][keep] for n in names}


def _one_of_each(name):
    rows = [int(np.argmax(c == LABELS)) for c in range(3)]
    parts = CODES if name in OF_CODES else GOOD
    return {part: parts[part][rows] for part in ("train", "train_labels")}


def _one_class(_):
    return {"train_labels": 0 * LABELS, "test_labels": 0 * TEST_LABELS}


PROBES = ("linear_probe", "linear_probe_few", "linear_probe_share", "dense_probe", "codes_probe")
UNTRAINED = "classes without a train image: 2. Leave these images out, or label some"
GRID_SAYS = "Train and test must have the same classes: leave the others out"
CLASS_FAULTS = [
    *((name, _without_class("train"), UNTRAINED) for name in PROBES),
    ("probe_grid", _without_class("train"), f"without a train image: 2. {GRID_SAYS}"),
    ("probe_grid", _without_class("test"), f"without a test image: 2. {GRID_SAYS}"),
    *((name, _one_class, "two classes or more .* Received 1 classes") for name in PROBES),
    ("probe_grid", _one_class, "two classes or more. Received only class 0: label images of"),
    ("kmeans_agreement", _one_class, "clusters=1 does not fit 30 images of 1 classes: use 2"),
    *((name, _one_of_each, "two train images of each.* 1 images of class 0: ") for name in PROBES),
    ("probe_grid", _one_of_each, "Class 0 has a single train image: .* Take a protocol with one"),
    ("few_labels", _one_of_each, "per_class=2 .* class 0 has 1 train images, so use 1 to 1"),
    ("knn_accuracy", _one_of_each, "k=5 neighbors do not fit 3 train images: use 1 to 3"),
    ("knn_scores", _one_of_each, "k=5 neighbors do not fit 3 train images: use 1 to 3"),
]


@pytest.mark.parametrize("name, changes, message", CLASS_FAULTS)
def test_classes_that_a_measure_cannot_learn_are_refused(name, changes, message):
    with pytest.raises(UserError, match=message):
        _measured(name, **changes(name))


def _votes(train, labels, test, k, temperature=0.07):
    """Weighted k-NN in a loop."""
    train, test = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, test))
    scores = np.zeros((len(test), 3))
    for i, row in enumerate(test):
        nearest = np.argsort(-(train @ row))[:k]
        np.add.at(scores[i], labels[nearest], np.exp(train[nearest] @ row / temperature))
    return scores


@pytest.mark.parametrize("part", ["train", "test"])
def test_neighbours_do_not_need_every_class_in_both_parts(part):
    parts = {**GOOD, **_without_class(part)(None)}
    expected = _votes(parts["train"], parts["train_labels"], parts["test"], 5)
    result = _measured("knn_accuracy", **parts)
    assert np.array_equal(result.correct[0], expected.argmax(axis=1) == parts["test_labels"])
    assert result.accuracy == pytest.approx(100 * result.correct.mean())
    np.testing.assert_allclose(_measured("knn_scores", **parts), expected, rtol=1e-4)
    assert part == "test" or not expected[:, 2].any()


def test_neighbours_of_one_class_only_are_all_right():
    assert _measured("knn_accuracy", **_one_class(None)).accuracy == 100


def test_the_neighbour_is_the_only_image_of_its_class():
    few = _one_of_each("knn_accuracy")
    distances = np.linalg.norm(TEST[:, None] - few["train"], axis=2)
    expected = few["train_labels"][distances.argmin(axis=1)]
    result = knn_accuracy(**{**GOOD, **few}, k=1, metric="euclidean")
    assert np.array_equal(result.correct[0], expected == TEST_LABELS)


def _by_scikit_learn(train, labels, test, c):
    return LogisticRegression(C=c, tol=1e-6, max_iter=2000).fit(train, labels).predict(test)


@pytest.mark.parametrize("name", PROBES)
def test_a_class_without_a_test_image_is_learned_all_the_same(name):
    parts = {**(CODES if name in OF_CODES else GOOD), **_without_class("test")(name)}
    train, labels, test, test_labels = parts.values()
    result = _measured(name, **parts)
    if name == "codes_probe":
        train, test = (np.eye(2)[x].reshape(len(x), -1) for x in (train, test))
    if name.startswith("linear"):
        train, test = standardize(train, test)
    subsets = {
        "linear_probe_few": lambda: [few_labels(labels, 2, seed) for seed in (0, 1)],
        "linear_probe_share": lambda: [label_subset(labels, 0.3, seed) for seed in (0, 1)],
    }.get(name, lambda: [np.arange(len(labels))])()
    answers = [
        _by_scikit_learn(train[rows], labels[rows], test, c)
        for rows, c in zip(subsets, result.details["c"], strict=True)
    ]
    assert result.accuracy == pytest.approx(100 * np.mean(np.array(answers) == test_labels))


@pytest.mark.parametrize(
    "name", ["linear_probe", "linear_probe_share", "dense_probe", "codes_probe", "probe_grid"]
)
def test_a_class_of_one_image_is_learned_but_chooses_nothing(name):
    alone = np.flatnonzero(LABELS == 2)[0]
    rows = np.flatnonzero((LABELS != 2) | (np.arange(30) == alone))
    parts = CODES if name in OF_CODES else GOOD
    result = _measured(name, train=parts["train"][rows], train_labels=LABELS[rows])
    result = result["features"] if name == "probe_grid" else result
    assert result.protocol["classes_of_one_image"] == 1
    assert result.accuracy > 34  # the others are told apart
    for fit, held in stratified_parts(LABELS[rows], seed=0):
        assert (LABELS[rows][fit] == 2).sum() == 1 and not (LABELS[rows][held] == 2).any()


def test_labels_of_any_size_take_the_memory_of_as_many_classes():
    names = np.array([7, 10**9, 10**18])
    data = (TRAIN, names[LABELS], TEST, names[TEST_LABELS])
    found, wanted = knn_accuracy(*data, k=5), knn_accuracy(**GOOD, k=5)
    assert (
        np.array_equal(found.correct, wanted.correct)
        and found.metrics["top5"] == wanted.metrics["top5"]
    )
    (one, *_), _ = knn_sweep(*data, neighbors=(5,), temperatures=(0.07,))
    assert np.array_equal(one.correct, wanted.correct)
    assert linear_probe(*data).accuracy == linear_probe(**GOOD).accuracy


def test_clusters_of_one_class_are_right_in_the_largest_of_them():
    clusters = np.array([0, 0, 0, 1, 2])
    result = cluster_agreement(clusters, np.zeros(5, int))
    assert result.accuracy == pytest.approx(60)
    assert (result.metrics["nmi"], result.metrics["ari"]) == (0, 0)


def test_as_many_clusters_as_images_of_different_classes_agree_with_them():
    few = _one_of_each("kmeans_agreement")
    result = kmeans_agreement(few["train"], few["train_labels"])
    assert (result.accuracy, result.metrics["nmi"], result.details["clusters"]) == (100, 100, 3)


def test_a_row_of_zeros_is_refused_only_where_it_needs_a_direction():
    train = TRAIN * (np.arange(30) != 4)[:, None]
    for measure in (partial(_measured, "knn_accuracy"), partial(_measured, "kmeans_agreement")):
        with pytest.raises(UserError, match="1 of 30 .*features are all zero and have no direct"):
            measure(train=train)
    euclidean = knn_accuracy(**{**GOOD, "train": train}, k=5, metric="euclidean")
    assert euclidean.accuracy == 100
    for name in ("linear_probe", "dense_probe"):
        assert _measured(name, train=train).accuracy == 100


def test_a_grid_with_nothing_to_choose_learns_from_one_image_of_each_class():
    single = replace(PROTOCOL, learning_rates=(0.1,), epochs=50)
    parts = {**GOOD, **_one_of_each("probe_grid")}
    result = probe_grid(**parts, protocol=single)["features"]
    expected = _by_scikit_learn(parts["train"], parts["train_labels"], TEST, 1e3)
    assert np.array_equal(result.correct[0], expected == TEST_LABELS)


# The callback, and classifiers of corrupted images


def test_the_online_neighbours_are_as_many_as_there_are_images():
    labels = np.arange(30) % 3
    values = _online(labels, labels[:15], k=1000).measure()
    features = IMAGES[:, 0, :, 0].astype("float32")
    expected = knn_accuracy(features, labels, features[:15], labels[:15], k=30)
    assert values["knn"] == expected.accuracy


def test_online_neighbours_do_not_need_every_class_in_both_parts():
    values = _online(np.arange(30) % 2, np.full(15, 2)).measure()
    assert values["knn"] == 0 and np.isfinite(values["feature_std"])


@pytest.mark.parametrize("answer", [0.0, np.nan, "a", True, None])
def test_predictions_that_are_no_integers_are_refused(answer):
    with pytest.raises(UserError, match="Predictions must be integers. Received dtype .*: predict"):
        _corrupted(TEST_LABELS, answer)


def test_a_class_that_is_predicted_but_not_there_is_wrong():
    assert _corrupted(TEST_LABELS, 7).accuracy == 0
    assert _corrupted(TEST_LABELS, 1).accuracy == pytest.approx(100 * np.mean(TEST_LABELS == 1))
