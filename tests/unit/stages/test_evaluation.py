"""Evaluating a run: results are written as they come, and what fails takes nothing with it."""

from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
import stages.evaluation as evaluation
from keras_ssl.config.schema import Data, Evaluation, Neck
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation import feature_cache
from keras_ssl.evaluation.clustering import cluster_agreement
from keras_ssl.evaluation.representation import Features, Representation
from keras_ssl.evaluation.results import (
    Measurement,
    Result,
    protocol_hash,
    read_results,
    write_results,
)
from keras_ssl.ops.rows import some_rows
from stages.inputs import save_preprocessing
from tests.descriptors import CLUSTERS, NECK, make_method, make_views
from tests.noise import noise

IMAGES = 40


@pytest.fixture
def inputs():
    return noise(IMAGES, classes=2)


def recipe_with(kind="none", **evaluation):
    settings = Evaluation(**{"labels_per_class": 2, "clusters": False, **evaluation})
    unpublished = {"family": "small", "settings": {}, "published": ()}
    sections = {"neck": Neck(kind=kind), "evaluation": settings, "data": Data()}
    return SimpleNamespace(name="byol", **sections, **unpublished)


def encoder_with():
    keras.utils.set_random_seed(0)
    return keras_ssl.create_backbone("tiny", (8, 8, 3))


def pixels(*readouts):
    return [Representation(Features(), "pretrained", readout) for readout in readouts]


def test_what_was_evaluated_before_the_memory_ran_out_is_kept_and_the_rest_tried_again(
    inputs, tmp_path, monkeypatch, capsys
):
    def evaluate(representations, *rest):
        if representations[0].readout == "last":
            raise MemoryError
        return real(representations, *rest)

    real = evaluation.evaluate_all
    monkeypatch.setattr(evaluation, "evaluate_all", evaluate)
    monkeypatch.setattr(evaluation, "baselines", lambda *_: pixels("first", "last"))
    monkeypatch.setattr(evaluation, "trained", lambda *_: pixels("then"))
    with pytest.raises(UserError, match="not complete.*last: Out of memory.*the same command"):
        evaluation.evaluate(recipe_with(), inputs, None, tmp_path)
    results = read_results(tmp_path).results
    assert {result.readout for result in results} == {"first", "then"}
    assert "Left out: pretrained, last: Out of memory" in capsys.readouterr().out
    assert "last" not in (tmp_path / "results.md").read_text()
    assert all(result.correct is not None for result in results)
    monkeypatch.setattr(evaluation, "evaluate_all", real)
    evaluation.evaluate(recipe_with(), inputs, None, tmp_path, resume=True)
    assert capsys.readouterr().out.count("Evaluating") == 1
    assert len(read_results(tmp_path).results) > len(results)


def test_what_can_never_be_measured_ends_with_a_finished_table(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "baselines", lambda *_: pixels(None))
    monkeypatch.setattr(evaluation, "trained", lambda *_: [])
    np.savez(tmp_path / "bare.npz", x_train=inputs.data.test_images)
    recipe = recipe_with(shifted=(f"npz:{tmp_path / 'bare.npz'}",))
    recipe.data = Data(dataset=inputs.data.name)
    evaluation.evaluate(recipe, inputs, encoder_with(), tmp_path)
    assert evaluation.is_evaluated(tmp_path, recipe)


def test_a_run_without_labels_has_no_table_to_finish(inputs, tmp_path, capsys):
    data = replace(inputs.data, train_labels=None)
    recipe = recipe_with()
    recipe.data = Data(dataset=data.name)
    evaluation.evaluate(recipe, SimpleNamespace(data=data), None, tmp_path)
    assert "labels" in capsys.readouterr().out
    assert evaluation.is_evaluated(tmp_path, recipe)


