"""Judging a run: rows are kept as they come, and what fails takes nothing with it."""

from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
import stages.judging as judging
from keras_ssl.config.schema import Data, Evaluation, Neck
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.compare import load_run
from keras_ssl.evaluation.rows import Row, read_results
from keras_ssl.evaluation.splits import some_rows
from stages import shifted
from stages.readings import Readings, readings_of
from stages.tables import format_tables
from tests.noise import noise

IMAGES = 40


@pytest.fixture
def inputs():
    return noise(IMAGES, classes=2)


def recipe_with(kind="none", **evaluation):
    settings = Evaluation(**{"labels_per_class": 2, "clusters": False, **evaluation})
    return SimpleNamespace(name="byol", neck=Neck(kind=kind), evaluation=settings)


def encoder_with(kind=None):
    keras.utils.set_random_seed(0)
    encoder = keras_ssl.create_backbone("tiny", (8, 8, 3))
    sizes = {"num_simplices": 3, "simplex_size": 4}
    return encoder if kind is None else keras_ssl.add_neck(encoder, kind=kind, **sizes)


def pixels(*names):
    return [Readings(None, None, (name,)) for name in names]


def test_what_was_judged_before_the_memory_ran_out_is_kept_and_the_rest_tried_again(
    inputs, tmp_path, monkeypatch, capsys
):
    def judge(readings, *rest):
        if readings.names == ("last",):
            raise MemoryError
        return real(readings, *rest)

    real = judging.judge
    monkeypatch.setattr(judging, "judge", judge)
    monkeypatch.setattr(judging, "baselines", lambda *_: pixels("first", "last"))
    monkeypatch.setattr(judging, "readings_of", lambda *_: pixels("then"))
    with pytest.raises(UserError, match="not complete.*: last: Out of memory.*the same command"):
        judging.evaluate(recipe_with(), inputs, None, tmp_path)
    rows = read_results(tmp_path / "results.json")
    assert {row.representation for row in rows} == {"first", "then"}
    assert "Left out: last: Out of memory" in capsys.readouterr().out
    assert "last" not in (tmp_path / "results.md").read_text()
    assert len(load_run(tmp_path).hits) == len(rows)
    monkeypatch.setattr(judging, "judge", real)
    judging.evaluate(recipe_with(), inputs, None, tmp_path, resume=True)
    assert capsys.readouterr().out.count("Evaluating") == 1
    assert len(read_results(tmp_path / "results.json")) > len(rows)


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (MemoryError(), True),
        (OSError(28, "No space left on device"), True),
        (tf.errors.ResourceExhaustedError(None, None, "OOM"), True),
        (UserError("'x' has no test part."), False),
        (UserError("3.png cannot be read any more.", retry=True), True),
        (UserError("It needs two images of a class."), False),
    ],
)
def test_only_what_another_attempt_may_get_is_to_be_tried_again(error, retry):
    def measure():
        raise error

    pairs, (missing,) = judging.attempt("title", measure)
    assert pairs == [] and missing.text.startswith("title: ") and missing.retry == retry


def test_what_can_never_be_measured_ends_with_a_finished_table(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "baselines", lambda *_: pixels("pixels"))
    monkeypatch.setattr(judging, "readings_of", lambda *_: [])
    np.savez(tmp_path / "bare.npz", x_train=inputs.data.test_images)
    recipe = recipe_with(shifted=(f"npz:{tmp_path / 'bare.npz'}",))
    recipe.data = Data(dataset=inputs.data.name)
    judging.evaluate(recipe, inputs, encoder_with(), tmp_path)
    assert judging.is_evaluated(tmp_path, recipe)


def test_memory_that_a_shifted_set_lacked_is_asked_for_again(inputs, monkeypatch):
    def lacks(*_):
        raise MemoryError

    monkeypatch.setattr(shifted, "shifted_part", lacks)
    recipe, (found,) = recipe_with(shifted=("digits",)), pixels("pixels")
    recipe.data = Data(dataset=inputs.data.name)
    train = found.extract(inputs.data.train_images)
    _, (missing,) = shifted.shifted_rows(found, train, None, recipe, inputs)
    assert missing.retry and missing.text.startswith("digits: Out of memory")


def test_a_run_without_labels_has_no_table_to_finish(inputs, tmp_path, capsys):
    data = replace(inputs.data, train_labels=None)
    recipe = recipe_with()
    recipe.data = Data(dataset=data.name)
    judging.evaluate(recipe, SimpleNamespace(data=data), None, tmp_path)
    assert "labels" in capsys.readouterr().out
    assert judging.is_evaluated(tmp_path, recipe)


