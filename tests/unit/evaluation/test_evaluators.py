"""Evaluators: what each measures, and what is left out where something cannot be measured."""

from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.config.schema import Evaluation as Settings
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation import evaluators
from keras_ssl.evaluation.evaluators import Evaluation, Evaluator, LeftOut, by_features, skipped
from keras_ssl.evaluation.representation import Features, Representation
from keras_ssl.evaluation.rows import in_memory
from keras_ssl.evaluation.tables import format_table, name_of


def _features(seed, count):
    labels = np.arange(count) % 3
    noise = np.random.default_rng(seed).normal(size=(count, 5))
    return (np.eye(3, 5)[labels] + 0.1 * noise).astype("float32"), labels


class Given(Features):
    """Features that are given in place of images."""

    @property
    def extract(self):
        return lambda images: images

    def size(self, images):
        return images.size


def _evaluation(train=None, **settings):
    given, labels = _features(0, 30)
    test, test_labels = _features(1, 12)
    data = SimpleNamespace(
        name="blobs",
        train_images=given if train is None else train,
        train_labels=labels,
        test_images=test,
        test_labels=test_labels,
    )
    settings = {"labels_per_class": 4, "knn_neighbours": 5, "clusters": False, **settings}
    return Evaluation(data, Settings(**settings))


def _evaluated(evaluation, *sources):
    for source in sources or ("pixels",):
        evaluators.evaluate_all([Representation(Given(), source)], evaluation)
    return evaluation.results, evaluation.left_out


def test_representations_of_the_same_data_share_the_columns_of_one_table():
    results, left_out = _evaluated(_evaluation(), "pixels", "pretrained")
    assert not left_out
    assert all(one.correct.all() and one.correct.shape[-1] == 12 for one in results)
    heading, *lines = format_table(results).splitlines()
    assert heading.split() == ["representation", "knn", "linear", "linear,", "4", "labels/class"]
    assert [line.split()[-4:] for line in lines] == [["100.0", "100.0", "100.0", "±0.0"]] * 2


@pytest.mark.parametrize(("classes", "metrics"), [(19, 1), (20, 2)])
def test_top_five_is_shown_of_many_classes(classes, metrics):
    evaluation = _evaluation()
    evaluation.data.train_labels = np.arange(30) % classes
    results, _ = _evaluated(evaluation)
    assert [one.metric for one in results if one.task == "knn"] == ["accuracy", "top5"][:metrics]


def test_a_task_that_the_data_do_not_allow_is_left_out_with_its_reason():
    results, (missing,) = _evaluated(_evaluation(labels_per_class=11))
    assert [one.task for one in results] == ["knn", "linear"]
    assert missing.text.startswith("linear, 11 labels/class: per_class=11")


def test_a_sweep_and_fractions_add_results_of_their_own():
    plain, _ = _evaluated(_evaluation())
    results, left_out = _evaluated(_evaluation(label_shares=(0.01, 0.5), knn_sweep=True))
    swept = [f"knn k={k} {how}" for how in ("T=0.07", "T=0.1", "euclidean") for k in (5, 20)]
    shares = ["linear, 1 % of labels", "linear, 50 % of labels"]
    assert {name_of(one) for one in results[len(plain) :]} == {*swept, *shares}
    assert results[: len(plain)] == plain
    assert [each.text for each in left_out] == [
        f"knn, {metric}, k=200: there are 30 train images." for metric in ("cosine", "euclidean")
    ]


def test_features_without_a_direction_still_have_distances():
    train, _ = _features(0, 30)
    train[3] = 0
    results, left_out = _evaluated(_evaluation(train, knn_sweep=True))
    assert "knn k=5 euclidean" in [name_of(one) for one in results]
    assert any(each.text.startswith("knn, cosine: 1 of 30 train features") for each in left_out)


def test_accuracies_are_the_means_of_the_predictions_that_are_correct():
    settings = {"clusters": True, "corrupted_images": 6, "probe": "adam"}
    evaluation = _evaluation(probe_seeds=2, **settings)
    kinds = [(name, 1, evaluation.data.test_images[:6] + i) for i, name in enumerate("ab")]
    evaluation = Evaluation(
        evaluation.data, evaluation.settings, corruptions=lambda images: (kinds, {"severities": 1})
    )
    results, left_out = _evaluated(evaluation)
    assert not left_out
    tasks = {"knn", "linear", "few labels", "k-means", "adam"}
    tasks |= {"corrupted", "corrupted linear", "corrupted probe"}
    assert {one.task for one in results} == tasks
    for one in results:
        if one.metric == "accuracy":
            assert 100 * np.mean(one.correct) == pytest.approx(one.value), one
        else:
            assert one.correct is None
    assert {one.task for one in results if one.std is not None} == {"few labels", "adam"}
    (corrupted,) = [one for one in results if one.task == "corrupted"]
    assert corrupted.protocol["severities"] == 1 and corrupted.protocol["images"] == 6