def test_evaluation_multiplies_in_full_float32_and_training_as_before(
    inputs, tmp_path, monkeypatch
):
    switch, seen = tf.config.experimental, []
    monkeypatch.setattr(evaluation, "baselines", lambda *_: pixels(None))
    monkeypatch.setattr(evaluation, "trained", lambda *_: [])
    look = lambda *_: seen.append(switch.tensor_float_32_execution_enabled())  # noqa: E731
    monkeypatch.setattr(evaluation, "evaluate_all", look)
    switch.enable_tensor_float_32_execution(True)
    try:
        evaluation.evaluate(recipe_with(), inputs, encoder_with(), tmp_path)
        assert seen == [False] and switch.tensor_float_32_execution_enabled()
    finally:
        switch.enable_tensor_float_32_execution(False)


def test_corrupted_images_are_a_fixed_draw_of_all():
    rows = some_rows(1000, 50)
    assert len(rows) == len(set(rows)) == 50 and (np.diff(rows) > 0).all()
    assert rows.max() > 500
    np.testing.assert_array_equal(rows, some_rows(1000, 50))
    np.testing.assert_array_equal(some_rows(5, 9), np.arange(5))


def test_only_predictions_on_all_test_images_are_kept(inputs):
    data = inputs.data
    count = len(data.test_images)
    for name, size in ((data.name, count), (data.name, count - 1), ("other", count)):
        result = Result("pixels", None, None, "knn", "accuracy", 1.0, name, "test", {})
        result = replace(result, correct=np.ones((1, size), bool))
        kept = evaluation.of_all_test_images(result, data).correct is not None
        assert kept == (name == data.name and size == count)


def test_the_test_images_are_read_once_to_say_which_they_are(inputs, tmp_path, monkeypatch):
    calls, real = [], feature_cache.digest_of_images
    for module in (evaluation, feature_cache):
        look = lambda *a: calls.append(len(a)) or real(*a)  # noqa: E731
        monkeypatch.setattr(module, "digest_of_images", look)
    monkeypatch.setattr(evaluation, "baselines", lambda *_: pixels("a", "b"))
    monkeypatch.setattr(evaluation, "trained", lambda *_: pixels("c"))
    evaluation.evaluate(recipe_with(keep_features=True), inputs, encoder_with(), tmp_path)
    assert calls == [2, 1]  # test images with labels, train images


# Clusters of a run.


def finished(name, workdir, inputs):
    """A method after one step, and its files as a run leaves them."""
    method = make_method(name)
    method.train_step((make_views(method),))
    method.save(workdir / "model.keras")
    keras.config.set_dtype_policy("float32")
    neck = NECK if name.startswith("sem_") else None
    encoder = keras_ssl.create_backbone("tiny", (8, 8, 3))
    encoder = encoder if neck is None else keras_ssl.add_neck(encoder, **neck)
    encoder.set_weights(method.encoder.get_weights())
    encoder.save(workdir / "encoder.keras")
    save_preprocessing(inputs.preprocessing, workdir)
    return method


def found_in(workdir, inputs):
    found = evaluation.Evaluation(inputs.data, None)
    encoder = keras_ssl.load_encoder(workdir / "encoder.keras")
    evaluation.own_clusters(workdir, encoder, inputs, found)
    return found.results, found.left_out


def values(results):
    return {(one.readout, one.task, one.metric): one.value for one in results}


@pytest.mark.parametrize("name", ["swav", "deepcluster", "barlow_twins"])
def test_the_clusters_of_a_run_are_the_argmax_of_its_scores(name, tmp_path, inputs):
    method = finished(name, tmp_path, inputs)
    results, left_out = found_in(tmp_path, inputs)
    data = inputs.data
    scores = method.cluster_scores(inputs.preprocessing.function(data.test_images))
    wanted = cluster_agreement(np.argmax(scores, axis=1), data.test_labels)
    line = (method.cluster_head, "argmax")
    assert values(results) == pytest.approx(
        {
            **{(*line, metric): wanted.metrics[metric] for metric in ("nmi", "ami", "ari")},
            (*line, "accuracy"): wanted.accuracy,
            (*line, "used"): 100 * wanted.details["clusters"] / CLUSTERS[name],
        }
    )
    assert all(one.protocol["k"] == CLUSTERS[name] for one in results) and not left_out
    np.testing.assert_array_equal(results[0].correct, wanted.correct)


