"""DBN: its variants, their state and the sizes they can whiten."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl.core.errors import UserError
from keras_ssl.layers.whitening import (
    DecorrelatedBatchNormalization,
    iterative_whiten,
    shuffled_whiten,
    whiten,
)
from keras_ssl.layers.whitening_matrices import WHITENINGS
from keras_ssl.methods.dbn import DBN, VARIANTS
from keras_ssl.ops.random import permutation
from keras_ssl.training import checkpoints
from tests.unit.support import at_step, features_as_images, random

every_variant = pytest.mark.parametrize("variant", VARIANTS)


def small_dbn(variant, **options):
    sizes = {"hidden_dim": 5, "projection_dim": 6, "num_groups": 2} | options
    return features_as_images(DBN, 4, variant=variant, **sizes)


def projections(method, batch, training=True):
    """What `embed` normalizes: with the features themselves for images."""
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


@pytest.mark.parametrize("whitening", WHITENINGS)
def test_fixed_and_shuffled_groups_are_whitened_by_the_matrix_of_that_name(whitening):
    views = feature_views(64)
    fixed = small_dbn("fixed", whitening=whitening)
    shuffled = at_step(small_dbn("shuffled", whitening=whitening), 0)
    for view, z in enumerate(projections(fixed, views)):
        wanted = whiten(z, whitening, 2, epsilon=1e-5)
        np.testing.assert_allclose(fixed.embed(views, training=True)[view], wanted, atol=1e-4)
    for view, z in enumerate(projections(shuffled, views)):
        wanted = shuffled_whiten(z, permutation(6, 0, view), 2, whitening=whitening)
        np.testing.assert_allclose(shuffled.embed(views, training=True)[view], wanted, atol=1e-4)


def test_zca_is_the_whitening_of_fixed_groups_by_default():
    zca, fixed = small_dbn("zca"), small_dbn("fixed")
    fixed.set_weights(zca.get_weights())
    outputs = [method.embed(feature_views(64), training=True)[0] for method in (zca, fixed)]
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("variant", ["plain", "zca", "iterative"])
def test_variants_with_a_whitening_of_their_own_refuse_another(variant):
    with pytest.raises(UserError, match="take variant='fixed' or 'shuffled'"):
        small_dbn(variant, whitening="pca_cor")


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
