import functools
import hashlib
import json

import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation import rows as rows_module
from keras_ssl.evaluation.probes import blocks as blocks_module
from keras_ssl.evaluation.probes import linear as module
from keras_ssl.evaluation.probes import span
from keras_ssl.evaluation.probes.blocks import DenseBlocks
from keras_ssl.evaluation.probes.linear import (
    classifier_protocol,
    linear_classifier,
    linear_probe,
    linear_probe_few,
    linear_probe_share,
    scaling,
    standardize,
)
from keras_ssl.evaluation.probes.transfer import dense_probe
from keras_ssl.evaluation.rows import Rows
from keras_ssl.evaluation.splits import few_labels, label_subset
from tests.blobs import blobs


def test_separable_classes_are_separated():
    assert linear_probe(*blobs(spread=0.1)).accuracy == 100
    assert linear_probe_few(*blobs(spread=0.1), per_class=4, subsets=2).accuracy == 100


def test_shuffled_labels_are_at_chance():
    train, labels, test, test_labels = blobs(train=400, test=400, classes=4)
    shuffled = np.random.default_rng(1).permutation(labels)
    assert abs(linear_probe(train, shuffled, test, test_labels).accuracy - 25) < 12


def test_two_probes_of_the_same_features_agree_in_every_bit():
    for probe in (linear_probe, lambda *data: linear_probe_few(*data, per_class=5, subsets=2)):
        assert probe(*blobs(spread=3.0)) == probe(*blobs(spread=3.0))


def test_accuracy_is_that_of_scikit_learn_with_the_chosen_c():
    train, labels, test, test_labels = blobs(spread=3.0)
    result = linear_probe(train, labels, test, test_labels)
    theirs = make_pipeline(
        StandardScaler(), LogisticRegression(C=result.details["c"][0], max_iter=1000)
    )
    expected = 100 * theirs.fit(train, labels).score(test, test_labels)
    assert result.accuracy == pytest.approx(expected, abs=100 / len(test))


def test_units_of_the_columns_do_not_matter():
    train, labels, test, test_labels = blobs(spread=3.0)
    units = np.float32(2.0) ** np.arange(-4, 4)
    scaled = linear_probe(train * units, labels, test * units, test_labels)
    assert scaled.accuracy == linear_probe(train, labels, test, test_labels).accuracy


def test_columns_that_vary_by_rounding_only_become_zero():
    train = np.full((50, 2), 0.1, "float32")
    train[::2, 1] = np.nextafter(np.float32(0.1), np.float32(1))
    assert not np.any(standardize(train)[0])


def test_constant_columns_change_nothing():
    train, labels, test, test_labels = blobs(spread=3.0)
    wider = [np.pad(part, [(0, 0), (0, 3)], constant_values=5.0) for part in (train, test)]
    wide = linear_probe(wider[0], labels, wider[1], test_labels)
    assert wide.accuracy == linear_probe(train, labels, test, test_labels).accuracy


