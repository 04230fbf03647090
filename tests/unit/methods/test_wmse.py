"""W-MSE: its sub-batches and the sizes it can whiten."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from keras_ssl.layers.whitening import whiten_sub_batches
from keras_ssl.layers.whitening_matrices import WHITENINGS
from keras_ssl.losses.wmse import wmse_loss
from keras_ssl.methods.wmse import WMSE
from keras_ssl.ops.random import permutation
from tests.descriptors import make_method, make_views
from tests.unit.support import at_step, features_as_images, random, total


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


@pytest.mark.parametrize("whitening", WHITENINGS)
def test_wmse_whitens_by_the_matrix_of_that_name_and_trains(whitening):
    method = small_wmse(whitening=whitening)
    views = [random(8, 2, seed=seed) for seed in range(2)]
    order = permutation(8, 0, 0)
    white = [whiten_sub_batches(view, order, 4, whitening=whitening) for view in views]
    np.testing.assert_allclose(total(at_step(method, 0), views), wmse_loss(*white), rtol=1e-5)
    data = tf.data.Dataset.from_tensors({"global": random(8, 2, 4)}).repeat()
    history = method.fit(data, steps_per_epoch=3, epochs=1, verbose=0, shuffle=False).history
    assert np.isfinite(history["loss"][0])
    assert all(np.all(np.isfinite(weight)) for weight in method.get_weights())


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
