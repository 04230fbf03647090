"""What is logged besides the loss: bounds on the mutual information, entropy of simplices."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.layers.necks import embedding_of
from keras_ssl.layers.simplicial import (
    entropy_of_simplices,
    simplicial_embedding,
    simplicial_entropy,
)
from keras_ssl.losses.cpc import infonce
from keras_ssl.ops.information import mutual_information_bound
from keras_ssl.training.callbacks import EventFiles, MetricsLog
from tests.descriptors import BATCH, NECK, make_method, make_views
from tests.unit.support import changed, crops, fit, random

BOUND, ENTROPY = "mutual_information_bound", "simplicial_entropy"


def test_the_bound_of_the_best_critic_is_near_the_information_of_gaussians_and_never_above_log_n():
    correlation, size = 0.9, 2000
    x, noise = np.asarray(random(2, size))
    y = correlation * x + math.sqrt(1 - correlation**2) * noise
    scale = 1 - correlation**2
    # log p(y|x) / p(y), up to what is the same for all candidates y of an x.
    queries = np.stack([x, np.ones_like(x)], axis=1)
    keys = np.stack([correlation * y / scale, -((correlation * y) ** 2) / (2 * scale)], axis=1)
    information = -0.5 * math.log(scale)
    bound = mutual_information_bound(infonce(queries, keys), size)
    np.testing.assert_allclose(bound, information, atol=0.05)
    few = mutual_information_bound(infonce(queries[:2], keys[:2]), 2)
    assert few <= math.log(2) < information
    worse = mutual_information_bound(infonce(queries, 3 * keys), size)  # too sure of itself
    assert worse < bound


@pytest.mark.parametrize(
    "name, options, candidates",
    [
        ("simclr", {}, 2 * BATCH - 1),
        ("moco", {"symmetric": False}, 1 + 24),
        ("moco", {"symmetric": True}, 1 + 24),
        ("cpc", {}, BATCH * 3 * 3),
    ],
)
def test_the_bound_reaches_log_n_where_every_positive_is_found(name, options, candidates):
    options = {**options, "queue_size": 24} if name == "moco" else options
    method = changed(name, **options)
    outputs = method.embed(make_views(method), training=True)
    (logged,) = method.diagnostics(outputs).values()
    loss = method.loss_terms(outputs)[method.terms[0]] / (2 if options.get("symmetric") else 1)
    np.testing.assert_allclose(logged, np.log(candidates) - loss, rtol=1e-5)
    assert logged <= np.log(candidates)


def test_simclr_bounds_the_information_by_the_loss_with_the_positive_in_the_denominator():
    plain, decoupled = changed("simclr"), changed("simclr", objective="decoupled")
    outputs = plain.embed(make_views(plain), training=True)
    assert plain.loss_terms(outputs) != decoupled.loss_terms(outputs)
    np.testing.assert_array_equal(
        plain.diagnostics(outputs)[BOUND], decoupled.diagnostics(outputs)[BOUND]
    )


@pytest.mark.parametrize("views", [2, 3])
def test_the_decoupled_loss_is_below_its_logged_bound_by_invariance_and_repulsion(views):
    method = changed("simclr", objective="decoupled", temperature=0.5)
    outputs = list(np.asarray(random(views, BATCH, 5)))
    logged = method.diagnostics(outputs)
    assert list(logged) == list(method.diagnostic_names)
    loss = method.loss_terms(outputs)["contrastive"]
    assert loss <= logged["upper_bound"]
    parts = 2 * (logged["invariance"] + logged["repulsion"]) + math.log(2 * (BATCH - 1))
    np.testing.assert_allclose(logged["upper_bound"], parts, rtol=1e-5)
    alike = method.diagnostics(views * [np.ones((BATCH, 5), "float32")])
    assert float(alike["invariance"]) == pytest.approx(-1)
    assert float(alike["repulsion"]) == pytest.approx(1)


@pytest.mark.parametrize("name", ["simclr", "moco", "cpc"])
def test_a_step_computes_the_loss_once_and_the_bound_is_the_same(name):
    method = make_method(name, run_eagerly=True)
    outputs = method.embed(make_views(method), training=True)
    terms, calls = method.loss_terms(outputs), []
    alone = method.diagnostics(outputs)[BOUND]
    np.testing.assert_array_equal(method.diagnostics(outputs, terms=terms)[BOUND], alone)
    loss_terms = method.loss_terms
    object.__setattr__(method, "loss_terms", lambda o: calls.append(o) or loss_terms(o))
    fit(method, make_views(method), 1)
    assert len(calls) == 1


@pytest.mark.parametrize("views", [2, 3, 4])
def test_simclr_bounds_no_more_than_the_positives_can_tell(views):
    method = changed("simclr", temperature=0.01)
    rows = np.eye(BATCH, dtype="float32")
    found = method.diagnostics(views * [rows])[BOUND]  # all views of an image alike, no others
    np.testing.assert_allclose(found, np.log((views * BATCH - 1) / (views - 1)), rtol=1e-5)
    blind = method.diagnostics(views * [np.ones_like(rows)])[BOUND]
    np.testing.assert_allclose(blind, 0.0, atol=1e-5)


@pytest.mark.parametrize("name", ["simclr", "moco", "cpc"])
def test_diagnostics_are_those_before_the_step_and_change_nothing(name):
    method, without = (make_method(name, run_eagerly=True) for _ in range(2))
    object.__setattr__(without, "diagnostics", lambda outputs: {})
    views = make_views(method)
    wanted = make_method(name)
    outputs = wanted.embed(views, training=True)
    logs = fit(method, views, 1).history
    # MoCo's queue has the positives in it after the step.
    np.testing.assert_allclose(logs[BOUND][0], wanted.diagnostics(outputs)[BOUND], rtol=1e-4)
    fit(without, views, 1)
    for a, b in zip(method.variables, without.variables, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)


@pytest.mark.parametrize(
    "name, views",  # the others are read at the target's temperature, or by it
    [("sem_byol", 2), ("sem_cplearn", 2), ("sem_simclr", 1), ("sem_moco", 1)],
)
def test_the_entropy_is_that_of_the_online_simplices_at_their_own_temperature(name, views):
    method = make_method(name)
    model, (count, size) = embedding_of(method.encoder)
    images = make_views(method)["global"]
    entropies = [
        simplicial_entropy(model(images[:, view], training=True), count, size, NECK["temperature"])
        for view in range(views)
    ]
    logged = fit(make_method(name, run_eagerly=True), {"global": images}, 1).history[ENTROPY][0]
    np.testing.assert_allclose(logged, np.mean(entropies), rtol=1e-4)
    assert 0 < logged < np.log(size)


def test_local_crops_count_for_the_entropy_and_networks_without_simplices_have_none():
    alone, together, plain = (
        make_method(name, run_eagerly=True) for name in ("sem_byol", "sem_byol", "byol")
    )
    with_crops = fit(together, crops(), 1).history[ENTROPY][0]
    assert with_crops != fit(alone, make_views(alone), 1).history[ENTROPY][0]
    assert ENTROPY not in fit(plain, make_views(plain), 1).history


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("temperature", [1e-4, 1e3])
def test_the_entropy_is_finite_float32_where_probabilities_underflow(policy, temperature):
    keras.config.set_dtype_policy(policy)
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 3))
    encoder = keras_ssl.sem_neck(backbone, num_simplices=4, simplex_size=3, temperature=temperature)
    method = keras_ssl.SimSiam(encoder, hidden_dim=8, projection_dim=8, prediction_dim=4)
    method.compile(keras_ssl.SGD(0.0), run_eagerly=True)
    logged = fit(method, make_views(method), 2).history[ENTROPY][0]
    np.testing.assert_allclose(logged, 0.0 if temperature < 1 else np.log(3), atol=1e-2)


def test_entropy_of_simplices_is_the_entropy_of_their_logits():
    z = 3 * random(5, 12)
    for temperature in (0.03, 0.5, 4.0):
        p = simplicial_embedding(z, 4, 3, temperature)
        wanted = simplicial_entropy(z, 4, 3, temperature)
        np.testing.assert_allclose(entropy_of_simplices(p, 4, 3), wanted, rtol=1e-4, atol=1e-6)
    hard = simplicial_embedding(z, 4, 3, 0)
    with tf.GradientTape() as tape:
        tape.watch(hard)
        entropy = entropy_of_simplices(hard, 4, 3)
    np.testing.assert_array_equal(entropy, np.zeros((5, 4)))
    assert np.all(np.isfinite(tape.gradient(entropy, hard)))


def test_diagnostics_reach_the_metrics_file_and_the_event_files(tmp_path):
    method = make_method("sem_moco", run_eagerly=True)
    callbacks = [MetricsLog(tmp_path / "metrics.jsonl"), EventFiles(tmp_path / "events")]
    data = tf.data.Dataset.from_tensors(make_views(method))
    method.fit(data, verbose=0, callbacks=callbacks)
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert {"moco", BOUND, ENTROPY} <= set(json.loads(line))
    (events,) = (tmp_path / "events").iterdir()
    assert all(name.encode() in events.read_bytes() for name in (BOUND, ENTROPY))
