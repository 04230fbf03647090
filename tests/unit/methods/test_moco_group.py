"""MoCo, SwAV, DINO and Self-Classifier step by step against NumPy; local crops; objectives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
import stages
from keras_ssl.config import Override, resolve
from keras_ssl.core.errors import UserError
from keras_ssl.layers.queue import NeighbourQueue
from keras_ssl.layers.sinkhorn import sinkhorn
from keras_ssl.losses.byol import byol_loss, multi_crop_byol_loss
from keras_ssl.losses.decoupled import symmetric_decoupled_infonce
from keras_ssl.losses.simclr import decoupled_nt_xent, nt_xent
from keras_ssl.losses.simsiam import multi_crop_simsiam_loss, simsiam_loss
from keras_ssl.ops.norms import cosine, l2_normalize
from keras_ssl.training import checkpoints
from tests.descriptors import BATCH, METHODS, STEPS_PER_EPOCH, make_method, make_views
from tests.unit.config import CATALOG

STEPS = 5


def random(*shape, seed=1):
    return keras.random.normal(shape, seed=seed)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def log_softmax(x, axis=-1):
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


def crops(count=2, size=12):
    """Views with local crops of another size."""
    method = make_method("byol")
    return {
        **make_views(method),
        "local": keras.random.uniform((BATCH, count, size, size, 3), seed=5),
    }


class Record:
    """What a method computed in each of `STEPS` steps, and its state before and after.

    It is stopped after the second step and goes on as another object that read its checkpoint.
    """

    def __init__(self, name, state, tmp_path, **options):
        self.outputs, self.before, self.after, self.losses = [], [], [], []
        method = self.make(name, **options)
        for step in range(STEPS):
            if step == 2:
                checkpoints.save(method, tmp_path, step)
                method = self.make(name, seed=7, **options)
                checkpoints.restore(method, tmp_path, step)
            self.before.append([np.array(value) for value in state(method)])
            data = tf.data.Dataset.from_tensors(self.views(method, step))
            history = method.fit(data, verbose=0, shuffle=False)
            self.losses.append(history.history["loss"][0])
            self.after.append([np.array(value) for value in state(method)])

    def make(self, name, seed=0, **options):
        defaults = METHODS[name]
        METHODS[name] = {**defaults, **options}
        try:
            method = make_method(name, seed=seed, run_eagerly=True)
        finally:
            METHODS[name] = defaults
        loss_terms = method.loss_terms

        def spy(outputs):
            self.outputs.append(tf.nest.map_structure(np.array, outputs))
            return loss_terms(outputs)

        object.__setattr__(method, "loss_terms", spy)
        return method

    @staticmethod
    def views(method, step):
        views = make_views(method, seed=step + 1)
        if "index" in views:
            views["index"] = (views["index"] + 4 * step) % 12  # images come again
        return views

    def steps(self):
        return zip(self.outputs, self.before, self.after, self.losses, strict=True)


# MoCo.


def ring(queue, pointer, rows):
    queue = queue.copy()
    queue[(pointer + np.arange(len(rows))) % len(queue)] = unit(rows)
    return queue, (pointer + len(rows)) % len(queue)


def info_nce(queries, keys, queue, temperature):
    q, k = unit(queries), unit(keys)
    logits = np.concatenate([np.sum(q * k, axis=1, keepdims=True), q @ queue.T], axis=1)
    return -np.mean(log_softmax(logits / temperature)[:, 0])


@pytest.mark.parametrize("symmetric", [False, True])
def test_moco_contrasts_with_the_queue_of_the_steps_before(symmetric, tmp_path):
    def state(method):
        return [value for queue in method.queues for value in (queue.keys, queue.pointer)]

    record = Record("moco", state, tmp_path, symmetric=symmetric)
    for outputs, before, after, loss in record.steps():
        queries, keys = outputs["queries"], outputs["keys"]
        assert len(queries) == len(keys) == len(before) // 2 == 1 + symmetric
        queues = before[::2]
        directions = [(0, 1), (1, 0)] if symmetric else [(0, 0)]
        wanted = sum(info_nce(queries[q], keys[k], queues[k], 0.2) for q, k in directions)
        np.testing.assert_allclose(loss, wanted, rtol=1e-5)
        for view, rows in enumerate(keys):
            queue, pointer = ring(before[2 * view], before[2 * view + 1], rows)
            np.testing.assert_allclose(after[2 * view], queue, atol=1e-6)
            assert after[2 * view + 1] == pointer


def test_moco_reads_a_key_from_the_view_that_the_query_is_not_from():
    method = make_method("moco")
    views = make_views(method)
    outputs = method.embed(views, training=True)
    other = tf.concat([views["global"][:, :1], 0.5 * views["global"][:, 1:]], axis=1)
    changed = method.embed({"global": other}, training=True)
    np.testing.assert_array_equal(outputs["queries"][0], changed["queries"][0])
    assert np.any(np.asarray(outputs["keys"][0]) != np.asarray(changed["keys"][0]))


def test_a_queue_that_the_batch_does_not_divide_is_refused():
    method = keras_ssl.create(
        "moco", backbone="tiny", input_shape=(8, 8, 3), queue_size=12, projection_dim=8
    )
    with pytest.raises(UserError, match="try 8"):
        method.after_step({"keys": [ops.ones((8, 8))]})


@pytest.mark.parametrize("name", ["moco", "swav", "self_classifier"])
def test_a_queue_tells_what_batches_it_takes_before_there_is_one(name):
    method = make_method(name)  # queues of 16
    method.check_batch(8)
    with pytest.raises(UserError, match="multiple of the global batch of 12: try 12"):
        method.check_batch(12)


# SwAV.


def balanced(scores, epsilon=0.05, iterations=3):
    q = np.exp(scores / epsilon)
    for _ in range(iterations):
        q = q / q.sum(axis=0, keepdims=True)
        q = q / q.sum(axis=1, keepdims=True)
    return q


def test_swav_assigns_with_the_queue_from_its_epoch_on_once_full(tmp_path):
    def state(method):
        return [method.prototypes.prototypes, *(queue.keys for queue in method.queues)]

    record = Record("swav", state, tmp_path)
    for step, (outputs, before, after, loss) in enumerate(record.steps()):
        prototypes, *queues = before
        past = queues if step >= STEPS_PER_EPOCH else [queue[:0] for queue in queues]
        codes = [
            balanced(np.concatenate([z, queue]) @ prototypes.T)[:BATCH]
            for z, queue in zip(outputs, past, strict=True)
        ]
        log_p = [log_softmax(z @ prototypes.T / 0.1) for z in outputs]
        wanted = -0.5 * sum(np.mean(np.sum(codes[i] * log_p[1 - i], axis=1)) for i in (0, 1))
        np.testing.assert_allclose(loss, wanted, rtol=1e-4)
        for z, old, new in zip(outputs, queues, after[1:], strict=True):
            np.testing.assert_allclose(new, ring(old, (step % 2) * BATCH, z)[0], atol=1e-6)


def test_swav_waits_for_a_queue_that_is_not_full_when_its_epoch_comes(tmp_path):
    record = Record("swav", lambda method: [method.queues[0].full], tmp_path, queue_start_epoch=0)
    assert [bool(before[0]) for before in record.before] == [False, False, True, True, True]
    without = Record("swav", lambda method: [], tmp_path, queue_start_epoch=9)
    np.testing.assert_array_equal(record.losses[:2], without.losses[:2])
    assert record.losses[2] != without.losses[2]


def test_prototypes_stay_unit_vectors_that_move_after_the_first_epoch(tmp_path):
    record = Record("swav", lambda method: [method.prototypes.prototypes], tmp_path)
    for step, (_, (before,), (after,), _) in enumerate(record.steps()):
        np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1.0, rtol=1e-6)
        assert (np.abs(after - before).max() > 1e-5) == (step >= STEPS_PER_EPOCH)


def test_weights_count_a_row_as_often_as_they_say():
    scores, again = random(6, 4), random(3, 4, seed=2)
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


def test_swav_puts_images_in_the_cluster_of_the_nearest_prototype():
    method = make_method("swav")
    images = make_views(method)["global"][:, 0]
    z = np.asarray(l2_normalize(method.projector(method(images), training=False)))
    distances = np.linalg.norm(z[:, None] - np.asarray(method.prototypes.prototypes), axis=-1)
    found = np.argmax(method.cluster_scores(images), axis=1)
    np.testing.assert_array_equal(found, np.argmin(distances, axis=1))


# DINO.


def test_dino_centres_before_the_update_and_warms_its_teacher_by_epoch(tmp_path):
    record = Record("dino", lambda method: [method.centering.center], tmp_path)
    temperatures = np.linspace(0.4, 0.5, 4)
    for step, (outputs, (center,), (after,), loss) in enumerate(record.steps()):
        tau = temperatures[step // STEPS_PER_EPOCH]
        targets = [np.exp(log_softmax((t - center) / tau)) for t in outputs["teacher"]]
        log_p = [log_softmax(s / 0.1) for s in outputs["student"]]
        wanted = -0.5 * sum(np.mean(np.sum(targets[i] * log_p[1 - i], axis=1)) for i in (0, 1))
        np.testing.assert_allclose(loss, wanted, rtol=1e-4)
        mean = np.concatenate(outputs["teacher"]).mean(axis=0)
        np.testing.assert_allclose(after, 0.9 * center + 0.1 * mean, atol=1e-6)


def test_the_last_layer_of_dino_moves_after_the_first_epoch(tmp_path):
    def state(method):
        return [method.projector.get_layer("prototypes").directions]

    record = Record("dino", state, tmp_path)
    moved = [np.any(a != b) for (a,), (b,) in zip(record.before, record.after, strict=True)]
    assert moved == [step >= STEPS_PER_EPOCH for step in range(STEPS)]


def test_the_teacher_sees_no_local_crops():
    method, views = make_method("dino"), crops()
    outputs = method.embed(views, training=True)
    assert (len(outputs["student"]), len(outputs["teacher"])) == (4, 2)
    without = method.embed({"global": views["global"]}, training=True)
    np.testing.assert_array_equal(outputs["teacher"], without["teacher"])


@pytest.mark.parametrize("name", ["swav", "dino"])
def test_the_optimizer_counts_the_gradients_of_parameters_that_it_may_not_move(name):
    held, free = make_method(name, optimizer="adamw"), make_method(name, optimizer="adamw")
    free.freeze_epochs = 0
    for method in (held, free):
        method.train_step(make_views(method))
    for a, b in zip(held.optimizer.variables, free.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    stays, moves = (method.held_still()[0][0] for method in (held, free))
    assert np.any(np.asarray(stays) != np.asarray(moves))
    np.testing.assert_array_equal(stays, make_method(name).held_still()[0][0])


@pytest.mark.parametrize("name", ["swav", "dino"])
def test_methods_that_count_epochs_ask_for_their_length(name):
    arguments = {**METHODS[name], "steps_per_epoch": None}
    method = keras_ssl.create(name, backbone="tiny", input_shape=(8, 8, 3), **arguments)
    with pytest.raises(UserError, match="steps_per_epoch"):
        method.held_still()


def test_clusters_of_dino_are_those_of_the_student():
    method = make_method("dino")
    images = make_views(method)["global"][:, 0]
    before = np.asarray(method.cluster_scores(images))
    for copy in (*method.target_encoder.weights, *method.target_projector.weights):
        copy.assign(copy + 1.0)
    np.testing.assert_array_equal(method.cluster_scores(images), before)
    features = method(images)
    np.testing.assert_array_equal(method.projector(features, training=False), before)


# Self-Classifier.


def two_softmaxes(a, b):
    """Cross-entropy of the targets of `a` with the predictions of `b`."""
    target = np.exp(log_softmax(a / 0.05, axis=0))
    target = target / target.sum(axis=1, keepdims=True)
    p = np.exp(log_softmax(b / 0.1, axis=1))
    p = p / p.sum(axis=0, keepdims=True) * len(p) / p.shape[1]
    return -np.mean(np.sum(target * np.log(p + 1e-12), axis=1))


def test_self_classifier_takes_the_nearest_of_another_image_once_its_queue_is_full(tmp_path):
    def state(method):
        heads = [part for head in method.classifiers for part in (head.directions, head.scale)]
        return [method.queue.keys, method.queue.images, *heads]

    record = Record("self_classifier", state, tmp_path)
    for step, (outputs, before, after, loss) in enumerate(record.steps()):
        keys, images, *heads = before
        first, second = outputs["embeddings"]
        if step >= 2:  # 16 keys of 8 images each
            cosines = np.where(outputs["index"][:, None] == images, -np.inf, first @ keys.T)
            assert np.any(np.isinf(cosines))
            used = keys[cosines.argmax(axis=1)]
        else:
            used = first
        losses = []
        for directions, scale in zip(heads[::2], heads[1::2], strict=True):
            a, b = (rows @ unit(directions).T * scale for rows in (used, second))
            losses += [two_softmaxes(a, b), two_softmaxes(b, a)]
        np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-4)
        np.testing.assert_allclose(after[0], ring(keys, (step % 2) * BATCH, first)[0], atol=1e-6)
        places = (step % 2) * BATCH + np.arange(BATCH)
        np.testing.assert_array_equal(after[1][places], outputs["index"])


def test_the_nearest_key_is_never_of_the_same_image():
    queue = NeighbourQueue(4, 3)
    queue.enqueue(ops.take(ops.eye(3), [0, 0, 1, 2], axis=0), [5, 6, 7, 8])
    rows = ops.array([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5], [-1.0, -0.9, -0.5]])
    found = queue.nearest(rows, [7, 9, 8])
    np.testing.assert_array_equal(found, [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])


# Local crops and objectives of SimCLR, BYOL and SimSiam.


def test_two_views_have_the_value_they_had_without_local_crops():
    p1, p2, z1, z2 = random(4, 8, 6)
    halves = ops.mean(cosine(p1, z2)) + ops.mean(cosine(p2, z1))
    assert float(simsiam_loss(p1, p2, z1, z2)) == float(-0.5 * halves)
    each = (2 - 2 * cosine(p1, z2)) + (2 - 2 * cosine(p2, z1))
    assert float(byol_loss(p1, p2, z1, z2)) == float(ops.mean(each))


def test_local_crops_predict_every_global_view_and_are_not_predicted():
    predictions, targets = random(4, 8, 6), random(2, 8, 6, seed=2)
    pairs = [(0, 1), (1, 0), (2, 0), (2, 1), (3, 0), (3, 1)]
    cosines = [float(ops.mean(cosine(predictions[v], targets[g]))) for v, g in pairs]
    lists = [*predictions], [*targets]
    np.testing.assert_allclose(multi_crop_simsiam_loss(*lists), -np.mean(cosines), rtol=1e-5)
    wanted = np.sum(2 - 2 * np.array(cosines))
    np.testing.assert_allclose(multi_crop_byol_loss(*lists), wanted, rtol=1e-5)


@pytest.mark.parametrize("name, key", [("byol", "targets"), ("simsiam", "projections")])
def test_local_crops_have_predictions_and_no_targets(name, key):
    outputs = make_method(name).embed(crops(), training=True)
    assert (len(outputs["predictions"]), len(outputs[key])) == (4, 2)


def test_simclr_contrasts_local_crops_like_views():
    method = make_method("simclr")
    outputs = method.embed(crops(), training=True)
    assert len(outputs) == 4
    wanted = nt_xent(*outputs, temperature=0.5)
    np.testing.assert_array_equal(method.loss_terms(outputs)["contrastive"], wanted)


def test_simclr_of_three_views_adds_up_the_two_positives_of_a_row():
    views = np.asarray(random(3, 5, 6))
    rows = (views / np.linalg.norm(views, axis=-1, keepdims=True)).reshape(15, 6)
    similarity = np.exp(rows @ rows.T / 0.5)
    losses = []
    for i in range(15):
        others = similarity[i].sum() - similarity[i, i]
        positives = sum(similarity[i, j] for j in range(15) if j != i and j % 5 == i % 5)
        losses.append(-np.log(positives / others))
    np.testing.assert_allclose(nt_xent(*views, temperature=0.5), np.mean(losses), rtol=1e-5)


def test_decoupled_objective_is_the_mean_over_the_pairs_of_views():
    a, b, c = random(3, 8, 6)
    pair = symmetric_decoupled_infonce
    wanted = (pair(a, b) + pair(a, c) + pair(b, c)) / 3
    np.testing.assert_allclose(decoupled_nt_xent(a, b, c, temperature=0.5), wanted, rtol=1e-6)
    with pytest.raises(ValueError, match="two or more views"):
        decoupled_nt_xent(a)


def test_simclr_takes_the_decoupled_objective_and_a_linear_projector():
    method = keras_ssl.create(
        "simclr",
        backbone="tiny",
        input_shape=(8, 8, 3),
        objective="decoupled",
        hidden_dim=0,
        projection_dim=4,
    )
    assert [layer.name for layer in method.projector.layers] == ["dense0"]
    method.compile(keras_ssl.SGD(0.1), jit_compile=False)
    outputs = method.embed(make_views(method), training=True)
    wanted = symmetric_decoupled_infonce(*outputs, temperature=0.5)
    np.testing.assert_allclose(method.loss_terms(outputs)["contrastive"], wanted, rtol=1e-6)
    with pytest.raises(UserError, match="Did you mean 'decoupled'"):
        keras_ssl.SimCLR(method.encoder, objective="decouple")


# The recipe of DINO raises the weight decay.


def test_a_recipe_with_a_final_weight_decay_gets_a_cosine():
    recipe = resolve(CATALOG, "dino", family="imagenet")
    decay = stages.build_optimizer(recipe, updates=200).weight_decay
    np.testing.assert_allclose([decay(step) for step in (0, 100, 200)], [0.04, 0.22, 0.4])
    recipe = resolve(CATALOG, "dino", family="digits")
    assert stages.build_optimizer(recipe, updates=200).weight_decay == 0.04


# The recipe of SimSiam leaves the predictor's learning rate alone.


def test_a_constant_learning_rate_is_per_256_images_and_by_default_the_peak():
    peak = resolve(CATALOG, "simsiam", family="imagenet")  # 0.05 per 256, batches of 512
    assert stages.build_optimizer(peak, updates=200).constant_lr == pytest.approx(0.1)
    own = [Override("optimizer.constant_lr", "0.4", "--set")]
    recipe = resolve(CATALOG, "simsiam", own, family="imagenet")
    assert stages.build_optimizer(recipe, updates=200).constant_lr == pytest.approx(0.8)
    alone = resolve(CATALOG, "simclr", own, family="digits")
    with pytest.raises(UserError, match="constant_lr_layers and constant_lr go together"):
        stages.build_optimizer(alone, updates=200)
