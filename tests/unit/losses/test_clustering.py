"""Laws of the losses with clusters, queues and decorrelated features, and of their layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl.core.errors import UserError
from keras_ssl.layers.centering import Centering
from keras_ssl.layers.heads import dino_head, exact_gelu
from keras_ssl.layers.prototypes import (
    L2Normalization,
    Prototypes,
    WeightNormalizedPrototypes,
)
from keras_ssl.layers.queue import KeyQueue
from keras_ssl.layers.sinkhorn import Sinkhorn, sinkhorn
from keras_ssl.losses import barlow_twins, decoupled, vicreg
from keras_ssl.losses.deepcluster import cluster_prediction_loss
from keras_ssl.losses.dino import dino_loss
from keras_ssl.losses.moco import moco_logits, moco_loss, symmetric_moco_loss
from keras_ssl.losses.self_classifier import (
    batch_targets,
    log_predictions,
    self_classifier_loss,
)
from keras_ssl.losses.simclr import nt_xent
from keras_ssl.losses.swav import swapped_prediction_loss
from keras_ssl.ops.linalg import l2_normalize
from tests.unit.support import normal

N, D = 8, 6


def gradients(function, *inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function(*inputs)
    return value, tape.gradient(value, inputs)


def fixed_queue(dtype="float32"):
    return ops.cast(l2_normalize(normal(16, D, seed=9)), dtype)


def swav(a, b):
    return swapped_prediction_loss([a, b], [sinkhorn(a), sinkhorn(b)])


# Every loss as a function of two views (batch, dim).
LOSSES = {
    "decoupled_infonce": decoupled.decoupled_infonce,
    "symmetric_decoupled_infonce": decoupled.symmetric_decoupled_infonce,
    "weighted_decoupled_infonce": lambda a, b: decoupled.weighted_decoupled_infonce(
        a, b, decoupled.von_mises_fisher_weights(a, b)
    ),
    "infonce_upper_bound": decoupled.infonce_upper_bound,
    "moco": lambda a, b: moco_loss(a, b, fixed_queue(a.dtype)),
    "symmetric_moco": lambda a, b: symmetric_moco_loss((a, b), (a, b), [fixed_queue(a.dtype)] * 2),
    "barlow_twins": barlow_twins.barlow_twins_loss,
    "vicreg": vicreg.vicreg_loss,
    "swav": swav,
    "dino": lambda a, b: dino_loss([a, b], [a, b]),
    "self_classifier": self_classifier_loss,
}
SYMMETRIC = set(LOSSES) - {
    "decoupled_infonce",
    "weighted_decoupled_infonce",
    "infonce_upper_bound",
    "moco",
}
every_loss = pytest.mark.parametrize("name", LOSSES)


@pytest.mark.parametrize("name", sorted(SYMMETRIC))
def test_loss_is_symmetric_in_the_views(name):
    a, b = normal(2, N, D)
    np.testing.assert_allclose(LOSSES[name](a, b), LOSSES[name](b, a), rtol=1e-5)


@every_loss
def test_loss_does_not_depend_on_the_order_of_the_images(name):
    a, b = normal(2, N, D)
    order = np.random.default_rng(0).permutation(N)
    shuffled = LOSSES[name](ops.take(a, order, axis=0), ops.take(b, order, axis=0))
    np.testing.assert_allclose(LOSSES[name](a, b), shuffled, rtol=1e-5)


@every_loss
@pytest.mark.filterwarnings("ignore:You are using a softmax")  # over a batch of one
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_loss_and_gradients_are_float32_and_finite_on_degenerate_batches(name, dtype):
    constant = ops.ones((N, D)) * ops.arange(D, dtype="float32")
    ties = ops.repeat(normal(2, D), N // 2, axis=0)
    # VICReg's gradient grows with the cube of its input; float16 ends at 65504.
    large = (30.0 if dtype == "float16" else 1e3) * normal(N, D)
    for x in (ops.zeros((N, D)), ops.ones((N, D)), constant, ties, large, normal(1, D)):
        views = [ops.cast(x, dtype) for _ in range(2)]
        value, slopes = gradients(LOSSES[name], *views)
        assert value.dtype == "float32" and np.isfinite(value)
        for slope in slopes:
            assert slope is None or np.all(np.isfinite(ops.cast(slope, "float32")))


# Every loss with a temperature, as a function of two views and the temperature.
SHARP = {
    "nt_xent": lambda a, b, tau: nt_xent(a, b, temperature=tau),
    "decoupled_infonce": lambda a, b, tau: decoupled.decoupled_infonce(a, b, temperature=tau),
    "infonce_upper_bound": lambda a, b, tau: decoupled.infonce_upper_bound(a, b, temperature=tau),
    "weighted_decoupled_infonce": lambda a, b, tau: decoupled.weighted_decoupled_infonce(
        a, b, decoupled.von_mises_fisher_weights(a, b), temperature=tau
    ),
    "moco": lambda a, b, tau: moco_loss(a, b, fixed_queue(a.dtype), temperature=tau),
    "swav": lambda a, b, tau: swapped_prediction_loss(
        [a, b], [sinkhorn(a), sinkhorn(b)], temperature=tau
    ),
    "dino": lambda a, b, tau: dino_loss(
        [a, b], [a, b], teacher_temperature=tau, student_temperature=tau
    ),
    "self_classifier": lambda a, b, tau: self_classifier_loss(
        a, b, row_temperature=tau, column_temperature=tau
    ),
    "deepcluster": lambda a, b, tau: cluster_prediction_loss(
        [[a, b]], ops.zeros((1, N), "int32"), temperature=tau
    ),
}


@pytest.mark.parametrize("name", SHARP)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_low_temperature_and_a_row_of_zeros_give_finite_gradients(name, dtype):
    a, b = normal(2, N, D)
    zero_row = ops.concatenate([ops.zeros((1, D)), b[1:]])
    pairs = [(a, b), (a, -a), (zero_row, b), (zero_row, zero_row)]
    for views in pairs:
        views = [ops.cast(view, dtype) for view in views]
        value, slopes = gradients(lambda a, b: SHARP[name](a, b, 0.01), *views)
        assert np.isfinite(value)
        slopes = [ops.cast(slope, "float32") for slope in slopes if slope is not None]
        assert slopes and all(np.all(np.isfinite(slope)) for slope in slopes)


@every_loss
def test_loss_in_float64_stays_in_float64(name):
    a, b = ops.cast(normal(2, N, D), "float64")
    assert LOSSES[name](a, b).dtype == "float64"


# InfoNCE


@pytest.mark.parametrize("temperature", [0.05, 0.5, 5.0])
def test_upper_bound_lies_above_the_loss_by_less_than_the_log_of_the_negatives(temperature):
    a, b = normal(2, N, D)
    gap = decoupled.infonce_upper_bound(a, b, temperature=temperature)
    gap -= decoupled.decoupled_infonce(a, b, temperature=temperature)
    assert 0.0 <= float(gap) <= np.log(2 * (N - 1))


def test_split_adds_up_and_its_entropy_stays_within_its_range():
    split = decoupled.infonce_split(*normal(2, N, D), temperature=0.2)
    total = (split.expected - split.positive) / 0.2 + split.entropy
    np.testing.assert_allclose(split.per_sample, total, rtol=1e-5, atol=1e-5)
    assert np.all(split.entropy >= 0.0) and np.all(split.entropy <= np.log(2 * (N - 1)) + 1e-6)
    assert np.all(split.expected <= split.hardest + 1e-6)


def test_entropy_of_equal_negatives_is_the_log_of_their_number():
    split = decoupled.infonce_split(ops.ones((N, D)), ops.ones((N, D)))
    np.testing.assert_allclose(split.entropy, np.log(2 * (N - 1)), rtol=1e-5)


def test_positive_is_not_in_the_denominator():
    a = ops.eye(4)  # similarity 1 with the positive, 0 with all negatives
    loss = decoupled.decoupled_infonce(a, a, temperature=1.0)
    np.testing.assert_allclose(loss, np.log(6.0) - 1.0, rtol=1e-5)


def test_weights_have_mean_one_and_grow_where_the_views_disagree():
    weights = decoupled.von_mises_fisher_weights(normal(N, D), normal(N, D, seed=2)).numpy()
    np.testing.assert_allclose(weights.mean(), 1.0, rtol=1e-5)
    positive = decoupled.infonce_split(normal(N, D), normal(N, D, seed=2)).positive
    assert np.array_equal(np.argsort(weights), np.argsort(-positive.numpy()))


def test_equal_weights_of_one_change_nothing():
    a, b = normal(2, N, D)
    weighted = decoupled.weighted_decoupled_infonce(a, b, ops.ones((N,)))
    np.testing.assert_allclose(weighted, decoupled.decoupled_infonce(a, b), rtol=1e-6)


# MoCo and its queue


def test_keys_and_queue_get_no_gradient():
    _, (dq, dk, dqueue) = gradients(moco_loss, normal(N, D), normal(N, D, seed=2), fixed_queue())
    assert dq is not None and dk is None and dqueue is None


def test_logits_hold_the_key_of_the_image_first():
    q = l2_normalize(normal(N, D))
    logits = moco_logits(q, q, fixed_queue(), temperature=0.5)
    assert logits.shape == (N, 17)
    np.testing.assert_allclose(logits[:, 0], 2.0, rtol=1e-5)


def test_queue_is_a_ring():
    queue = KeyQueue(6, D)
    before = queue.keys.numpy()
    batches = [l2_normalize(normal(2, D, seed=seed)).numpy() for seed in range(4)]
    for batch in batches[:2]:
        queue.enqueue(batch)
    np.testing.assert_allclose(queue.keys, [*batches[0], *batches[1], *before[4:]], atol=1e-6)
    assert int(queue.pointer) == 4
    for batch in batches[2:]:
        queue.enqueue(batch)
    np.testing.assert_allclose(
        queue.keys, np.concatenate([batches[i] for i in (3, 1, 2)]), atol=1e-6
    )
    assert int(queue.pointer) == 2


def test_queue_wraps_around_when_the_batch_changes():
    queue = KeyQueue(6, D, initializer="zeros")
    queue.enqueue(normal(2, D))
    for seed in range(2):
        queue.enqueue(normal(3, D, seed=seed))
    assert int(queue.pointer) == 2
    np.testing.assert_allclose(np.linalg.norm(queue.keys, axis=1), 1.0, rtol=1e-5)


def test_queue_starts_with_unit_rows_or_empty():
    np.testing.assert_allclose(np.linalg.norm(KeyQueue(5, D).keys, axis=1), 1.0, rtol=1e-5)
    assert not np.any(KeyQueue(5, D, initializer="zeros").keys)


def test_queue_refuses_a_batch_that_does_not_divide_it():
    with pytest.raises(
        UserError, match="size=10 must be a multiple of the global batch of 4: try 8"
    ):
        KeyQueue(10, D).enqueue(normal(4, D))
    with pytest.raises(UserError, match="batch of 12: try 12"):
        KeyQueue(10, D).enqueue(normal(12, D))
    with pytest.raises(UserError, match="size must be a whole number from 1"):
        KeyQueue(0, D)


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16", "float64"])
def test_state_is_kept_in_at_least_float32(policy):
    keras.config.set_dtype_policy(policy)
    queue, centering = KeyQueue(4, D), Centering()
    queue.enqueue(normal(2, D))
    centering(normal(2, D))
    centering.update(normal(2, D))
    wanted = "float64" if policy == "float64" else "float32"
    assert queue.keys.dtype == wanted and centering.center.dtype == wanted
    assert not queue.trainable_weights and not centering.trainable_weights


@keras.saving.register_keras_serializable(package="tests")
class WithState(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.queue, self.centering = KeyQueue(4, D), Centering()
        self.centering.build((None, D))
        self.built = True

    def call(self, x):
        return self.centering(x)


def test_queue_and_centre_survive_a_file(tmp_path):
    model = WithState()
    model.queue.enqueue(normal(2, D))
    model.centering.update(normal(2, D))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(model.weights) == 3
    for weight, saved in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(weight, saved)
    copy = KeyQueue.from_config(model.queue.get_config())
    assert copy.get_config() == model.queue.get_config()


def test_state_gives_the_same_eager_and_compiled():
    queues, centers = [KeyQueue(4, D), KeyQueue(4, D)], [Centering(), Centering()]
    queues[1].set_weights(queues[0].get_weights())
    x = normal(2, D)

    def step(queue, center, x):
        y = center(x)
        center.update(x)
        queue.enqueue(x)
        return y

    for center in centers:
        center.build((None, D))
    step(queues[0], centers[0], x)
    tf.function(lambda x: step(queues[1], centers[1], x), jit_compile=True)(x)
    np.testing.assert_allclose(queues[0].keys, queues[1].keys, rtol=1e-5)
    np.testing.assert_allclose(centers[0].center, centers[1].center, rtol=1e-5)
    assert int(queues[1].pointer) == 2


# Barlow Twins and VICReg


def test_views_that_agree_have_a_correlation_with_ones_on_the_diagonal():
    z = normal(64, 3)
    correlation = barlow_twins.cross_correlation(z, 2.0 * z + 1.0)
    np.testing.assert_allclose(ops.diagonal(correlation), 1.0, rtol=1e-4)
    assert np.all(np.abs(correlation) <= 1.0 + 1e-6)


def test_off_diagonal_energy_does_not_see_the_diagonal():
    matrix = ops.eye(4) * 1e6 + (1.0 - ops.eye(4)) * 1e-2
    np.testing.assert_allclose(barlow_twins.off_diagonal_energy(matrix), 12e-4, rtol=1e-5)


def test_barlow_twins_is_zero_for_equal_views_of_independent_features():
    z = ops.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    np.testing.assert_allclose(barlow_twins.barlow_twins_loss(z, z), 0.0, atol=1e-8)
    np.testing.assert_allclose(vicreg.covariance_energy(z), 0.0, atol=1e-8)


def test_vicreg_terms_do_not_see_a_common_shift():
    x, y = normal(2, N, D)
    shifted = vicreg.vicreg_loss(x + 3.0, y + 3.0)
    np.testing.assert_allclose(vicreg.vicreg_loss(x, y), shifted, rtol=1e-4)


def test_variance_hinge_is_the_margin_when_collapsed_and_zero_when_spread():
    np.testing.assert_allclose(vicreg.variance_hinge(ops.ones((N, D))), 0.99, rtol=1e-5)
    assert float(vicreg.variance_hinge(10.0 * normal(N, D))) == 0.0


def test_variance_divides_by_the_degrees_of_freedom():
    z = ops.array([[0.5], [-0.5]])  # unbiased variance 1 / 2
    hinge = vicreg.variance_hinge(z, epsilon=0.0)
    np.testing.assert_allclose(hinge, 1.0 - 0.5**0.5, rtol=1e-6)


# Sinkhorn and SwAV


def test_converged_codes_have_both_marginals():
    codes = sinkhorn(normal(12, 4), epsilon=0.5, iterations=100)
    np.testing.assert_allclose(ops.sum(codes, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(ops.sum(codes, axis=0), 3.0, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_rows_of_codes_sum_to_one_for_scores_of_any_size(dtype):
    for scale in (0.0, 1.0, 1e4):
        codes = sinkhorn(ops.cast(scale * normal(N, 5), dtype), epsilon=1e-3)
        assert codes.dtype == "float32"
        np.testing.assert_allclose(ops.sum(codes, axis=1), 1.0, rtol=1e-4)


def test_codes_do_not_see_a_constant_added_to_all_scores():
    scores = normal(N, 5)
    np.testing.assert_allclose(sinkhorn(scores), sinkhorn(scores + 7.0), atol=1e-4)


def test_no_iteration_only_scales_the_exponentials():
    scores = normal(N, 5)
    wanted = np.exp(scores / 0.5)
    codes = sinkhorn(scores, epsilon=0.5, iterations=0)
    np.testing.assert_allclose(codes, N * wanted / wanted.sum(), rtol=1e-4)


def test_sinkhorn_layer_stops_the_gradient_and_refuses_bad_values():
    _, (dx,) = gradients(lambda x: ops.sum(Sinkhorn()(x) * x[:, ::-1]), normal(N, 5))
    np.testing.assert_allclose(dx, ops.flip(sinkhorn(normal(N, 5)), axis=1), rtol=1e-5)
    for arguments in ({"epsilon": 0.0}, {"iterations": -1}):
        with pytest.raises(UserError, match="must be a (whole )?number from"):
            Sinkhorn(**arguments)


def test_views_without_a_code_predict_and_are_not_predicted():
    scores = [normal(N, 5, seed=seed) for seed in range(3)]
    codes = [ops.softmax(score) for score in scores[:2]]
    pairs = [(0, 1), (0, 2), (1, 0), (1, 2)]
    cross_entropy = keras.losses.CategoricalCrossentropy()
    wanted = [cross_entropy(codes[i], ops.softmax(scores[v] / 0.1)) for i, v in pairs]
    np.testing.assert_allclose(swapped_prediction_loss(scores, codes), np.mean(wanted), rtol=1e-4)


def test_swapped_prediction_refuses_what_it_cannot_pair():
    x = normal(N, 5)
    for scores, codes in (([x], [x]), ([x, x], []), ([x, x], [x, x, x])):
        with pytest.raises(ValueError, match="two or more views"):
            swapped_prediction_loss(scores, codes)


# DINO and its center


def test_teacher_gets_no_gradient():
    def loss(student, teacher):
        return dino_loss([student, student], [teacher])

    _, (student, teacher) = gradients(loss, normal(N, 5), normal(N, 5, seed=2))
    assert student is not None and teacher is None


def test_dino_takes_the_float64_temperature_of_a_schedule():
    logits = list(normal(2, N, 5))
    scheduled = dino_loss(logits, logits, teacher_temperature=tf.constant(0.07, "float64"))
    np.testing.assert_allclose(scheduled, dino_loss(logits, logits, teacher_temperature=0.07))


def test_centre_is_used_as_it_was_before_the_update():
    centering = Centering(momentum=0.9)
    first, second = normal(N, 5), normal(N, 5, seed=2) + 1.0
    np.testing.assert_array_equal(centering(first), first)
    centering.update(first)
    center = 0.1 * first.numpy().mean(axis=0)
    np.testing.assert_allclose(centering(second), second - center, rtol=1e-5, atol=1e-6)
    centering.update(second)
    wanted = 0.9 * center + 0.1 * second.numpy().mean(axis=0)
    np.testing.assert_allclose(centering.center, wanted, rtol=1e-5, atol=1e-7)


def test_centering_refuses_a_momentum_out_of_range():
    with pytest.raises(UserError, match="momentum must be a number from 0 to 1. Received 1.5"):
        Centering(momentum=1.5)


# Self-Classifier


def test_targets_are_distributions_and_predictions_have_a_uniform_prior():
    logits = normal(N, 4)
    np.testing.assert_allclose(ops.sum(batch_targets(logits), axis=1), 1.0, rtol=1e-5)
    p = ops.exp(log_predictions(logits))
    np.testing.assert_allclose(ops.mean(p, axis=0), 1.0 / 4, rtol=1e-5)


def test_gradient_flows_through_targets_and_predictions():
    def loss(a, b):  # b is a target only, a a prediction only
        return -ops.mean(ops.sum(batch_targets(b) * log_predictions(a), axis=1))

    a, b = normal(2, N, 4)
    both, (da, db) = gradients(loss, a, b)
    assert np.any(da) and np.any(db)
    np.testing.assert_allclose(self_classifier_loss(a, b), 0.5 * (both + loss(b, a)), rtol=1e-5)


def test_two_local_views_are_not_compared():
    views = [normal(N, 4, seed=seed) for seed in range(3)]
    against = [self_classifier_loss(views[0], view) for view in views[1:]]
    loss = self_classifier_loss(*views, num_global=1)
    np.testing.assert_allclose(loss, np.mean(against), rtol=1e-5)


def test_self_classifier_refuses_one_view():
    with pytest.raises(ValueError, match="two or more views"):
        self_classifier_loss(normal(N, 4))


# Prototypes


def test_prototypes_are_used_as_they_are_until_normalized():
    layer, x = Prototypes(5), normal(N, D)
    layer.build(x.shape)
    np.testing.assert_allclose(np.linalg.norm(layer.prototypes, axis=1), 1.0, rtol=1e-5)
    unit = layer.prototypes.numpy()
    layer.prototypes.assign(3.0 * unit)
    np.testing.assert_allclose(layer(x), 3.0 * x.numpy() @ unit.T, rtol=1e-4, atol=1e-5)
    layer.normalize()
    np.testing.assert_allclose(layer.prototypes, unit, rtol=1e-5)


def test_weight_normalised_scores_do_not_see_the_length_of_the_directions():
    layer, x = WeightNormalizedPrototypes(5, learnable_scale=True), normal(N, D)
    scores = layer(x)
    layer.directions.assign(7.0 * layer.directions)
    np.testing.assert_allclose(layer(x), scores, rtol=1e-4, atol=1e-6)
    layer.scale.assign(2.0 * layer.scale)
    np.testing.assert_allclose(layer(x), 2.0 * scores, rtol=1e-4, atol=1e-6)
    assert len(WeightNormalizedPrototypes(5).trainable_weights) == 0
    assert len(layer.trainable_weights) == 2


@pytest.mark.parametrize(
    "make", [lambda: Prototypes(5), lambda: WeightNormalizedPrototypes(5), L2Normalization]
)
def test_layer_scores_in_float32_under_a_half_policy(make):
    keras.config.set_dtype_policy("mixed_float16")
    layer = make()
    y = layer(ops.cast(100 * normal(N, D), "float16"))
    assert (
        y.dtype == "float32"
        and layer.compute_output_spec(keras.KerasTensor((N, D))).shape == y.shape
    )


def test_dino_head_scores_are_cosines_and_survive_a_file(tmp_path):
    head = dino_head(D, hidden_dim=12, bottleneck_dim=4, num_prototypes=9)
    head.save(tmp_path / "head.keras")
    x = normal(N, D)
    scores = head(x)
    assert scores.shape == (N, 9) and np.all(np.abs(scores) <= 1.0 + 1e-6)
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "head.keras")(x), scores)


def test_exact_gelu_is_keras_gelu():
    x = normal(N, D)
    np.testing.assert_allclose(exact_gelu(x), ops.gelu(x, approximate=False), rtol=1e-5, atol=1e-6)


# Replicas


def test_two_replicas_share_queue_centre_and_balance(two_replicas):
    x, start = normal(8, D), l2_normalize(normal(16, D, seed=4))
    layers = [(KeyQueue(16, D), Centering())]
    with two_replicas.scope():
        layers.append((KeyQueue(16, D), Centering()))
        layers[1][1].build((None, D))
    for queue, _ in layers:
        queue.keys.assign(start)

    def step(queue, centering, x):
        centered = centering(x)
        centering.update(centered)
        queue.enqueue(x)
        return sinkhorn(x, epsilon=0.5)

    codes = step(*layers[0], x)
    parts = two_replicas.experimental_distribute_values_from_function(
        lambda context: x[4 * context.replica_id_in_sync_group :][:4]
    )
    run = tf.function(lambda parts: two_replicas.run(lambda x: step(*layers[1], x), (parts,)))
    shared = two_replicas.experimental_local_results(run(parts))
    np.testing.assert_allclose(np.concatenate(shared), codes, rtol=1e-4, atol=1e-6)
    for one, two in zip(*layers, strict=True):
        for a, b in zip(one.weights, two.weights, strict=True):
            for copy in two_replicas.experimental_local_results(b.value):
                np.testing.assert_allclose(a, copy, rtol=1e-5, atol=1e-7)