def test_standardized_columns_have_mean_zero_and_deviation_one():
    train, _, test, _ = blobs()
    centred, other = standardize(train, test)
    np.testing.assert_allclose(centred.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(centred.std(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(other, (test - train.mean(0)) / train.std(0), atol=1e-5)


def test_more_columns_than_rows_are_fitted_exactly_in_the_span_of_the_rows():
    train, labels, test, _ = blobs(train=30, test=20, width=80)
    blocks = DenseBlocks(Rows(train, memory=4 * 80 * 8))  # a block of eight rows at a time
    assert not span.spans_less(blocks) and span.spans_less(DenseBlocks(Rows(train)))
    factor = span.coordinates(blocks)
    np.testing.assert_allclose(factor @ factor.T, train @ train.T, rtol=1e-4, atol=1e-4)
    theirs = LogisticRegression(tol=1e-8, max_iter=1000)
    narrow = theirs.fit(factor, labels)
    weights = np.vstack([narrow.coef_.T, narrow.intercept_])
    found = np.vstack([test.T, np.ones(20)]).T @ span.in_columns(blocks, factor, weights)
    expected = theirs.fit(train.astype(float), labels).decision_function(test)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_rows_of_which_some_are_equal_or_zero_have_coordinates():
    rows = np.repeat(blobs(train=10, width=50)[0], 2, axis=0)
    for part in (rows, 0 * rows, rows - rows.mean(axis=0)):
        factor = span.coordinates(DenseBlocks(Rows(part)))
        np.testing.assert_allclose(factor @ factor.T, part @ part.T, atol=1.001)  # all zero: ones
        assert np.isfinite(factor).all()


def test_one_fold_chooses_c_for_many_images_and_five_for_few(monkeypatch):
    assert linear_probe(*blobs()).protocol["folds"] == 5
    monkeypatch.setattr(module, "_HOLD_OUT_FROM", 150)
    assert linear_probe(*blobs()).protocol["folds"] == 1


def test_few_labels_are_that_many_of_each_class_and_fixed_by_the_seed():
    labels = np.random.default_rng(0).integers(0, 4, 200)
    rows = few_labels(labels, 7, seed=3)
    assert np.array_equal(np.bincount(labels[rows]), [7] * 4)
    assert len(set(rows)) == 28
    assert np.array_equal(rows, few_labels(labels, 7, seed=3))
    assert not np.array_equal(rows, few_labels(labels, 7, seed=4))


def test_few_labels_stay_those_that_were_published():
    assert few_labels(np.arange(20) % 2, 3, seed=0).tolist() == [3, 4, 7, 8, 11, 16]


def test_few_labels_never_read_the_labels_of_other_images(monkeypatch):
    train, labels, test, test_labels = blobs(spread=3.0)
    rows = few_labels(labels, 5)
    monkeypatch.setattr(module, "few_labels", lambda *_: rows)
    wrong = np.random.default_rng(1).permutation(labels)
    wrong[rows] = labels[rows]
    few = [linear_probe_few(train, y, test, test_labels, per_class=5) for y in (labels, wrong)]
    assert few[0] == few[1]


def test_few_labels_give_mean_and_deviation_over_subsets():
    data = blobs(spread=3.0)
    single = [linear_probe_few(*data, per_class=5, subsets=1, seed=i) for i in range(3)]
    result = linear_probe_few(*data, per_class=5, subsets=3, seed=0)
    assert result.accuracy == pytest.approx(np.mean([one.accuracy for one in single]))
    assert result.std["accuracy"] == pytest.approx(np.std([one.accuracy for one in single]))
    assert result.details["c"] == tuple(one.details["c"][0] for one in single)


def test_a_protocol_holds_settings_and_no_outcome():
    data = blobs(spread=3.0)
    other = (np.exp(data[0] / 4), data[1], np.exp(data[2] / 4), data[3])
    assert linear_probe(*data).protocol == linear_probe(*other).protocol
    few = linear_probe_few(*data, per_class=4, subsets=2)
    assert json.loads(json.dumps(few.protocol)) == few.protocol
    assert few.protocol != linear_probe_few(*data, per_class=4, subsets=2, seed=1).protocol


def _changed(**changes):
    names = ("train", "train_labels", "test", "test_labels")
    return {**dict(zip(names, blobs(), strict=True)), **changes}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"test_labels": np.full(60, 7)}, "classes without a train image: 7"),
        ({"train_labels": np.arange(150)}, "two train images of each"),
        ({"train_labels": np.zeros(150, int), "test_labels": np.zeros(60, int)}, "two classes"),
        ({"train_labels": np.zeros(150)}, "must be integers"),
        ({"train": np.full((150, 8), np.inf)}, "NaN or infinite values in 150 of 150"),
        ({"test": np.zeros((60, 9))}, "same width"),
    ],
)
def test_a_mistake_is_answered_by_what_came(changes, message):
    with pytest.raises(UserError, match=message):
        linear_probe(**_changed(**changes))


