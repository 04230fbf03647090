"""Rows of the global batch."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl.core.errors import UserError
from keras_ssl.core.replicas import all_gather, known_rows


def test_gathered_rows_have_a_static_shape_and_dense_gradients(two_replicas):
    shapes = []

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            rows = all_gather(x)
            shapes.append(rows.shape)
            # The gradient of `take` comes as slices.
            loss = ops.sum(ops.take(rows, [3, 0], axis=0) * [[1.0], [2.0]]) / 2
        return rows, tape.gradient(loss, x)

    x = two_replicas.experimental_distribute_values_from_function(
        lambda context: tf.fill((2, 3), float(context.replica_id_in_sync_group))
    )
    rows, gradients = two_replicas.run(step, (x,))
    assert set(shapes) == {(4, 3)}
    for each in two_replicas.experimental_local_results(rows):
        np.testing.assert_array_equal(each[:, 0], [0, 0, 1, 1])
    first, second = two_replicas.experimental_local_results(gradients)
    np.testing.assert_array_equal(np.concatenate([first, second])[:, 0], [2, 0, 0, 1])


def test_batches_of_unknown_size_are_refused():
    count = tf.function(known_rows, input_signature=[tf.TensorSpec((None, 3))], autograph=False)
    with pytest.raises(UserError, match="drop_remainder=True"):
        count.get_concrete_function()
