"""Sinkhorn with weighted rows."""

import numpy as np
from keras import ops

from keras_ssl.layers.sinkhorn import sinkhorn
from tests.unit.support import normal


def test_weights_count_a_row_as_often_as_they_say():
    scores, again = normal(6, 4), normal(3, 4, seed=2)
    twice = sinkhorn(ops.concatenate([scores, again, again]))[:6]
    weights = ops.concatenate([ops.ones(6), 2 * ops.ones(3)])
    np.testing.assert_allclose(
        sinkhorn(ops.concatenate([scores, again]), weights=weights)[:6], twice, rtol=1e-4
    )
    weights = ops.concatenate([ops.ones(6), ops.zeros(3)])
    np.testing.assert_allclose(
        sinkhorn(ops.concatenate([scores, again]), weights=weights)[:6],
        sinkhorn(scores),
        rtol=1e-4,
    )
