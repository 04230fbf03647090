"""The search of neighbors on a GPU finds what it finds on the CPU."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.evaluation.nearest import nearest_blocks


@pytest.mark.gpu
@pytest.mark.parametrize("k", [1, 20, 99, 100, 200, 3000])  # from 100 on another kernel sorts
def test_neighbours_are_those_of_the_cpu(k):
    if not tf.config.list_logical_devices("GPU"):
        pytest.skip("There is no GPU.")
    draw = np.random.default_rng(0)
    train, test = draw.normal(size=(3000, 16)), draw.normal(size=(50, 16))
    train[1] = train[0]  # a tie
    found = []
    for device in ("CPU:0", "GPU:0"):
        with tf.device(device):
            ((_, values, rows),) = nearest_blocks(train, test, k, "cosine")
        found.append((values, rows))
    np.testing.assert_array_equal(found[0][1], found[1][1])
    np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-9)
