"""Queues of keys."""

import numpy as np
import pytest
from keras import ops

import keras_ssl
from keras_ssl.core.errors import UserError
from keras_ssl.layers.queue import NeighbourQueue
from tests.descriptors import make_method


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
