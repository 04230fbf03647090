"""MoCo step by step against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tests.descriptors import make_method, make_views
from tests.unit.methods.record import Record
from tests.unit.support import log_softmax, ring, unit


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
