"""Laws of W-MSE, DBN, CPLearn, GEDI-no-gen, SimMER and the discrete bottlenecks."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl.core.errors import UserError
from keras_ssl.layers.bottlenecks import GumbelBottleneck, gumbel_softmax
from keras_ssl.layers.hyperdimensional import (
    ACTIVATIONS,
    HyperdimensionalProjection,
    code_temperature,
    l2_embedding,
)
from keras_ssl.layers.quantizer import (
    VectorQuantizer,
    quantization_losses,
    straight_through,
    vector_quantize,
)
from keras_ssl.layers.whitening import cholesky_whiten, zca_whiten
from keras_ssl.losses.cplearn import (
    cplearn_forward_loss,
    cplearn_loss,
    gedi_nogen_loss,
    log_probabilities,
    reverse_kl,
)
from keras_ssl.losses.dbn import dbn_loss
from keras_ssl.losses.simmer import (
    RANK_TERMS,
    entropy_loss,
    rank_loss,
    simmer_loss,
    total_variance,
)
from keras_ssl.losses.wmse import wmse_loss
from keras_ssl.ops.pairs import nearest_distances
from tests.unit.support import random


def hadamard(order):
    return np.ones((1, 1)) if order == 0 else np.kron([[1, 1], [1, -1]], hadamard(order - 1))


def simmer_of(rank_term, bias=False):
    return lambda *views: simmer_loss(
        ops.stack(views, axis=1), rank_term=rank_term, bias=bias, alpha_rank=0.1
    )


LOSSES = {
    "wmse": wmse_loss,
    "wmse_whitened": lambda a, b: wmse_loss(cholesky_whiten(a), cholesky_whiten(b)),
    "dbn": dbn_loss,
    "dbn_whitened": lambda a, b: dbn_loss(zca_whiten(a, 2), zca_whiten(b, 2)),
    "cplearn": cplearn_loss,
    "cplearn_forward": cplearn_forward_loss,
    "gedi_nogen": gedi_nogen_loss,
    **{f"simmer_{term}": simmer_of(term) for term in RANK_TERMS},
    "simmer_r3_bias": simmer_of("r3", bias=True),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@every_loss
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_loss_is_finite_at_zeros_ties_duplicates_and_large_values(loss, dtype):
    duplicates = tf.repeat(random(2, 6), 2, axis=0)
    for x in (tf.zeros((4, 6)), tf.ones((4, 6)), 1e3 * random(4, 6), random(1, 6), duplicates):
        inputs = [tf.cast(x, dtype), tf.cast(x, dtype)]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = loss(*inputs)
        assert value.dtype == ("float64" if dtype == "float64" else "float32")
        assert np.isfinite(value)
        for g in tape.gradient(value, inputs):
            assert np.all(np.isfinite(tf.cast(g, "float32")))


@every_loss
def test_loss_gives_the_same_compiled(loss):
    inputs = [random(10, 6, seed=i) for i in range(2)]
    np.testing.assert_allclose(
        loss(*inputs), tf.function(loss, jit_compile=True)(*inputs), rtol=1e-5
    )


# W-MSE and DBN.


def test_wmse_is_0_for_equal_and_4_for_opposite_views_and_averages_pairs():
    a, b, c = (random(6, 4, seed=i) for i in range(3))
    np.testing.assert_allclose(wmse_loss(a, 3.0 * a), 0.0, atol=1e-6)
    np.testing.assert_allclose(wmse_loss(a, -a), 4.0, rtol=1e-6)
    pairs = [wmse_loss(a, b), wmse_loss(a, c), wmse_loss(b, c)]
    np.testing.assert_allclose(wmse_loss(a, b, c), np.mean(pairs), rtol=1e-5)
    with pytest.raises(ValueError, match="two or more views"):
        wmse_loss(a)


def test_dbn_loss_of_white_views_is_twice_the_dim_less_their_correlation():
    a, b = (zca_whiten(random(20, 4, seed=i)) for i in range(2))
    wanted = 2 * 4 - 2 * np.trace(a.numpy().T @ b.numpy() / 20)
    np.testing.assert_allclose(dbn_loss(a, b), wanted, rtol=1e-5)


# CPLearn.


@pytest.mark.parametrize("epsilon", [1e-3, 1e-8])
def test_an_aligned_embedding_reaches_one_minus_epsilon_times_the_other_codes(epsilon):
    codes, rows = hadamard(3), 5
    dim, count = codes.shape
    aligned = l2_embedding(tf.constant(codes.T[:rows]), rows)
    np.testing.assert_allclose(np.linalg.norm(aligned, axis=1), math.sqrt(dim / rows))
    logits = aligned @ codes / code_temperature(dim, rows, count, epsilon=epsilon)
    p = np.exp(log_probabilities(logits))
    np.testing.assert_allclose(p.max(1), 1 - epsilon * (count - 1), rtol=1e-12)
    np.testing.assert_allclose(p.min(1), epsilon, rtol=1e-10)


def test_the_layer_uses_the_temperature_of_its_batch_or_of_the_given_one():
    x = random(4, 8)
    free, fixed = HyperdimensionalProjection(16), HyperdimensionalProjection(16, batch_size=4)
    np.testing.assert_allclose(free(x), fixed(x), rtol=1e-6)
    np.testing.assert_allclose(fixed(x[:1]), fixed(x)[:1], rtol=1e-6)
    np.testing.assert_allclose(2.0 * free(x[:1]), free(x)[:1], rtol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_layer_gives_the_same_with_an_unknown_batch_size(activation):
    layer, x = HyperdimensionalProjection(16, activation), random(4, 8)
    signature = [tf.TensorSpec((None, 8), "float32")]
    np.testing.assert_allclose(
        layer(x), tf.function(layer, input_signature=signature)(x), rtol=1e-5
    )


def test_codes_are_signs_of_the_seed_that_are_never_trained(tmp_path):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, HyperdimensionalProjection(64, "l2", seed=3)(inputs))
    codes = model.layers[-1].codes
    assert set(np.unique(codes)) == {-1.0, 1.0}
    assert abs(np.mean(codes)) < 0.2
    assert not model.trainable_variables
    other = HyperdimensionalProjection(64, seed=3)
    other.build((None, 8))
    np.testing.assert_array_equal(other.codes, codes)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(random(4, 8)), model(random(4, 8)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_65536_codes_on_a_tiny_batch_stay_finite(activation, dtype):
    layer = HyperdimensionalProjection(65536, activation)
    x = tf.cast(100 * random(2, 8), dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = sum(
            loss(layer(x), layer(x[::-1]))
            for loss in (cplearn_loss, cplearn_forward_loss, gedi_nogen_loss)
        )
    assert np.isfinite(value)
    assert np.all(np.isfinite(tf.cast(tape.gradient(value, x), "float32")))


def test_a_wrong_epsilon_or_activation_is_refused_with_what_fits():
    with pytest.raises(UserError, match="try 1e-04"):
        HyperdimensionalProjection(100, epsilon=0.1)
    with pytest.raises(UserError, match="Did you mean 'tanh'"):
        HyperdimensionalProjection(100, "tahn")


def test_the_prior_is_between_0_for_uniform_use_and_log_c_for_one_code():
    uniform = log_probabilities(1e3 * tf.eye(6))
    single = log_probabilities(1e3 * tf.one_hot([2] * 6, 6))
    np.testing.assert_allclose(reverse_kl(uniform), 0.0, atol=1e-5)
    np.testing.assert_allclose(reverse_kl(single), math.log(6), rtol=1e-5)


def test_both_forms_are_least_for_balanced_agreeing_sharp_codes():
    best, collapsed = 50.0 * tf.eye(6), 50.0 * tf.one_hot([1] * 6, 6)
    np.testing.assert_allclose(cplearn_loss(best, best), 0.0, atol=1e-5)
    np.testing.assert_allclose(cplearn_forward_loss(best, best), math.log(6), rtol=1e-5)
    for loss in (cplearn_loss, cplearn_forward_loss, gedi_nogen_loss):
        assert loss(best, best) < loss(collapsed, collapsed)
        assert loss(best, best) < loss(best, tf.roll(best, 1, axis=0))


# SimMER.


def test_total_variance_of_two_views_is_a_quarter_of_their_squared_distance():
    z = random(5, 2, 3)
    distance = np.sum((z[:, 0] - z[:, 1]).numpy() ** 2, axis=-1)
    np.testing.assert_allclose(total_variance(z), distance.mean() / 4, rtol=1e-5)


def test_entropy_falls_by_log_2_when_distances_double_and_ignores_translation():
    x = random(7, 3)
    np.testing.assert_allclose(entropy_loss(2.0 * x), entropy_loss(x) - math.log(2), rtol=1e-5)
    np.testing.assert_allclose(entropy_loss(x + 50.0), entropy_loss(x), rtol=1e-4)


def test_nearest_distances_match_a_loop_and_floor_duplicates():
    x = random(9, 4).numpy()
    wanted = [
        min(np.linalg.norm(a - b) for j, b in enumerate(x) if j != i) for i, a in enumerate(x)
    ]
    np.testing.assert_allclose(nearest_distances(x), wanted, rtol=1e-5)
    np.testing.assert_allclose(nearest_distances(tf.ones((3, 2))), 1e-12)
    np.testing.assert_allclose(nearest_distances(tf.ones((1, 2))), 1e-12)


@pytest.mark.parametrize("shape", [(8, 5), (4, 6)])
def test_ratio_terms_reach_minus_1_for_orthogonal_rows_and_minus_1_by_rank_for_one_direction(
    shape,
):
    smallest = min(shape)
    orthogonal, line = 3.0 * tf.eye(*shape), tf.ones(shape)
    for term in ("r3", "r4"):
        np.testing.assert_allclose(rank_loss(orthogonal, rank_term=term), -1.0, rtol=1e-5)
        np.testing.assert_allclose(rank_loss(line, rank_term=term), -1 / smallest, rtol=1e-5)
        value = rank_loss(random(*shape), rank_term=term)
        assert -1.0 <= value <= -1.0 / smallest
        np.testing.assert_allclose(
            rank_loss(5.0 * random(*shape), rank_term=term), value, rtol=1e-5
        )


def test_r1_is_0_for_dependent_columns_and_r2_the_nuclear_norm():
    x = random(8, 3)
    dependent = tf.concat([x, x[:, :1] + x[:, 1:2]], axis=1)
    np.testing.assert_allclose(rank_loss(dependent, rank_term="r1"), 0.0, atol=1e-5)
    nuclear = np.linalg.svd(x, compute_uv=False).sum()
    np.testing.assert_allclose(rank_loss(x), -nuclear, rtol=1e-5)


def test_the_bias_column_notices_an_affine_collapse():
    x = tf.concat([random(8, 2), tf.ones((8, 1))], axis=1)  # in a plane that misses the origin
    assert rank_loss(x, rank_term="r1") < -0.1
    np.testing.assert_allclose(rank_loss(x, rank_term="r1", bias=True), 0.0, atol=1e-5)


def test_an_unknown_rank_term_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match="Known: r1, r2, r3, r4"):
        rank_loss(random(4, 3), rank_term="nuclear")


# Bottlenecks.


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_gumbel_forward_is_exactly_one_hot_with_the_gradient_of_the_soft_sample(dtype):
    z, noise, w = tf.cast(100 * random(4, 6), dtype), random(4, 2, 3, seed=1), random(4, 6, seed=2)
    gradients = []
    for part in (0, 1):
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = gumbel_softmax(z, noise, temperature=2.0)[part]
            total = ops.sum(value * w)
        gradients.append(tape.gradient(total, z))
    groups = value.numpy().reshape(4, 2, 3)
    assert set(np.unique(groups)) == {0.0, 1.0}
    np.testing.assert_array_equal(groups.sum(-1), 1.0)
    np.testing.assert_array_equal(*gradients)


def test_gumbel_layer_samples_in_training_and_takes_the_largest_in_inference():
    layer, z = GumbelBottleneck(2, 3), random(64, 6)
    np.testing.assert_array_equal(layer(z), layer(z))
    np.testing.assert_array_equal(
        layer(z), gumbel_softmax(z, tf.zeros((64, 2, 3)), temperature=2.0)[1]
    )
    first, second = layer(z, training=True), layer(z, training=True)
    assert np.any(first != second)
    np.testing.assert_array_equal(GumbelBottleneck(2, 3)(z, training=True), first)


def test_gumbel_samples_follow_the_softmax_of_the_logits():
    logits = tf.constant([[0.0, 1.0, 2.0]])
    samples = GumbelBottleneck(1, 3)(tf.repeat(logits, 20000, axis=0), training=True)
    np.testing.assert_allclose(ops.mean(samples, axis=0), tf.nn.softmax(logits)[0], atol=0.015)


def test_vq_takes_the_nearest_code_and_passes_the_gradient_straight_through():
    z, codebook = random(5, 3, 4), random(3, 6, 4, seed=1)
    indices, quantized = vector_quantize(z, codebook)
    distance = np.linalg.norm(z.numpy()[:, :, None] - codebook.numpy()[None], axis=-1)
    np.testing.assert_array_equal(indices, distance.argmin(-1))
    with tf.GradientTape() as tape:
        tape.watch([z, codebook])
        quantized = vector_quantize(z, codebook)[1]
        out = straight_through(z, quantized)
        total = tf.reduce_sum(out * z.numpy())
    np.testing.assert_array_equal(out, quantized)
    dz, dcodebook = tape.gradient(total, [z, codebook])
    np.testing.assert_array_equal(dz, z)
    assert dcodebook is None


def test_vq_losses_are_0_on_the_codes_and_pull_apart_sides():
    z = random(5, 3, 4)
    assert quantization_losses(z, z) == (0.0, 0.0)
    with tf.GradientTape(persistent=True) as tape:
        e = tf.zeros_like(z)
        tape.watch([z, e])
        codebook_loss, commitment = quantization_losses(z, e)
    assert tape.gradient(codebook_loss, z) is None
    assert tape.gradient(commitment, e) is None


def test_vq_layer_adds_its_losses_in_training_only_unless_frozen():
    layer, z = VectorQuantizer(2, 4), random(5, 6)
    assert layer(z).shape == (5, 6)
    assert not layer.losses
    layer(z, training=True)
    assert len(layer.losses) == 1 and layer.losses[0] > 0
    layer.codebook.trainable = False
    layer(z, training=True)
    assert not layer.losses
    with pytest.raises(UserError, match="must divide the 6 features: try 2"):
        VectorQuantizer(4, 4).build((None, 6))


@pytest.mark.parametrize("make", [lambda: GumbelBottleneck(2, 3), lambda: VectorQuantizer(2, 4)])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_bottleneck_survives_a_file_and_half_precision(make, policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    inputs = keras.Input((6,))
    layer = make()
    model = keras.Model(inputs, layer(inputs))
    x = 100 * random(4, 6)
    assert model.output.dtype == "float32"
    for training in (False, True):
        y = model(x, training=training)
        assert y.dtype == "float32" and np.all(np.isfinite(y))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