def test_more_labels_than_there_are_is_refused():
    with pytest.raises(UserError, match="per_class=51 does not fit: class 0 has 50"):
        linear_probe_few(*blobs(), per_class=51)


def test_one_label_per_class_cannot_choose_c():
    with pytest.raises(UserError, match="per_class=1"):
        linear_probe_few(*blobs(), per_class=1)


def test_hits_are_the_images_that_accuracy_counts():
    data = blobs(spread=3.0)
    for result, fits in ((linear_probe(*data), 1), (linear_probe_few(*data, per_class=5), 5)):
        assert result.correct.shape == (fits, 60) and result.correct.dtype == bool
        assert 100 * result.correct.mean() == pytest.approx(result.accuracy)


@pytest.mark.parametrize("sizes", [{}, {"classes": 2}, {"train": 30, "width": 80}])
def test_the_classifier_answers_block_by_block_as_the_probe_does(sizes):
    train, labels, test, test_labels = blobs(spread=5.0, **sizes)
    probe = linear_probe(train, labels + 3, test, test_labels + 3)
    classifier = linear_classifier(train, labels + 3)
    scores = np.concatenate([classifier.scores(block) for block in np.split(test, 4)])
    answers = classifier.classes[scores.argmax(axis=1)]
    assert np.array_equal(answers == test_labels + 3, probe.correct[0]) and probe.accuracy < 100
    assert scores.shape == (60, len(classifier.classes)) and classifier.c == probe.details["c"][0]
    assert classifier_protocol(classifier, len(train)) == probe.protocol


def test_a_classifier_refuses_what_the_probe_refuses():
    with pytest.raises(UserError, match="two train images of each"):
        linear_classifier(blobs()[0], np.arange(150))
    with pytest.raises(UserError, match="test features hold NaN or infinite values in 2 of 2"):
        linear_classifier(*blobs()[:2]).scores(np.full((2, 8), np.nan))


def test_a_share_of_equal_classes_is_as_many_labels_of_each():
    data = blobs(spread=3.0)
    share = linear_probe_share(*data, share=0.1, subsets=3, seed=2)
    few = linear_probe_few(*data, per_class=5, subsets=3, seed=2)
    assert (share.accuracy, share.std, share.details["c"]) == (
        few.accuracy,
        few.std,
        few.details["c"],
    )
    assert np.array_equal(share.correct, few.correct)


def test_a_share_has_the_labels_that_fine_tuning_records():
    data = blobs(spread=3.0)
    protocol = linear_probe_share(*data, share=0.2, subsets=2, seed=4).protocol
    rows = [label_subset(data[1], 0.2, seed) for seed in (4, 5)]
    digests = [hashlib.sha256(r.astype("<i8").tobytes()).hexdigest()[:16] for r in rows]
    assert protocol["subset_sha256"] == digests
    assert (protocol["share"], protocol["train_images"], protocol["subsets"]) == (0.2, 30, 2)
    assert json.loads(json.dumps(protocol)) == protocol


def test_labels_outside_the_share_are_never_read(monkeypatch):
    train, labels, test, test_labels = blobs(spread=3.0)
    rows = label_subset(labels, 0.1)
    monkeypatch.setattr(module, "label_subset", lambda *_: rows)
    wrong = np.random.default_rng(1).permutation(labels)
    wrong[rows] = labels[rows]
    one, other = (
        linear_probe_share(train, y, test, test_labels, share=0.1) for y in (labels, wrong)
    )
    assert one == other


def test_all_labels_make_the_probe_of_all_labels():
    data = blobs(spread=3.0)
    share = linear_probe_share(*data, share=1.0, subsets=1)
    assert (share.accuracy, share.details["c"]) == (
        linear_probe(*data).accuracy,
        linear_probe(*data).details["c"],
    )


