"""SimMER: its terms, and collapse without them."""

import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.losses.simmer import RANK_TERMS, rank_loss, simmer_loss, total_variance
from keras_ssl.methods.simmer import SimMER
from tests.unit.support import features_as_images, random, total


def small_simmer(**options):
    sizes = {"hidden_dim": 8, "projection_dim": 6, "num_layers": 2} | options
    return features_as_images(SimMER, 4, **sizes)


@pytest.mark.parametrize("rank", RANK_TERMS)
@pytest.mark.parametrize("rank_bias", [False, True])
def test_simmer_terms_add_up_to_the_loss(rank, rank_bias):
    method = small_simmer(rank=rank, rank_bias=rank_bias, alpha_entropy=0.3, alpha_rank=0.2)
    for batch in (4, 9):  # below and above the number of features
        z = random(batch, 3, 6)
        wanted = simmer_loss(z, alpha_entropy=0.3, alpha_rank=0.2, rank_term=rank, bias=rank_bias)
        np.testing.assert_allclose(total(method, z), wanted, rtol=1e-5)


def test_simmer_does_not_see_the_order_of_views_or_of_images():
    method, z = small_simmer(), random(8, 4, 6)
    np.testing.assert_allclose(total(method, z[:, ::-1]), total(method, z), rtol=1e-5)
    np.testing.assert_allclose(total(method, z[::-1]), total(method, z), rtol=1e-5)


def test_without_its_two_weights_simmer_is_the_total_variance_and_nothing_else():
    method = small_simmer(alpha_entropy=0.0, alpha_rank=0.0)
    z = random(8, 3, 6)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        loss = sum(method.loss_terms(z).values())
        variance = total_variance(z)
    np.testing.assert_allclose(loss, variance, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(loss, z), tape.gradient(variance, z), rtol=1e-6)


@pytest.mark.parametrize("alphas, collapses", [((0.0, 0.0), True), ((0.1, 2e-4), False)])
def test_representations_collapse_without_entropy_and_rank(alphas, collapses):
    method = small_simmer(alpha_entropy=alphas[0], alpha_rank=alphas[1])
    method.compile(keras_ssl.OPTIMIZERS["adamw"](0.02), jit_compile=False)
    images = random(16, 1, 4)
    views = {"global": images + 0.3 * random(16, 3, 4, seed=1)}
    data = tf.data.Dataset.from_tensors(views).repeat()
    spread = [np.std(method.embed(views, training=True), axis=0).mean()]
    method.fit(data, steps_per_epoch=150, verbose=0, shuffle=False)
    spread.append(np.std(method.embed(views, training=True), axis=0).mean())
    assert (spread[1] < 0.1 * spread[0]) == collapses


def test_ratio_terms_pull_equal_singular_values_nowhere():
    orthogonal = tf.constant(np.linalg.qr(random(10, 4))[0])
    for term in ("r3", "r4"):
        with tf.GradientTape() as tape:
            tape.watch(orthogonal)
            value = rank_loss(orthogonal, rank_term=term)
        np.testing.assert_allclose(value, -1.0, rtol=1e-5)
        gradient = tape.gradient(value, orthogonal)
        if term == "r4":  # smooth there, and at its minimum
            np.testing.assert_allclose(gradient, 0.0, atol=1e-4)
        else:
            assert np.all(np.isfinite(gradient))
