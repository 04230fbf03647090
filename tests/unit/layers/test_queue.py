"""Queues of keys, and memory banks."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl.core.errors import UserError
from keras_ssl.layers.bank import MemoryBank
from keras_ssl.layers.queue import NeighbourQueue
from tests.descriptors import make_method
from tests.unit.support import unit


def test_a_queue_that_the_batch_does_not_divide_is_refused():
    method = keras_ssl.create(
        "moco", backbone="tiny", input_shape=(8, 8, 3), queue_size=12, projection_dim=8
    )
    with pytest.raises(UserError, match="try 8"):
        method.after_step({"keys": [ops.ones((8, 8))]})


@pytest.mark.parametrize("name", ["moco", "swav", "self_classifier"])
def test_a_queue_tells_what_batches_it_takes_before_there_is_one(name):
    method = make_method(name)  # queues of 16
    method.check_batch(8)
    with pytest.raises(UserError, match="multiple of the global batch of 12: try 12"):
        method.check_batch(12)


def test_the_nearest_key_is_never_of_the_same_image():
    queue = NeighbourQueue(4, 3)
    queue.enqueue(ops.take(ops.eye(3), [0, 0, 1, 2], axis=0), [5, 6, 7, 8])
    rows = ops.array([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5], [-1.0, -0.9, -0.5]])
    found = queue.nearest(rows, [7, 9, 8])
    np.testing.assert_array_equal(found, [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])


# Memory banks.


def test_a_row_of_the_bank_moves_by_its_momentum_and_others_stay():
    bank = MemoryBank(num_images=5, dim=3, momentum=0.25)
    before = np.array(bank.rows)
    np.testing.assert_allclose(np.linalg.norm(before, axis=1), 1.0, rtol=1e-5)
    fresh = np.array([[0.0, 0.0, 7.0], [2.0, 0.0, 0.0]], "float32")
    bank.remember(np.array([3, 1]), ops.array(fresh))
    wanted = 0.25 * before[[3, 1]] + 0.75 * unit(fresh)
    np.testing.assert_allclose(np.array(bank.rows)[[3, 1]], unit(wanted), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(np.array(bank.rows)[[0, 2, 4]], before[[0, 2, 4]])


def test_no_gradient_flows_into_the_bank():
    bank = MemoryBank(num_images=2, dim=2)
    with tf.GradientTape() as tape:
        tape.watch(bank.rows.value)
        value = tf.reduce_sum(bank.read(np.array([0, 1])))
    assert tape.gradient(value, bank.rows.value) is None
