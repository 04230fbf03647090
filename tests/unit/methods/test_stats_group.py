"""Barlow Twins, VICReg, W-MSE, DBN and SimMER: laws, state over several steps, hard batches."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl.config import Catalog, resolve
from keras_ssl.core.errors import UserError
from keras_ssl.core.replicas import all_gather, known_rows
from keras_ssl.layers.whitening import (
    DecorrelatedBatchNormalization,
    iterative_whiten,
    shuffled_whiten,
    whiten_sub_batches,
    zca_whiten,
)
from keras_ssl.losses.barlow_twins import barlow_twins_loss
from keras_ssl.losses.dbn import dbn_loss
from keras_ssl.losses.simmer import RANK_TERMS, rank_loss, simmer_loss, total_variance
from keras_ssl.losses.vicreg import vicreg_loss
from keras_ssl.losses.wmse import wmse_loss
from keras_ssl.methods.barlow_twins import BarlowTwins
from keras_ssl.methods.dbn import DBN, VARIANTS
from keras_ssl.methods.simmer import SimMER
from keras_ssl.methods.vicreg import VICReg
from keras_ssl.methods.wmse import WMSE
from keras_ssl.ops.pairs import mean_over_pairs
from keras_ssl.ops.random import permutation
from keras_ssl.training import checkpoints
from pipelines.views.policies import POLICIES, ViewPolicy
from tests.descriptors import make_method, make_views

every_variant = pytest.mark.parametrize("variant", VARIANTS)


def random(*shape, seed=0, dtype="float32"):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), dtype)


def features_as_images(method_class, features, **options):
    """A compiled method whose encoder is the identity on (batch, features), with a fixed seed."""
    inputs = keras.Input((features,))
    method = method_class(keras.Model(inputs, keras.layers.Identity()(inputs)), **options)
    method.compile(keras_ssl.OPTIMIZERS["sgd"](0.1), jit_compile=False)
    method.optimizer.build(method.trainable_variables)
    return method


def at_step(method, step):
    method.optimizer.iterations.assign(step)
    return method


def total(method, outputs):
    return float(sum(method.loss_terms(outputs).values()))


def pair_average(loss, views):
    return np.mean([float(loss(a, b)) for a, b in itertools.combinations(views, 2)])


# What they share.


def test_mean_over_pairs_takes_every_pair_once():
    seen = []
    mean_over_pairs(lambda a, b: seen.append((a, b)) or 0.0, "abcd")
    assert seen == list(itertools.combinations("abcd", 2))
    with pytest.raises(ValueError, match="two or more views"):
        mean_over_pairs(lambda a, b: 0.0, "a")


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


@pytest.mark.parametrize("loss", [barlow_twins_loss, vicreg_loss, wmse_loss])
def test_a_loss_of_more_views_is_the_average_over_pairs(loss):
    views = [random(6, 4, seed=seed) for seed in range(4)]
    np.testing.assert_allclose(loss(*views), pair_average(loss, views), rtol=1e-5)
    np.testing.assert_allclose(loss(*views[::-1]), loss(*views), rtol=1e-5)
    with pytest.raises(ValueError, match="two or more views"):
        loss(views[0])


# What only fewer or equal rows bring: each loss as its method computes it, of (batch, 4) views.
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


# A singular covariance beside a live view: the slopes are right, and larger than float16's numbers.
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


# Barlow Twins and VICReg.


def test_barlow_twins_terms_add_up_to_the_scaled_loss():
    method = features_as_images(
        BarlowTwins, 4, redundancy_weight=0.3, loss_scale=0.1, hidden_dim=5, projection_dim=6
    )
    outputs = [random(8, 6, seed=seed) for seed in range(3)]
    wanted = 0.1 * float(barlow_twins_loss(*outputs, redundancy_weight=0.3))
    np.testing.assert_allclose(total(method, outputs), wanted, rtol=1e-5)


def test_barlow_twins_reads_view_2_at_the_target_temperature_and_vicreg_does_not():
    for name, differs in (("sem_barlow_twins", True), ("sem_vicreg", False)):
        method = make_method(name)
        views = make_views(method)
        views["global"] = ops.repeat(views["global"][:, :1], 2, axis=1)
        first, second = method.embed(views, training=True)
        assert np.any(np.abs(first - second) > 1e-3) == differs


def test_twice_the_variance_weight_of_vicreg_is_solo_learns_sum():
    method = features_as_images(VICReg, 4, variance_weight=50.0, hidden_dim=5, projection_dim=6)
    a, b = (random(8, 6, seed=seed, dtype="float64") * 0.5 for seed in range(2))
    std = [np.sqrt(np.var(z, axis=0, ddof=1) + 1e-4) for z in (a, b)]
    variance = sum(np.mean(np.maximum(1 - s, 0)) for s in std)
    covariances = [np.cov(z, rowvar=False) for z in (a, b)]
    covariance = sum((np.sum(c**2) - np.sum(np.diag(c) ** 2)) / 6 for c in covariances)
    wanted = 25 * np.mean((a - b) ** 2) + 25 * variance + covariance
    np.testing.assert_allclose(total(method, [a, b]), wanted, rtol=1e-9)


# Permutations of a step.


def test_a_permutation_depends_on_the_seed_and_the_index_alone():
    one = permutation(16, seed=3, index=5)
    assert sorted(np.asarray(one)) == list(range(16))
    compiled = tf.function(lambda index: permutation(16, 3, index), jit_compile=True)
    np.testing.assert_array_equal(compiled(tf.constant(5, "int64")), one)
    for other in (permutation(16, 4, 5), permutation(16, 3, 6)):
        assert np.any(other != one)
    assert sorted(np.asarray(permutation(16, 2**31 - 1, 2**31 - 1))) == list(range(16))


def test_permutations_of_successive_indices_are_uniform_and_independent():
    draw = tf.function(lambda index: permutation(3, 7, index))
    drawn = [tuple(draw(tf.constant(index)).numpy()) for index in range(720)]
    single = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(single) == 6 and np.all(np.abs(single - 120) < 40)
    pairs = [a + b for a, b in itertools.pairwise(drawn)]
    counts = np.unique(pairs, axis=0, return_counts=True)[1]
    assert len(counts) == 36 and np.all(counts < 45)  # 20 each on average


# W-MSE.


def small_wmse(**options):
    sizes = {"hidden_dim": 5, "projection_dim": 2, "whitening_size": 4} | options
    return features_as_images(WMSE, 4, **sizes)


def numpy_wmse(views, order, size):
    """Ermolov et al.: whiten each part of each view, then the mean over pairs of 2 - 2 cos."""
    whitened = []
    for view in views:
        white = np.empty_like(view)
        for rows in order.reshape(-1, size):
            centered = view[rows] - view[rows].mean(0)
            factor = np.linalg.cholesky(centered.T @ centered / (size - 1))
            white[rows] = np.linalg.solve(factor, centered.T).T
        whitened.append(white / np.linalg.norm(white, axis=1, keepdims=True))
    pairs = itertools.combinations(whitened, 2)
    return np.mean([2 - 2 * np.mean(np.sum(a * b, axis=1)) for a, b in pairs])


@pytest.mark.parametrize("num_splits, num_views", [(1, 2), (3, 3)])
def test_wmse_of_each_step_is_that_of_its_splits_of_all_views_alike(num_splits, num_views):
    method = small_wmse(num_splits=num_splits, seed=5)
    views = [random(12, 2, seed=seed, dtype="float64") for seed in range(num_views)]
    losses = []
    for step in (0, 1, 1000):
        losses.append(total(at_step(method, step), views))
        orders = [permutation(12, 5, step * num_splits + split) for split in range(num_splits)]
        arrays = [view.numpy() for view in views]
        wanted = np.mean([numpy_wmse(arrays, np.asarray(order), 4) for order in orders])
        np.testing.assert_allclose(losses[-1], wanted, rtol=1e-6)
    assert len({round(loss, 6) for loss in losses}) == 3
    assert total(at_step(method, 1), views) == losses[1]


def test_both_views_of_wmse_learn():
    a, b = random(8, 2), random(8, 2, seed=1)
    with tf.GradientTape() as tape:
        tape.watch([a, b])
        loss = small_wmse().loss_terms([a, b])["wmse"]
    for gradient in tape.gradient(loss, [a, b]):
        assert np.any(np.abs(tf.convert_to_tensor(gradient)) > 1e-3)


def test_wmse_splits_the_global_batch(two_replicas):
    a, b = random(8, 2), random(8, 2, seed=1)
    single = at_step(small_wmse(), 2)
    with tf.GradientTape() as tape:
        tape.watch([a, b])
        wanted = single.loss_terms([a, b])["wmse"]
    wanted_gradient = tf.convert_to_tensor(tape.gradient(wanted, a))
    with two_replicas.scope():
        double = at_step(small_wmse(), 2)

    @tf.function(autograph=False)
    def step(part):
        with tf.GradientTape() as tape:
            tape.watch(part)
            loss = double.loss_terms(list(part))["wmse"]
            scaled = loss / 2
        return loss, tape.gradient(scaled, part[0])

    parts = two_replicas.experimental_distribute_values_from_function(
        lambda context: tuple(z[4 * context.replica_id_in_sync_group :][:4] for z in (a, b))
    )
    losses, gradients = two_replicas.run(step, (parts,))
    for loss in two_replicas.experimental_local_results(losses):
        np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    gradients = np.concatenate(two_replicas.experimental_local_results(gradients))
    np.testing.assert_allclose(gradients, wanted_gradient, rtol=1e-3, atol=1e-5)


def test_sizes_that_wmse_cannot_whiten_are_refused_with_sizes_that_it_can():
    with pytest.raises(UserError, match="whitening_size=2 .* take 4 images or fewer features"):
        small_wmse(whitening_size=2)
    for batch, fits in ((6, "a batch size of 4"), (3, "a batch size of 4"), (11, "of 8")):
        views = [random(batch, 2), random(batch, 2)]
        with pytest.raises(UserError, match=f"whitening_size=4: take .*{fits}.*divides {batch}"):
            small_wmse().loss_terms(views)


def test_a_batch_that_wmse_cannot_split_ends_training_with_that_message():
    method = make_method("wmse")
    views = {"global": make_views(method)["global"][:6]}
    with pytest.raises(UserError, match="^A batch of 6 images does not divide"):
        method.fit(tf.data.Dataset.from_tensors(views), verbose=0, shuffle=False)


# DBN.


def small_dbn(variant, **options):
    sizes = {"hidden_dim": 5, "projection_dim": 6, "num_groups": 2} | options
    return features_as_images(DBN, 4, variant=variant, **sizes)


def projections(method, batch, training=True):
    """What `embed` normalises: with the features themselves for images."""
    return [method.projector(z, training=training) for z in ops.unstack(batch["global"], axis=1)]


def feature_views(batch=12, seed=0):
    return {"global": random(batch, 2, 4, seed=seed)}


@every_variant
def test_normalised_projections_are_white_as_the_variant_says(variant):
    method = small_dbn(variant)
    for view, z in enumerate(method.embed(feature_views(64), training=True)):
        z = z.numpy().astype("float64")
        np.testing.assert_allclose(z.mean(0), 0.0, atol=1e-5)
        covariance = z.T @ z / len(z)
        order = permutation(6, 0, view) if variant == "shuffled" else np.arange(6)
        covariance = covariance[order][:, order]
        inside = (
            np.eye(6, dtype=bool) if variant == "plain" else np.kron(np.eye(2), np.ones((3, 3))) > 0
        )
        tolerance = 0.6 if variant == "iterative" else 1e-2
        np.testing.assert_allclose(covariance[inside], np.eye(6)[inside], atol=tolerance)
        assert np.abs(covariance[~inside]).max() > 0.05


def test_shuffled_groups_are_drawn_anew_for_every_view_at_every_step():
    method, views = small_dbn("shuffled", seed=3), feature_views()
    seen = []
    for step in (0, 1, 2):
        outputs = at_step(method, step).embed(views, training=True)
        for view, (z, white) in enumerate(zip(projections(method, views), outputs, strict=True)):
            order = np.asarray(permutation(6, 3, 2 * step + view))
            np.testing.assert_allclose(white, shuffled_whiten(z, order, 2), atol=1e-5)
            seen.append(frozenset({frozenset(order[:3]), frozenset(order[3:])}))
    assert len(set(seen)) > 2


def numpy_whitening(z, iterations=None, epsilon=1e-5):
    """Mean and whitening matrices of two groups of three features, by eigenvalues or Newton."""
    mean, matrices = z.mean(0), []
    for group in np.split(z - mean, 2, axis=1):
        covariance = group.T @ group / len(z) + epsilon * np.eye(3)
        values, vectors = np.linalg.eigh(covariance)
        matrix = vectors / np.sqrt(values) @ vectors.T
        if iterations is not None:
            scaled = covariance / np.trace(covariance)
            matrix = np.eye(3)
            for _ in range(iterations):
                matrix = 1.5 * matrix - 0.5 * np.linalg.matrix_power(matrix, 3) @ scaled
            matrix /= np.sqrt(np.trace(covariance))
        matrices.append(matrix)
    return mean, np.stack(matrices)


@pytest.mark.parametrize("variant, iterations", [("zca", None), ("iterative", 5)])
def test_running_mean_and_matrices_follow_every_view_and_survive_a_checkpoint(
    variant, iterations, tmp_path
):
    method = small_dbn(variant)
    mean, matrices = np.zeros(6), np.stack([np.eye(3)] * 2)
    for step in range(4):
        views = feature_views(seed=step)
        for z in projections(method, views):
            new_mean, new_matrices = numpy_whitening(z.numpy().astype("float64"), iterations)
            mean, matrices = 0.9 * mean + 0.1 * new_mean, 0.9 * matrices + 0.1 * new_matrices
        if step == 2:
            checkpoints.save(method, tmp_path, step=2)
            method = small_dbn(variant)
            checkpoints.restore(method, tmp_path, 2)
        method.embed(views, training=True)
        np.testing.assert_allclose(method.norm.moving_mean, mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(method.norm.moving_whitening, matrices, rtol=1e-3, atol=1e-5)


def test_newton_steps_of_the_layer_are_those_of_the_function():
    x = random(12, 6)
    layer = DecorrelatedBatchNormalization(2, iterations=3)
    np.testing.assert_allclose(
        layer(x, training=True), iterative_whiten(x, 2, iterations=3), atol=1e-5
    )


@every_variant
def test_every_variant_trains_and_survives_a_file(variant, tmp_path):
    method = small_dbn(variant)
    data = tf.data.Dataset.from_tensors(feature_views()).repeat()
    losses = method.fit(data, steps_per_epoch=5, epochs=2, verbose=0, shuffle=False).history["loss"]
    assert losses[1] < losses[0]
    method.save(tmp_path / "dbn.keras")
    loaded = keras.saving.load_model(tmp_path / "dbn.keras")
    for a, b in zip(method.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(a, b)


@every_variant
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_projections_of_half_precision_are_normalised_in_float32(variant, policy):
    keras.config.set_dtype_policy(policy)
    outputs = small_dbn(variant).embed(feature_views(64), training=True)
    assert {z.dtype for z in outputs} == {tf.float32}


@every_variant
def test_hard_batches_give_finite_gradients(variant):
    method = small_dbn(variant)
    for x in (tf.zeros((12, 2, 4)), tf.ones((12, 2, 4)), tf.repeat(random(1, 2, 4), 12, axis=0)):
        with tf.GradientTape() as tape:
            outputs = method.embed({"global": x}, training=True)
            loss = method.loss_terms(outputs)["dbn"]
        gradients = tape.gradient(loss, [v.value for v in method.trainable_variables])
        assert np.isfinite(loss)
        assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_groups_that_do_not_fit_are_refused_with_some_that_do():
    with pytest.raises(UserError, match="Did you mean 'zca'"):
        small_dbn("zac")
    for variant in ("zca", "iterative", "shuffled"):
        with pytest.raises(UserError, match="num_groups=4 must divide the 6 features: try 2"):
            small_dbn(variant, num_groups=4).embed(feature_views(), training=True)
        with pytest.raises(UserError, match="A batch of 3 images .* take num_groups=6"):
            small_dbn(variant).embed(feature_views(3), training=True)
    small_dbn("plain").embed(feature_views(3), training=True)


# SimMER.


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
    orthogonal = tf.constant(HARD_BATCHES["equal singular values"], "float32")
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


# Recipes.

CATALOG = Catalog(tuple(POLICIES), {})


@pytest.mark.parametrize(
    "name, family, expected",
    [
        ("barlow_twins", "cifar10", {"method.loss_scale": 0.1, "optimizer.learning_rate": 0.3}),
        ("barlow_twins", "imagenet", {"method.projection_dim": 8192, "training.batch_size": 2048}),
        ("sem_barlow_twins", "cifar100", {"neck.target_temperature": 0.99}),
        ("vicreg", "cifar10", {"method.variance_weight": 50.0, "augment.policy": "cifar_vicreg"}),
        ("vicreg", "imagenet", {"method.variance_weight": 25.0, "optimizer.learning_rate": 0.2}),
        ("wmse", "cifar100", {"method.whitening_size": 128, "optimizer.learning_rate": 2e-3}),
        ("dbn", "cifar10", {"method.variant": "shuffled", "optimizer.weight_decay": 2.5e-3}),
        ("simmer", "cifar10", {"augment.num_views": 4, "method.alpha_rank": 2e-4}),
    ],
)
def test_published_settings(name, family, expected):
    settings = resolve(CATALOG, name, family=family).settings
    assert {key: settings[key][0] for key in expected} == expected


def test_policies_of_these_recipes_are_the_same_for_both_views():
    for name, solarize, jitter in (("cifar_vicreg", 0.1, 0.4), ("cifar_wmse", 0.0, 0.8)):
        first, second = POLICIES[name]
        assert first == second and isinstance(first, ViewPolicy)
        assert first.crop_scale == (0.2, 1.0) and first.blur == 0.0
        assert (first.solarize, first.brightness) == (solarize, jitter)