def test_a_task_that_features_do_not_allow_leaves_the_others(inputs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(judging, "baselines", lambda *_: pixels("pixels"))
    monkeypatch.setattr(judging, "readings_of", lambda *_: [])
    inputs.data.test_images[1:] = inputs.data.test_images[0]
    recipe = recipe_with(clusters=True, gradient_probe="adam", knn_neighbours=99)
    judging.evaluate(recipe, inputs, encoder_with(), tmp_path)
    said = capsys.readouterr().out
    assert "Left out: pixels, clusters: k-means needs 2 different features" in said
    tasks = {row.task for row in read_results(tmp_path / "results.json")}
    assert {"linear", "linear, adam"} <= tasks


def test_evaluation_multiplies_in_full_float32_and_training_as_before(
    inputs, tmp_path, monkeypatch
):
    switch, seen = tf.config.experimental, []
    monkeypatch.setattr(judging, "baselines", lambda *_: pixels("pixels"))
    monkeypatch.setattr(judging, "readings_of", lambda *_: [])
    look = lambda *_: (seen.append(switch.tensor_float_32_execution_enabled()), ([], []))[1]  # noqa: E731
    monkeypatch.setattr(judging, "judge", look)
    switch.enable_tensor_float_32_execution(True)
    try:
        judging.evaluate(recipe_with(), inputs, encoder_with(), tmp_path)
        assert seen == [False] and switch.tensor_float_32_execution_enabled()
    finally:
        switch.enable_tensor_float_32_execution(False)


def test_as_many_classes_as_test_images_are_no_clusters(inputs):
    data = SimpleNamespace(test_labels=np.arange(4), name="x")
    with pytest.raises(UserError, match="every score would be 100"):
        judging.clusters("pixels", np.eye(4), recipe_with(clusters=True), data)


def test_features_beyond_the_limit_are_refused_by_size(inputs, monkeypatch):
    monkeypatch.setattr(judging, "FEATURE_LIMIT", 1e-9)
    with pytest.raises(UserError, match="features need 0 GiB"):
        judging.judge(pixels("pixels")[0], recipe_with(), inputs)


def test_simplices_are_read_from_one_embedding_as_the_model_at_each_temperature(inputs):
    encoder = encoder_with("sem")
    preprocess = inputs.preprocessing.function
    below, found = readings_of(encoder, recipe_with("sem", embedding=True), preprocess)
    images = inputs.data.test_images
    features = found.extract(images)
    together = np.asarray(found.read_all(features))
    for i, (name, tau) in enumerate(zip(found.names, found.temperatures, strict=True)):
        np.testing.assert_array_equal(found.read(name, features), together[i])
        if tau is not None:
            model = keras_ssl.at_temperature(encoder, tau)
            wanted = Readings(model, preprocess, (name,)).extract(images)
            np.testing.assert_allclose(together[i], wanted, atol=1e-6)
    assert below.names == ("pretrained, backbone",)
    assert found.names[0] == "pretrained, embedding" and len(found.names) == 4


@pytest.mark.parametrize(
    ("kind", "embedding", "names"),
    [
        ("embed", False, [("pretrained, embed",)]),
        ("embed", True, [("pretrained, embed",), ("pretrained, SEM tau_d=1",)]),
        ("gumbel", True, [("pretrained, gumbel",), ("pretrained, embedding", "SEM tau_d=1")]),
        ("vq", True, [("pretrained, vq",)]),
    ],
)
def test_other_necks_are_read_as_simplices_where_that_is_asked_for(kind, embedding, names):
    recipe = recipe_with(kind, embedding=embedding, temperatures=(1.0,))
    found = readings_of(encoder_with(kind), recipe, None)[1:]
    short = [tuple(name.replace("pretrained, SEM", "SEM") for name in of.names) for of in found]
    assert short == [tuple(name.replace("pretrained, SEM", "SEM") for name in n) for n in names]


def test_no_temperature_leaves_the_backbone(inputs):
    recipe = recipe_with("sem", temperatures=())
    assert [of.names for of in readings_of(encoder_with("sem"), recipe, None)] == [
        ("pretrained, backbone",)
    ]


def test_corrupted_images_are_a_fixed_draw_of_all():
    rows = some_rows(1000, 50)
    assert len(rows) == len(set(rows)) == 50 and (np.diff(rows) > 0).all()
    assert rows.max() > 500
    np.testing.assert_array_equal(rows, some_rows(1000, 50))
    np.testing.assert_array_equal(some_rows(5, 9), np.arange(5))


def test_clusters_of_other_numbers_have_lines_of_their_own():
    rows = [Row("x", "k-means", "nmi", float(k), "d", "test", {"k": k}) for k in (10, 50)]
    rows += [Row("x", "knn", "accuracy", 5.0, "d", "test", {"k": 20})]
    first, second = format_tables(rows).split("\n\n")
    assert "knn" in first and "k-means" not in first
    assert [line.split()[-2:] for line in second.splitlines()[1:]] == [
        ["10", "10.0"],
        ["50", "50.0"],
    ]