@pytest.mark.parametrize("sizes", [{}, {"train": 30, "width": 80}, {"classes": 25}])
def test_rows_that_are_read_anew_give_what_held_ones_give_to_the_bit(sizes, monkeypatch):
    monkeypatch.setattr(rows_module, "BLOCK_VALUES", 12 * sizes.get("width", 8))
    monkeypatch.setattr(blocks_module, "_FEW_VALUES", 0)
    train, labels, test, test_labels = blobs(spread=3.0, **sizes)
    reads = []

    def doubled(features):
        reads.append(1)
        return 2 * features

    def probed(probe, memory):
        parts = [Rows(part, doubled, memory=memory) for part in (train, test)]
        found = probe(parts[0], labels, parts[1], test_labels)
        return found.metrics, found.details, found.std, found.correct.tobytes()

    few = functools.partial(linear_probe_few, per_class=3, subsets=2)
    for probe in (linear_probe, few, functools.partial(dense_probe, strengths=3)):
        assert probed(probe, float("inf")) == probed(probe, 3 * 8 * 30**2)


def test_a_matrix_that_does_not_fit_is_probed_all_the_same():
    train, labels, test, test_labels = blobs(spread=3.0)
    parts = [Rows(part, memory=1.0) for part in (train, test)]
    found = linear_probe(parts[0], labels, parts[1], test_labels)
    assert found == linear_probe(train, labels, test, test_labels)
    with pytest.raises(UserError, match="evaluation.memory"):
        np.asarray(Rows(train, lambda x: x, memory=1.0))


def _in_simplices(features):
    simplices = tf.reshape(features, (-1, 4, 2))
    return tf.argmax(simplices, axis=-1, output_type=tf.int32)


def _one_hot(features):
    return tf.reshape(tf.one_hot(_in_simplices(features), 2), (-1, 8))


@pytest.mark.parametrize("memory", [float("inf"), 1.0])
def test_wide_simplices_at_tau_0_are_fitted_as_codes(memory, monkeypatch):
    train, labels, test, test_labels = blobs(spread=2.0)
    rows = [Rows(part, _one_hot, memory=memory, codes=_in_simplices) for part in (train, test)]
    dense = linear_probe(rows[0], labels, rows[1], test_labels)
    classifier = linear_classifier(rows[0], labels)
    monkeypatch.setattr(blocks_module, "_WIDE", 8)
    blocks = blocks_module.as_codes(DenseBlocks(rows[0], np.arange(20, 80)))
    assert isinstance(blocks, blocks_module.CodeBlocks) and blocks.codes.dtype == "uint8"
    np.testing.assert_array_equal(blocks.codes, _in_simplices(train[20:80]))
    assert linear_probe(rows[0], labels, rows[1], test_labels) == dense
    ours = linear_classifier(rows[0], labels).scores(rows[1])
    np.testing.assert_allclose(ours, classifier.scores(rows[1]), atol=0.01)


def test_top5_is_measured_of_many_classes_only():
    few, many = linear_probe(*blobs()), linear_probe(*blobs(classes=25, spread=5.0))
    assert few.metrics.keys() == {"accuracy"}
    assert 0 < many.accuracy < many.metrics["top5"] < 100
    few = linear_probe_few(*blobs(classes=25, spread=5.0), per_class=2, subsets=2)
    assert few.std.keys() == few.metrics.keys() == {"accuracy", "top5"}


def test_the_scale_is_that_of_all_rows_whatever_the_blocks(monkeypatch):
    train = 1000 + blobs()[0]
    expected = scaling(Rows(train))
    np.testing.assert_allclose(expected[0], train.mean(axis=0, dtype="float64"), rtol=1e-6)
    np.testing.assert_allclose(1 / expected[1], train.std(axis=0, dtype="float64"), rtol=1e-6)
    monkeypatch.setattr(rows_module, "BLOCK_VALUES", 7 * 8)
    np.testing.assert_allclose(scaling(Rows(train)), expected, rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.5}, {"subsets": 0}])
def test_a_share_that_is_none_is_refused(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(UserError, match=f"{name}={value}"):
        linear_probe_share(*blobs(), **wrong)