def test_clusters_that_fail_leave_the_others():
    evaluation = _evaluation(clusters=True, probe="adam", knn_neighbours=99)
    evaluation.data.test_images[1:] = evaluation.data.test_images[0]
    results, left_out = _evaluated(evaluation)
    assert "raw pixels, clusters: k-means needs 3 different features" in left_out[0].text
    assert {"linear", "adam"} <= {one.task for one in results}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MemoryError(), "{name}, knn: Out of memory"),
        (UserError("No direction."), "knn: No direction."),
    ],
)
def test_a_part_that_fails_leaves_the_others(error, text, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(evaluators, "knn_accuracy", fail)
    results, left_out = _evaluated(_evaluation(), "pixels", "pretrained")
    assert [one.task for one in results] == ["linear", "few labels"] * 2
    names = ("raw pixels", "pretrained")
    for each, name in zip(left_out, names, strict=True):
        assert each.text.startswith(text.format(name=name))
        assert each.retry == isinstance(error, MemoryError)


def test_as_many_classes_as_test_images_are_no_clusters():
    evaluation = _evaluation(clusters=True)
    evaluation.data.test_labels = np.arange(12)
    representation = Representation(Given(), "pixels")
    with pytest.raises(UserError, match="every score would be 100"):
        list(evaluators.clusters(evaluation, [representation], None, np.eye(12)))


def test_pixels_beyond_the_memory_are_refused_by_size():
    images = np.zeros((3, 4, 4, 3), "uint8")
    with pytest.raises(UserError, match="features need 5.36e-07 GiB.*evaluation.memory"):
        Features().read(images, memory=100)


def test_pixels_beyond_their_share_of_the_memory_are_read_from_disk():
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), "uint8")
    found = [Features().read(images, memory=576, share=share) for share in (0.9, 1.0)]
    assert [in_memory(one) for one in found] == [False, True]
    np.testing.assert_array_equal(*found)


def test_features_and_evaluators_share_the_memory(monkeypatch):
    seen = []

    def watch(evaluation, representations, train, test):
        seen.extend([evaluation.memory, train.memory, test.memory])
        yield from ()

    monkeypatch.setattr(evaluators, "EVALUATORS", (Evaluator(watch, lambda *_: "watched"),))
    read = Mock(wraps=Given().read)
    monkeypatch.setattr(Given, "read", read)
    _evaluated(replace(_evaluation(), memory=1000))
    shares = [call.kwargs["share"] * call.kwargs["memory"] for call in read.call_args_list]
    assert seen == [750] * 3 and sum(shares) == 250


def test_a_little_memory_gives_the_results_of_much():
    results, left_out = _evaluated(_evaluation())
    little, also_left_out = _evaluated(replace(_evaluation(), memory=1200))
    assert left_out == also_left_out == []
    assert [(one.task, one.value) for one in little] == [(one.task, one.value) for one in results]


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (MemoryError(), True),
        (OSError(28, "No space left on device"), True),
        (tf.errors.ResourceExhaustedError(None, None, "OOM"), True),
        (UserError("'x' has no test part."), False),
        (UserError("3.png cannot be read any more.", retry=True), True),
    ],
)
def test_only_what_another_attempt_may_get_is_to_be_tried_again(error, retry):
    left_out = []
    with skipped(left_out, "title"):
        raise error
    (missing,) = left_out
    assert isinstance(missing, LeftOut) and missing.retry == retry
    assert missing.text.startswith("title: ")


def test_a_mistake_of_the_program_is_not_left_out():
    with pytest.raises(ZeroDivisionError), skipped([], "title"):
        raise ZeroDivisionError


def test_representations_of_the_same_features_are_evaluated_together():
    one, two = Features(), Features()
    every = [Representation(one, "pixels"), *(Representation(two, "pretrained"),) * 2]
    assert [len(group) for group in by_features(every)] == [1, 2]
