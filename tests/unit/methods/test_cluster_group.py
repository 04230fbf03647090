"""CPLearn, GEDI, DeepCluster and CPC: state and losses against NumPy, and laws of their parts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl.core.errors import UserError
from keras_ssl.layers import memory
from keras_ssl.layers.langevin import LangevinSampler, langevin_step
from keras_ssl.layers.memory import nearest, spherical_kmeans
from keras_ssl.layers.patches import patch_grid, row_context
from keras_ssl.losses.cpc import infonce, row_prediction_loss
from keras_ssl.losses.cplearn import (
    cplearn_forward_loss,
    cplearn_loss,
    log_probabilities,
    reverse_kl,
    symmetric_cplearn_forward_loss,
)
from keras_ssl.losses.deepcluster import cluster_prediction_loss
from keras_ssl.ops.norms import l2_normalize
from tests.descriptors import BATCH, INPUT_SHAPE, METHODS, make_method, make_views

PRIOR = np.array([4.0, 2.0, 1.0, 1.0], "float32")


def random(*shape, seed=1):
    return keras.random.normal(shape, seed=seed)


def unit(*shape, seed=1):
    return np.asarray(l2_normalize(random(*shape, seed=seed)))


def softmax(x):
    p = np.exp(x - x.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def changed(name, **arguments):
    """A small method with other arguments than the table's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, name, {**METHODS[name], **arguments})
        return make_method(name)


def fit(method, views, steps):
    data = tf.data.Dataset.from_tensors(views).repeat()
    return method.fit(data, steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False)


# CPLearn.


def test_codes_used_as_the_prior_says_cost_nothing():
    use = np.repeat(np.arange(4), PRIOR.astype(int))  # 8 rows, each sure of one code
    log_p = log_probabilities(1e3 * tf.one_hot(use, 4))
    np.testing.assert_allclose(reverse_kl(log_p, PRIOR), 0.0, atol=1e-6)
    assert reverse_kl(log_p) > 0.1
    collapsed = log_probabilities(1e3 * tf.one_hot([2] * 8, 4))
    np.testing.assert_allclose(reverse_kl(collapsed, PRIOR), np.log(8), rtol=1e-5)


@pytest.mark.parametrize("loss", [cplearn_loss, cplearn_forward_loss])
def test_a_prior_counts_up_to_a_factor_and_alike_codes_are_the_default(loss):
    a, b = random(5, 4), random(5, 4, seed=2)
    np.testing.assert_allclose(loss(a, b, prior=PRIOR), loss(a, b, prior=3 * PRIOR), rtol=1e-6)
    np.testing.assert_allclose(loss(a, b, prior=np.full(4, 0.7)), loss(a, b), rtol=1e-6)
    assert abs(loss(a, b, prior=PRIOR) - loss(a, b)) > 1e-3


def test_the_forward_prior_term_is_the_cross_entropy_of_the_prior():
    a, b, q = random(5, 4), random(5, 4, seed=2), PRIOR / PRIOR.sum()
    p, other = softmax(np.asarray(a)), softmax(np.asarray(b))
    wanted = -0.3 * np.mean((p * np.log(other)).sum(-1)) - (q * np.log(p.mean(0))).sum()
    found = cplearn_forward_loss(a, b, beta=0.3, prior=PRIOR)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "l2"])
