"""The clusters of a finished run: of its method, and of its codes."""

import keras
import numpy as np
import pytest

import keras_ssl
from keras_ssl.evaluation.clustering import cluster_agreement
from stages.clusters import CODES, assigned, float32_method
from stages.inputs import save_preprocessing
from tests.descriptors import CLUSTERS, NECK, make_method, make_views
from tests.noise import noise

IMAGES = 20


@pytest.fixture
def inputs():
    return noise(IMAGES, classes=3)


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
    return assigned(workdir, keras_ssl.load_encoder(workdir / "encoder.keras"), inputs)


def values(pairs):
    return {(row.representation, row.task, row.metric): row.value for row, _ in pairs}


@pytest.mark.parametrize("name", ["swav", "deepcluster"])
def test_the_clusters_of_a_run_are_the_argmax_of_its_scores(name, tmp_path, inputs):
    method = finished(name, tmp_path, inputs)
    pairs, left_out = found_in(tmp_path, inputs)
    data = inputs.data
    scores = method.cluster_scores(inputs.preprocessing.function(data.test_images))
    wanted = cluster_agreement(np.argmax(scores, axis=1), data.test_labels)
    line = (f"pretrained, {method.cluster_head}", "argmax")
    assert values(pairs) == pytest.approx(
        {
            **{(*line, metric): wanted.metrics[metric] for metric in ("nmi", "ami", "ari")},
            (*line, "accuracy"): wanted.accuracy,
            (*line, "used"): 100 * wanted.details["clusters"] / CLUSTERS[name],
        }
    )
    assert all(row.protocol["k"] == CLUSTERS[name] for row, _ in pairs) and not left_out
    np.testing.assert_array_equal(pairs[0][1], wanted.correct)


def test_codes_are_judged_beside_the_clusters_of_the_method(tmp_path, inputs):
    method = finished("sem_swav", tmp_path, inputs)
    pairs, _ = found_in(tmp_path, inputs)
    data = inputs.data
    ready = inputs.preprocessing.function(data.test_images)
    codes = np.asarray(keras_ssl.codes_of(method.encoder)(ready))
    found = values(pairs)
    each = [cluster_agreement(column, data.test_labels) for column in codes.T]
    assert found[CODES, "codes", "nmi"] == pytest.approx(
        np.mean([one.metrics["nmi"] for one in each])
    )
    used = 100 * np.mean([one.details["clusters"] for one in each]) / NECK["simplex_size"]
    assert found[CODES, "codes", "used"] == pytest.approx(used)
    assert ("pretrained, prototypes", "argmax", "nmi") in found


def test_there_is_nothing_without_clusters_or_without_the_method(tmp_path, inputs):
    finished("simclr", tmp_path, inputs)
    assert found_in(tmp_path, inputs) == ([], [])
    finished("swav", tmp_path, inputs)
    (tmp_path / "model.keras").unlink()
    assert found_in(tmp_path, inputs) == ([], [])


def test_a_damaged_method_is_told_and_the_codes_are_judged(tmp_path, inputs):
    finished("sem_swav", tmp_path, inputs)
    (tmp_path / "model.keras").write_bytes(b"cut off")
    pairs, (why,) = found_in(tmp_path, inputs)
    assert {row.representation for row, _ in pairs} == {CODES}
    assert "model.keras cannot be read" in why.text


@pytest.mark.parametrize("name", ["dino", "cplearn", "sem_self_classifier"])
def test_a_method_trained_in_half_precision_is_read_in_float32(name, tmp_path, inputs):
    keras.config.set_dtype_policy("mixed_bfloat16")
    method = finished(name, tmp_path, inputs)
    again = float32_method(tmp_path, keras_ssl.load_encoder(tmp_path / "encoder.keras"))
    for old, new in zip(method.weights, again.weights, strict=True):
        np.testing.assert_array_equal(old, new)
    assert {layer.compute_dtype for layer in again._flatten_layers()} == {"float32"}
    images = make_views(again)["global"][:, 0]
    half, whole = method.cluster_scores(images), again.cluster_scores(images)
    assert np.any(np.asarray(half) != whole)
    np.testing.assert_allclose(half, whole, rtol=0.1, atol=0.1 * np.std(whole))
