"""MoCo step by step against NumPy."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.ops.random import integers
from tests.descriptors import make_method, make_views
from tests.unit.methods.record import Record
from tests.unit.support import changed, fit, log_softmax, normal, ring, unit


def info_nce(queries, keys, queue, temperature):
    q, k = unit(queries), unit(keys)
    logits = np.concatenate([np.sum(q * k, axis=1, keepdims=True), q @ queue.T], axis=1)
    return -np.mean(log_softmax(logits / temperature)[:, 0])


@pytest.mark.parametrize("symmetric", [False, True])
def test_moco_contrasts_with_the_queue_of_the_steps_before(symmetric, tmp_path):
    def state(method):
        return [value for queue in method.queues for value in (queue.keys, queue.pointer)]

    record = Record("moco", state, tmp_path, symmetric=symmetric)
    for outputs, before, after, loss in record.steps():
        queries, keys = outputs["queries"], outputs["keys"]
        assert len(queries) == len(keys) == len(before) // 2 == 1 + symmetric
        queues = before[::2]
        directions = [(0, 1), (1, 0)] if symmetric else [(0, 0)]
        wanted = sum(info_nce(queries[q], keys[k], queues[k], 0.2) for q, k in directions)
        np.testing.assert_allclose(loss, wanted, rtol=1e-5)
        for view, rows in enumerate(keys):
            queue, pointer = ring(before[2 * view], before[2 * view + 1], rows)
            np.testing.assert_allclose(after[2 * view], queue, atol=1e-6)
            assert after[2 * view + 1] == pointer


def test_moco_reads_a_key_from_the_view_that_the_query_is_not_from():
    method = make_method("moco")
    views = make_views(method)
    outputs = method.embed(views, training=True)
    other = tf.concat([views["global"][:, :1], 0.5 * views["global"][:, 1:]], axis=1)
    changed = method.embed({"global": other}, training=True)
    np.testing.assert_array_equal(outputs["queries"][0], changed["queries"][0])
    assert np.any(np.asarray(outputs["keys"][0]) != np.asarray(changed["keys"][0]))


# Other dictionaries.


def bank_state(method):
    return [method.bank.rows]


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_memory_bank_gives_the_key_of_the_image_and_others_drawn_at_random(symmetric, tmp_path):
    options = {"dictionary": "memory_bank", "num_images": 12, "symmetric": symmetric}
    record = Record("moco", bank_state, tmp_path, **options)
    for step, (outputs, [rows], [after], loss) in enumerate(record.steps()):
        index, queries = outputs["index"], outputs["queries"]
        assert "keys" not in outputs and len(queries) == 1 + symmetric
        drawn = np.asarray(integers(16, 12, 0, step))
        wanted = 0.0
        for query in map(unit, queries):
            positive = np.sum(query * rows[index], axis=1, keepdims=True)
            negatives = np.where(index[:, None] == drawn[None], -np.inf, query @ rows[drawn].T)
            logits = np.concatenate([positive, negatives], axis=1) / 0.2
            wanted -= np.mean(log_softmax(logits)[:, 0])
        np.testing.assert_allclose(loss, wanted, rtol=1e-5)
        fresh = unit(sum(map(unit, queries)))
        moved = rows.copy()
        moved[index] = unit(0.5 * rows[index] + 0.5 * fresh)
        np.testing.assert_allclose(after, moved, rtol=1e-5, atol=1e-6)


def test_negatives_are_drawn_anew_at_every_step_and_cover_the_bank():
    steps = [np.asarray(integers(16, 12, 0, step)) for step in range(20)]
    assert all(np.any(a != b) for a, b in itertools.pairwise(steps))
    assert set(np.concatenate(steps)) == set(range(12))


def test_a_memory_bank_has_no_momentum_encoder_and_logs_no_momentum():
    method = changed("moco", dictionary="memory_bank", num_images=12)
    assert method.needs_index and method._ema_pairs == []
    assert "ema_momentum" not in fit(method, make_views(method), 1).history
    assert not make_method("moco").needs_index


def test_a_memory_bank_without_the_number_of_images_is_refused():
    with pytest.raises(keras_ssl.UserError, match="give num_images"):
        changed("moco", dictionary="memory_bank")


@pytest.mark.parametrize("symmetric", [False, True])
def test_end_to_end_the_negatives_are_the_keys_of_the_batch(symmetric):
    method = changed("moco", dictionary="end_to_end", symmetric=symmetric)
    outputs = method.embed(make_views(method), training=True)
    queries = [unit(np.asarray(q)) for q in outputs["queries"]]
    keys = [unit(np.asarray(k)) for k in outputs["keys"]]
    pairs = list(zip(queries, keys[::-1], strict=True))
    wanted = -sum(np.mean(np.diag(log_softmax(q @ k.T / 0.2))) for q, k in pairs)
    np.testing.assert_allclose(method.loss_terms(outputs)["moco"], wanted, rtol=1e-5)


def test_end_to_end_keys_have_a_gradient():
    method = changed("moco", dictionary="end_to_end")
    with tf.GradientTape() as tape:
        q, k = normal(8, 6, seed=1), normal(8, 6, seed=2)
        tape.watch([q, k])
        loss = method.loss_terms({"queries": [q], "keys": [k]})["moco"]
    assert all(np.any(np.asarray(g) != 0) for g in tape.gradient(loss, [q, k]))


@pytest.mark.slow
def test_two_replicas_share_the_bank(two_replicas):
    options = {"dictionary": "memory_bank", "num_images": 12}
    single = changed("moco", **options)
    with two_replicas.scope():
        double = changed("moco", **options)
        double.set_weights(single.get_weights())
    for method in (single, double):
        fit(method, make_views(method), 3)
    for a, b in zip(single.get_weights(), double.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dictionary, candidates", [("end_to_end", 8), ("memory_bank", 17)])
def test_the_bound_is_that_of_as_many_keys_as_a_dictionary_has(dictionary, candidates):
    method = changed("moco", dictionary=dictionary, num_images=12, symmetric=True)
    outputs = method.embed(make_views(method), training=True)
    loss = method.loss_terms(outputs)["moco"] / 2
    bound = method.diagnostics(outputs)["mutual_information_bound"]
    np.testing.assert_allclose(bound, np.log(candidates) - loss, rtol=1e-5)