@pytest.mark.parametrize(
    "divergence, loss", [("reverse", cplearn_loss), ("forward", symmetric_cplearn_forward_loss)]
)
def test_cplearn_compares_embeddings_with_its_codes(activation, divergence, loss):
    options = {"activation": activation, "divergence": divergence, "beta": 0.4}
    method = changed("cplearn", **options)
    outputs = method.embed(make_views(method), training=True)
    codes = np.asarray(method.codes.codes)
    assert set(np.unique(codes)) == {-1.0, 1.0} and not method.codes.trainable_variables
    features = method.encode(make_views(method), training=True)
    tau = 16 / (np.sqrt(BATCH) * np.log((1 - 1e-8 * 31) / 1e-8))
    for logits, feature in zip(outputs, features, strict=True):
        h = np.asarray(method.embedder(feature, training=True))
        h = (
            np.tanh(h)
            if activation == "tanh"
            else np.sqrt(16 / BATCH) * np.asarray(l2_normalize(h))
        )
        np.testing.assert_allclose(logits, h @ codes / tau, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(method.loss_terms(outputs)["cplearn"], loss(*outputs, beta=0.4))


@pytest.mark.parametrize("activation", ["tanh", "l2"])
def test_cplearn_reads_any_batch_at_the_temperature_of_its_own(activation):
    method = changed("cplearn", activation=activation)
    x = random(BATCH, 16)
    np.testing.assert_allclose(method.codes(x[:2]), method.codes(x)[:2], rtol=1e-5, atol=1e-6)


def test_cplearn_takes_a_prior_of_the_right_length_only():
    with pytest.raises(UserError, match="each of the 32 codes. Received 3 shares"):
        changed("cplearn", prior=(1.0, 2.0, 3.0))
    with pytest.raises(UserError, match="each a number greater than 0"):
        changed("cplearn", prior=(0.0,) + 31 * (1.0,))
    with pytest.raises(UserError, match="Did you mean 'forward'"):
        changed("cplearn", divergence="forwrd")
    method = changed("cplearn", prior=tuple(range(1, 33)))
    assert np.isfinite(fit(method, make_views(method), 2).history["loss"][0])


# GEDI.


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
        noise = (2 * step) ** 0.5 * random(*x.shape, seed=index)
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


def test_sampling_changes_nothing_but_the_buffer():
    method = make_method("gedi")
    buffer = {variable.path for variable in method.sampler.variables}
    before = {v.path: np.asarray(v).copy() for v in method.variables}
    views = method.prepare(make_views(method))
    assert views["samples"].shape == (BATCH, *INPUT_SHAPE)
    moved = {v.path for v in method.variables if np.any(np.asarray(v) != before[v.path])}
    assert moved == buffer


def test_the_energy_is_that_of_the_logits_and_of_each_image_alone():
    method = make_method("gedi")
    method.embed(method.prepare(make_views(method)), training=True)  # moves running statistics
    images = make_views(method)["global"][:, 0]
    logits = np.asarray(method.projector(method.encoder(images)))
    energy = method.energy(images)
    np.testing.assert_allclose(energy, -np.log(np.exp(logits).sum(-1)), rtol=1e-5)
    np.testing.assert_allclose(method.energy(images[:2]), energy[:2], rtol=1e-5)
    sharp = changed("gedi", temperature=0.5)
    sharp.set_weights(method.get_weights())
    np.testing.assert_allclose(sharp.energy(images), -np.log(np.exp(2 * logits).sum(-1)), rtol=1e-5)


def test_the_generative_term_lowers_real_images_under_samples():
    method = changed("gedi", generative_weight=0.5)
    outputs = {
        "logits": [random(4, 6), random(4, 6, seed=2)],
        "real": ops.array([1.0, 2.0, 3.0, 4.0]),
        "samples": ops.array([0.0, 0.0, 1.0, 1.0]),
    }
    assert float(method.loss_terms(outputs)["generative"]) == 1.0
    plain = make_method("gedi_nogen").loss_terms(outputs["logits"])
    np.testing.assert_allclose(
        method.loss_terms(outputs)["gedi_nogen"], plain["gedi_nogen"], rtol=1e-6
    )


# DeepCluster.


def test_spherical_kmeans_is_its_loop():
    rows = unit(30, 4)
    for clusters, seed in ((3, 0), (7, (1, 2, 3)), (30, 4)):
        first = np.random.default_rng(seed).choice(30, clusters, replace=False)
        centroids = rows[first]
        for _ in range(5):
            labels = np.argmax(rows @ centroids.T, axis=1)
            for k in set(labels):
                total = rows[labels == k].sum(0)
                centroids[k] = total / np.linalg.norm(total)
        labels = np.argmax(rows @ centroids.T, axis=1)
        found = spherical_kmeans(ops.array(rows), clusters, num_iterations=5, seed=seed)
        np.testing.assert_allclose(found[0], centroids, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found[1], labels)


def test_a_cluster_that_lost_its_rows_keeps_its_centroid():
    rows = ops.array([[1.0, 0.0]] * 4)
    centroids, labels = spherical_kmeans(rows, 3)
    np.testing.assert_array_equal(centroids, [[1.0, 0.0]] * 3)
    np.testing.assert_array_equal(labels, [0, 0, 0, 0])


def test_clusters_do_not_depend_on_the_blocks_they_are_found_in(monkeypatch):
    rows = ops.array(unit(30, 4))
    whole = spherical_kmeans(rows, 5, seed=3)
    monkeypatch.setattr(memory, "BLOCK", 7)
    parts = spherical_kmeans(rows, 5, seed=3)
    np.testing.assert_allclose(whole[0], parts[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(whole[1], parts[1])
    np.testing.assert_array_equal(nearest(rows, whole[0]), whole[1])


def test_cluster_prediction_is_cross_entropy_averaged_over_views_and_heads():
    scores = [[random(5, width, seed=10 * width + view) for view in (0, 1)] for width in (3, 4)]
    targets = np.array([[0, 1, 2, 0, 1], [3, 2, 1, 0, 3]])
    wanted = np.mean(
        [
            -np.mean([np.log(softmax(np.asarray(view)[b] / 0.2))[targets[h, b]] for b in range(5)])
            for h, views in enumerate(scores)
            for view in views
        ]
    )
    found = cluster_prediction_loss(scores, targets, temperature=0.2)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_classes_are_alike_in_size_before_there_are_clusters():
    method = changed("deepcluster", num_images=24)
    for head, count in enumerate(method.num_prototypes):
        sizes = np.bincount(np.asarray(method.memory.classes)[head], minlength=count)
        assert len(sizes) == count and np.all(sizes == 24 // count)


def test_the_memory_holds_the_latest_projections_of_every_image():
    method = changed("deepcluster", num_images=20)
    expected = np.asarray(method.memory.projections).copy()
    np.testing.assert_allclose(np.linalg.norm(expected, axis=-1), 1.0, rtol=1e-5)
    for step, index in enumerate(([1, 3, 5, 7], [0, 3, 19, 2])):
        projections = [unit(4, 8, seed=10 * step + view) for view in (0, 1)]
        index = np.array(index, "int64")
        method.after_step({"index": index, "projections": projections})
        for view in (0, 1):
            expected[view, index] = projections[view]
        np.testing.assert_array_equal(method.memory.projections, expected)


def test_a_step_trains_on_the_classes_of_its_images_and_remembers_them():
    method = changed("deepcluster", num_images=20)
    index = np.array([4, 2, 9, 0, 11, 19, 6, 7])
    views = {**make_views(method), "index": ops.array(index, "int64")}
    before = np.asarray(method.memory.projections).copy()
    outputs = method.embed(views, training=True)
    np.testing.assert_array_equal(outputs["classes"], np.asarray(method.memory.classes)[:, index])
    z = np.asarray(outputs["projections"][1])
    prototypes = np.asarray(method.memory.prototypes[0].prototypes)
    np.testing.assert_allclose(outputs["scores"][0][1], z @ prototypes.T, rtol=1e-4, atol=1e-6)
    fit(method, views, 1)
    memory = np.asarray(method.memory.projections)
    others = np.setdiff1d(np.arange(20), index)
    np.testing.assert_array_equal(memory[:, others], before[:, others])
    for view in (0, 1):
        np.testing.assert_allclose(
            memory[view, index], outputs["projections"][view], rtol=1e-4, atol=1e-5
        )
    assert not any(layer.trainable_variables for layer in method.memory.prototypes)


def test_heads_cluster_the_views_in_turn_at_the_start_of_an_epoch():
    method = changed("deepcluster", num_images=20, num_prototypes=(4, 3, 5))
    method.start_epoch(2)
    memory = np.asarray(method.memory.projections)
    for head, layer in enumerate(method.memory.prototypes):
        rows = ops.array(memory[head % 2])
        centroids, labels = spherical_kmeans(
            rows, layer.num_prototypes, num_iterations=10, seed=(0, 2, head)
        )
        np.testing.assert_array_equal(layer.prototypes, centroids)
        np.testing.assert_array_equal(np.asarray(method.memory.classes)[head], labels)
    old = np.asarray(method.memory.classes).copy()
    method.start_epoch(3)
    assert np.any(np.asarray(method.memory.classes) != old)  # another seed for every epoch


def test_clusters_of_images_are_those_of_their_projections_in_the_memory():
    method = make_method("deepcluster")
    images = make_views(method)["global"][:, 0]
    projections = l2_normalize(method.projector(method(images), training=False))
    method.memory.projections.assign(ops.stack([projections, -projections]))
    method.start_epoch(1)
    found = np.argmax(method.cluster_scores(images), axis=1)
    np.testing.assert_array_equal(found, method.memory.classes[0])


def test_the_classes_stay_through_an_epoch_and_change_with_the_next():
    method = changed("deepcluster", num_images=20)
    seen = [np.asarray(method.memory.classes).copy()]
    for steps in (3, 1, 2):  # 3 are an epoch
        fit(method, make_views(method), steps)
        seen.append(np.asarray(method.memory.classes).copy())
    moved = [bool(np.any(a != b)) for a, b in zip(seen, seen[1:], strict=False)]
    assert moved == [False, True, False]


@pytest.mark.slow
def test_two_replicas_cluster_like_one(two_replicas):
    single = make_method("deepcluster")
    with two_replicas.scope():
        double = make_method("deepcluster")
        double.set_weights(single.get_weights())
    for method in (single, double):
        fit(method, make_views(method), 4)  # into the second epoch
    np.testing.assert_array_equal(single.memory.classes, ops.cast(double.memory.classes, "int32"))
    for a, b in zip(single.get_weights(), double.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_more_clusters_than_images_are_refused_with_what_fits():
    with pytest.raises(UserError, match=r"from 2 to 20 clusters.*Received \(4, 21\): try \(2, 2"):
        changed("deepcluster", num_images=20, num_prototypes=(4, 21))
    with pytest.raises(UserError, match="1 or more values"):
        changed("deepcluster", num_prototypes=())


# CPC.


def test_patches_are_the_squares_that_overlap_by_half():
    images = random(2, 8, 11, 3)
    patches = patch_grid(images, 4)
    assert patches.shape == (2, 3, 4, 4, 4, 3)
    for row in range(3):
        for column in range(4):
            square = images[:, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4]
            np.testing.assert_array_equal(patches[:, row, column], square)


def test_infonce_lies_between_zero_and_the_logarithm_of_the_candidates():
    z = 3.0 * unit(6, 3)
    same = np.repeat(z[:1], 6, axis=0)
    np.testing.assert_allclose(infonce(z[:4], same), np.log(6), rtol=1e-6)
    np.testing.assert_allclose(infonce(100 * np.eye(6), np.eye(6)), 0.0, atol=1e-6)
    assert infonce(z, z) < infonce(z, z[::-1])


def test_row_prediction_is_its_loop_over_patches():
    batch, rows, columns, dim = 2, 4, 3, 5
    latents = np.asarray(random(batch, rows, columns, dim))
    predictions = [np.asarray(random(*latents.shape, seed=k)) for k in (5, 6)]
    everything = latents.reshape(-1, dim)
    steps = []
    for k, prediction in enumerate(predictions, 1):
        terms = []
        for place in np.ndindex(batch, rows - k, columns):
            b, r, c = place
            logits = everything @ prediction[place]
            positive = latents[b, r + k, c] @ prediction[place]
            terms.append(np.log(np.exp(logits).sum()) - positive)
        steps.append(np.mean(terms))
    found = row_prediction_loss(predictions, latents)
    np.testing.assert_allclose(found, np.mean(steps), rtol=1e-5)
    order = [1, 0]
    mixed = row_prediction_loss([p[order] for p in predictions], latents[order])
    np.testing.assert_allclose(found, mixed, rtol=1e-6)


def test_rows_without_a_row_below_are_not_predicted():
    with pytest.raises(ValueError, match="from 1 to 1 to predict: 2"):
        row_prediction_loss(2 * [random(2, 2, 3, 4)], random(2, 2, 3, 4))


def test_the_context_sees_its_row_and_those_above_only():
    context = row_context(4, width=6, num_blocks=3)
    grid = np.array(random(1, 5, 5, 4))
    before = np.asarray(context(grid))
    grid[0, 2, 2] += 1.0
    seen = np.any(np.asarray(context(grid)) != before, axis=-1)[0]
    assert not seen[:2].any()
    assert seen[2, 1:4].all() and seen[3, 2] and seen[4, 2]


@pytest.mark.parametrize("side, size", [(16, 4), (32, 8), (224, 56), (256, 64)])
def test_patches_are_a_quarter_of_the_side_by_default(side, size):
    method = changed("cpc", patch_size=0)
    patches = patch_grid(tf.zeros((1, side, side, 1)), method._patch_size(side))
    assert patches.shape == (1, 7, 7, size, size, 1)


def test_cpc_predicts_the_features_of_patches():
    method = make_method("cpc")
    views = make_views(method)
    outputs = method.embed(views, training=False)
    patches = ops.reshape(patch_grid(views["global"][:, 0], 4), (-1, 4, 4, 3))
    latents = ops.reshape(method.encoder(patches, training=False), (BATCH, 3, 3, 8))
    np.testing.assert_allclose(outputs["latents"], latents, rtol=1e-5, atol=1e-6)
    kernel = method.predictors[1].kernel
    wanted = method.context(latents) @ ops.convert_to_tensor(kernel.value)
    np.testing.assert_allclose(outputs["predictions"][1], wanted, rtol=1e-4, atol=1e-5)
    assert len(outputs["predictions"]) == 2


def test_grids_that_are_too_small_are_refused_with_what_fits():
    method = changed("cpc", num_steps=3)
    with pytest.raises(UserError, match="there are 3. Set method.num_steps to 2"):
        method.embed(make_views(method), training=True)
    with pytest.raises(UserError, match="Received patch_size=5: try 6"):
        changed("cpc", patch_size=5)
