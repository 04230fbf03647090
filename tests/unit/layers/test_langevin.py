"""The Langevin sampler and its buffer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl.core.errors import UserError
from keras_ssl.layers.langevin import LangevinSampler, langevin_step
from tests.descriptors import make_views
from tests.unit.support import changed, normal


def quadratic(images):
    """The energy of a standard normal distribution."""
    return 0.5 * ops.sum(ops.square(images), axis=(1, 2, 3))


def sampler_of(**options):
    keras.utils.set_random_seed(0)
    options = {"buffer_size": 12, "num_steps": 4, "step_size": 0.25, "noise": 0.0, **options}
    return LangevinSampler((2, 2, 1), **{"reinit": 0.0, **options})


LIKE = tf.reshape(tf.linspace(-1.0, 1.0, 20), (5, 2, 2, 1))


def test_langevin_steps_come_to_follow_the_density_of_the_energy():
    x, step = ops.zeros((40, 5, 5, 1)), 0.2
    draws = []
    for index in range(120):
        noise = (2 * step) ** 0.5 * normal(*x.shape, seed=index)
        x = langevin_step(quadratic, x, noise, step_size=step)
        draws.append(np.asarray(x))
    variance = np.var(draws[20:])
    assert abs(variance - 1 / (1 - step / 2)) < 0.03  # 1, but for the length of the steps


def test_the_buffer_keeps_what_its_chains_have_become():
    sampler = sampler_of()
    expected, moved = np.asarray(sampler.images).copy(), set()
    for draw in range(6):
        samples = np.asarray(sampler.sample(quadratic, LIKE))
        after = np.asarray(sampler.images)
        rows = [i for i in range(12) if np.any(after[i] != expected[i])]
        assert len(rows) == len(samples) == 5
        expected[rows] = expected[rows] * 0.75**4
        np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(np.sort(samples.ravel()), np.sort(after[rows].ravel()))
        expected, moved = after.copy(), moved | set(rows)
        assert int(sampler.draws) == draw + 1
    assert len(moved) > 8  # not the same chains at every draw


def test_chains_start_anew_as_often_as_told_and_stay_within_the_range_of_the_images():
    old = sampler_of(reinit=0.0).sample(lambda x: 0 * quadratic(x), LIKE)
    sampler = sampler_of(reinit=1.0)
    sampler.images.assign(7.0 + 0 * sampler.images)
    new = sampler.sample(lambda x: 0 * quadratic(x), 3 * LIKE)
    assert np.all(np.abs(old) <= 1) and np.all(np.abs(new) <= 3) and np.max(np.abs(new)) > 1.5
    hill = sampler_of().sample(lambda x: -100 * quadratic(x), LIKE)
    assert np.max(np.abs(hill)) == 1.0
    share = sampler_of(buffer_size=400, reinit=0.25)
    share.images.assign(0 * share.images)
    many = share.sample(lambda x: 0 * quadratic(x), tf.repeat(LIKE, 80, axis=0))
    assert 0.15 < np.mean(np.any(many, axis=(1, 2, 3))) < 0.35


def test_what_a_sampler_draws_follows_from_its_seed_and_its_state():
    options = {"noise": 0.1, "reinit": 0.3}
    one, other = sampler_of(**options), sampler_of(**options)
    first = one.sample(quadratic, LIKE)
    np.testing.assert_array_equal(first, other.sample(quadratic, LIKE))
    resumed = sampler_of(**options)
    resumed.set_weights(one.get_weights())
    second = one.sample(quadratic, LIKE)
    np.testing.assert_array_equal(second, resumed.sample(quadratic, LIKE))
    seeded = sampler_of(**options, seed=5).sample(quadratic, LIKE)
    assert np.any(first != second) and np.any(first != seeded)


def test_xla_compiles_the_sampler():
    sampler = sampler_of(noise=0.0, reinit=0.0)  # XLA has numbers of its own
    draw = tf.function(lambda: sampler.sample(quadratic, LIKE), jit_compile=True)
    before = np.asarray(sampler.images).copy()
    samples, after = np.asarray(draw()), np.asarray(sampler.images)
    rows = np.any(after != before, axis=(1, 2, 3))
    assert rows.sum() == 5
    np.testing.assert_allclose(after[rows], 0.75**4 * before[rows], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(np.sort(samples.ravel()), np.sort(after[rows].ravel()))


def test_images_that_do_not_fit_the_buffer_are_refused():
    with pytest.raises(UserError, match="images of 2x2x1. Received images of 3x2x1"):
        sampler_of().sample(quadratic, tf.zeros((5, 3, 2, 1)))
    with pytest.raises(UserError, match="smaller than the batch of 20"):
        sampler_of().sample(quadratic, tf.repeat(LIKE, 4, axis=0))
    with pytest.raises(UserError, match="images of 4x4x3"):
        method = changed("gedi", image_size=4)
        method.prepare(make_views(method))
