"""Losses that look at a batch: more views, and batches of equal, few and zero rows."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl.layers.whitening import (
    iterative_whiten,
    shuffled_whiten,
    whiten_sub_batches,
    zca_whiten,
)
from keras_ssl.losses.barlow_twins import barlow_twins_loss
from keras_ssl.losses.dbn import dbn_loss
from keras_ssl.losses.simmer import RANK_TERMS, simmer_loss
from keras_ssl.losses.vicreg import vicreg_loss
from keras_ssl.losses.wmse import wmse_loss
from keras_ssl.methods.dbn import VARIANTS
from tests.unit.support import random


def pair_average(loss, views):
    return np.mean([float(loss(a, b)) for a, b in itertools.combinations(views, 2)])


@pytest.mark.parametrize("loss", [barlow_twins_loss, vicreg_loss, wmse_loss])
def test_a_loss_of_more_views_is_the_average_over_pairs(loss):
    views = [random(6, 4, seed=seed) for seed in range(4)]
    np.testing.assert_allclose(loss(*views), pair_average(loss, views), rtol=1e-5)
    np.testing.assert_allclose(loss(*views[::-1]), loss(*views), rtol=1e-5)
    with pytest.raises(ValueError, match="two or more views"):
        loss(views[0])


PERMUTATION = np.random.default_rng(0).permutation(10)


LOSSES = {
    "barlow_twins": barlow_twins_loss,
    "vicreg": vicreg_loss,
    "wmse, sub-batches of dim + 1": lambda *views: wmse_loss(
        *(whiten_sub_batches(view, PERMUTATION, 5) for view in views)
    ),
    "dbn plain": lambda *views: dbn_loss(
        *(VARIANTS["plain"](None)(view, training=True) for view in views)
    ),
    "dbn zca": lambda *views: dbn_loss(*(zca_whiten(view, 2) for view in views)),
    "dbn shuffled": lambda *views: dbn_loss(
        *(shuffled_whiten(view, [3, 1, 0, 2], 2) for view in views)
    ),
    "dbn iterative": lambda *views: dbn_loss(*(iterative_whiten(view, 2) for view in views)),
    **{
        f"simmer {term}{' with bias' * bias}": lambda *views, term=term, bias=bias: simmer_loss(
            ops.stack(views, axis=1), rank_term=term, bias=bias, alpha_rank=0.1
        )
        for term in RANK_TERMS
        for bias in (False, True)
    },
}


_ZERO_ROW = np.ones((10, 1))
_ZERO_ROW[3] = 0


HARD_BATCHES = {
    "constant": np.full((10, 4), 0.7),
    "zeros": np.zeros((10, 4)),
    "identical rows": np.tile(random(1, 4), (10, 1)),
    "duplicates": np.repeat(random(5, 4), 2, axis=0),
    "a zero row": random(10, 4) * _ZERO_ROW,
    "equal singular values": np.linalg.qr(np.random.default_rng(1).normal(size=(10, 4)))[0],
}


# A singular covariance and a live view: the slopes are right, and larger than float16's numbers.
TOO_STEEP = {("wmse, sub-batches of dim + 1", "duplicates", "float16")}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    "dtype", ["float32", "float16", pytest.param("bfloat16", marks=pytest.mark.slow)]
)
def test_loss_and_gradient_are_finite_on_hard_batches_in_every_precision(name, dtype):
    loss = LOSSES[name]
    for batch in HARD_BATCHES:
        first = tf.constant(np.asarray(HARD_BATCHES[batch]), dtype)
        seconds = [tf.identity(first)]
        if (name, batch, dtype) not in TOO_STEEP:
            seconds.append(tf.cast(random(10, 4, seed=3), dtype))
        for second in seconds:
            with tf.GradientTape() as tape:
                tape.watch([first, second])
                value = loss(first, second)
            assert value.dtype == "float32"
            assert np.isfinite(value), (batch, dtype)
            for gradient in tape.gradient(value, [first, second]):
                dense = tf.cast(tf.convert_to_tensor(gradient), "float32")
                assert np.all(np.isfinite(dense)), (batch, dtype)