def test_codes_are_evaluated_beside_the_clusters_of_the_method(tmp_path, inputs):
    method = finished("sem_swav", tmp_path, inputs)
    results, _ = found_in(tmp_path, inputs)
    data = inputs.data
    ready = inputs.preprocessing.function(data.test_images)
    codes = np.asarray(keras_ssl.codes_of(method.encoder)(ready))
    found = values(results)
    each = [cluster_agreement(column, data.test_labels) for column in codes.T]
    assert found["codes", "codes", "nmi"] == pytest.approx(
        np.mean([one.metrics["nmi"] for one in each])
    )
    used = 100 * np.mean([one.details["clusters"] for one in each]) / NECK["simplex_size"]
    assert found["codes", "codes", "used"] == pytest.approx(used)
    assert ("prototypes", "argmax", "nmi") in found


def test_there_is_nothing_without_clusters_or_without_the_method(tmp_path, inputs):
    finished("simclr", tmp_path, inputs)
    assert found_in(tmp_path, inputs) == ([], [])
    finished("swav", tmp_path, inputs)
    (tmp_path / "model.keras").unlink()
    assert found_in(tmp_path, inputs) == ([], [])


def test_a_damaged_method_is_told_and_the_codes_are_evaluated(tmp_path, inputs):
    finished("sem_swav", tmp_path, inputs)
    (tmp_path / "model.keras").write_bytes(b"cut off")
    results, (why,) = found_in(tmp_path, inputs)
    assert {one.readout for one in results} == {"codes"}
    assert "model.keras cannot be read" in why.text


@pytest.mark.parametrize("name", ["dino", "cplearn", "sem_self_classifier"])
def test_a_method_trained_in_half_precision_is_read_in_float32(name, tmp_path, inputs):
    keras.config.set_dtype_policy("mixed_bfloat16")
    method = finished(name, tmp_path, inputs)
    again = evaluation.float32_method(tmp_path, keras_ssl.load_encoder(tmp_path / "encoder.keras"))
    for old, new in zip(method.weights, again.weights, strict=True):
        np.testing.assert_array_equal(old, new)
    assert {layer.compute_dtype for layer in again._flatten_layers()} == {"float32"}
    images = make_views(again)["global"][:, 0]
    half, whole = method.cluster_scores(images), again.cluster_scores(images)
    assert np.any(np.asarray(half) != whole)
    np.testing.assert_allclose(half, whole, rtol=0.1, atol=0.1 * np.std(whole))


def test_rows_of_cropped_images_say_so_and_are_no_column_of_others():
    (row,) = Measurement({"accuracy": 50.0}, {"k": 1}).results("knn", "a", source="pixels")
    assert evaluation.at_crop([row], 1.0) == [row]
    (cropped,) = evaluation.at_crop([row], 0.875)
    assert cropped.protocol == {"k": 1, "test_crop": 0.875} and cropped.column != row.column


# The rule of evaluations that had neither a limit of memory nor a choice of tau_d.
_OLD = {
    "data": "digits",
    "knn_neighbours": 20,
    "knn_temperature": 0.07,
    "knn_sweep": False,
    "labels_per_class": 10,
    "label_shares": (),
    "temperatures": (0.0, 0.1, 1.0),
    "downstream_temperature": 0.1,
    "every_epochs": 5,
    "gradient_probe": "sem_sgd",
    "probe_seeds": 1,
    "probe_views": "cached",
    "clusters": True,
    "embedding": False,
    "keep_features": True,
    "corrupted_images": 0,
    "shifted": (),
}


def test_a_finished_evaluation_of_an_older_run_is_finished(tmp_path):
    settings = {"knn_temperature": 0.07, "labels_per_class": 10, "clusters": True}
    settings["probe"] = "sem_sgd"
    done = ["pixels", evaluation.TABLES]
    write_results(tmp_path, [], {"evaluated": {protocol_hash(_OLD): done}})

    def found(**changes):
        recipe = recipe_with(**settings, **changes)
        return evaluation.evaluated(tmp_path, "digits", recipe)

    assert found() == found(memory=2.0) == done
    for changes in ({"probe_epochs": 3}, {"probe_temperatures": (0.1,)}, {"probe_nesterov": True}):
        assert found(**changes) == []
