"""Whitening gives the identity as covariance, and survives batches that have no inverse."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ssl.core.errors import UserError
from keras_ssl.layers.whitening import (
    DecorrelatedBatchNormalization,
    cholesky_whiten,
    groups_for,
    iterative_whiten,
    shuffled_whiten,
    whiten,
    whiten_sub_batches,
    zca_whiten,
)
from keras_ssl.layers.whitening_matrices import WHITENINGS as MATRICES
from keras_ssl.layers.whitening_matrices import zca_matrix
from keras_ssl.ops.linalg import (
    inverse_root_eigenvectors,
    inverse_square_root,
    singular_values,
)
from tests.unit.support import random

PERMUTATION = np.array([3, 0, 5, 1, 4, 2])

WHITENINGS = {
    "sub_batches_pca": lambda x: whiten_sub_batches(
        x, np.arange(x.shape[0]), x.shape[0], whitening="pca"
    ),
    "cholesky_rows": cholesky_whiten,
    "sub_batches": lambda x: whiten_sub_batches(x, np.arange(x.shape[0])[::-1], x.shape[0]),
    "zca": zca_whiten,
    "zca_groups": lambda x: zca_whiten(x, 2),
    "shuffled": lambda x: shuffled_whiten(x, PERMUTATION, 2),
    "iterative": iterative_whiten,
    **{name: functools.partial(whiten, whitening=name) for name in MATRICES if name != "zca"},
    "layer": lambda x: DecorrelatedBatchNormalization(2)(x, training=True),
}
every_whitening = pytest.mark.parametrize("whiten", WHITENINGS.values(), ids=WHITENINGS)


def mixed(rows, dim, seed=0):
    """Correlated features with a mean."""
    return random(rows, dim, seed=seed) @ random(dim, dim, seed=seed + 1) + 3.0


def gradient(function, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = ops.sum(function(x) * random(*x.shape, seed=9, dtype="float32"))
    return tf.convert_to_tensor(tape.gradient(loss, x))


def covariance(z, ddof):
    z = np.asarray(z, "float64")
    np.testing.assert_allclose(z.mean(0), 0.0, atol=1e-5)
    return z.T @ z / (len(z) - ddof)


@pytest.mark.parametrize("dim", [3, 6])
def test_cholesky_whitened_rows_have_the_identity_as_covariance(dim):
    np.testing.assert_allclose(
        covariance(cholesky_whiten(mixed(20, dim)), 1), np.eye(dim), atol=1e-5
    )


def test_zca_and_shuffled_whitening_decorrelate_within_groups():
    x = mixed(20, 6)
    blocks = np.kron(np.eye(2), np.ones((3, 3)))
    np.testing.assert_allclose(covariance(zca_whiten(x), 0), np.eye(6), atol=1e-5)
    grouped = covariance(zca_whiten(x, 2), 0)
    np.testing.assert_allclose(grouped * blocks, np.eye(6), atol=1e-5)
    assert np.abs(grouped * (1 - blocks)).max() > 0.1
    shuffled = covariance(shuffled_whiten(x, PERMUTATION, 2), 0)
    np.testing.assert_allclose(
        (shuffled[PERMUTATION][:, PERMUTATION]) * blocks, np.eye(6), atol=1e-5
    )


def test_every_sub_batch_is_whitened_and_rows_keep_their_place():
    x, permutation = mixed(20, 4), np.random.default_rng(1).permutation(20)
    white = whiten_sub_batches(x, permutation, 10).numpy()
    for rows in np.split(permutation, 2):
        np.testing.assert_allclose(covariance(white[rows], 1), np.eye(4), atol=1e-5)
        np.testing.assert_allclose(white[rows], cholesky_whiten(x.numpy()[rows]), atol=1e-5)


every_matrix = pytest.mark.parametrize("name", MATRICES)
by_correlation = pytest.mark.parametrize("name", ["pca_cor", "zca_cor"])
by_components = pytest.mark.parametrize("name", ["pca", "pca_cor"])


@every_matrix
def test_every_whitening_gives_the_identity_as_covariance_of_groups_and_sub_batches(name):
    x = mixed(20, 6)
    np.testing.assert_allclose(covariance(whiten(x, name), 0), np.eye(6), atol=1e-5)
    grouped = covariance(whiten(x, name, 2), 0)
    np.testing.assert_allclose(grouped[:3, :3], np.eye(3), atol=1e-5)
    np.testing.assert_allclose(grouped[3:, 3:], np.eye(3), atol=1e-5)
    permutation = np.random.default_rng(1).permutation(20)
    white = whiten_sub_batches(x, permutation, 10, whitening=name).numpy()
    for rows in np.split(permutation, 2):
        np.testing.assert_allclose(covariance(white[rows], 1), np.eye(6), atol=1e-4)


def kessy(x):
    """The whitened rows of Kessy et al., table 1, by NumPy; PCA up to the sign of a column."""
    x = np.asarray(x, "float64")
    x = x - x.mean(0)
    cov = x.T @ x / len(x)
    scale = np.sqrt(np.diag(cov))

    def decomposed(matrix):
        values, vectors = np.linalg.eigh(matrix)
        return values[::-1], vectors[:, ::-1]

    (lam, u), (theta, g) = decomposed(cov), decomposed(cov / np.outer(scale, scale))
    matrices = {
        "zca": u / np.sqrt(lam) @ u.T,
        "pca": u / np.sqrt(lam),
        "cholesky": np.linalg.inv(np.linalg.cholesky(cov)).T,
        "zca_cor": (g / np.sqrt(theta) @ g.T) / scale[:, None],
        "pca_cor": (g / np.sqrt(theta)) / scale[:, None],
    }
    return {name: x @ matrix for name, matrix in matrices.items()}


@every_matrix
def test_whitenings_are_those_of_the_table(name):
    x = mixed(20, 4)
    found, wanted = whiten(x, name).numpy(), kessy(x)[name]
    if name.startswith("pca"):
        wanted = wanted * np.sign(np.sum(wanted * found, axis=0))
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_zca_is_pca_turned_back_by_the_eigenvectors():
    x = random(20, 5, dtype="float64")
    cov = tf.transpose(x) @ x / 20
    _, vectors = np.linalg.eigh(cov)
    vectors = vectors[:, ::-1] * np.sign(np.diag(vectors[:, ::-1]))
    np.testing.assert_allclose(MATRICES["pca"](cov) @ vectors.T, MATRICES["zca"](cov), atol=1e-12)


@by_components
def test_components_come_by_the_share_of_the_variance_that_they_hold(name):
    x = np.asarray(mixed(40, 5), "float64") * [1.0, 3.0, 0.1, 10.0, 1.0]
    z = np.asarray(whiten(x, name))
    features = (x - x.mean(0)) / (x.std(0) if name == "pca_cor" else 1.0)
    held = np.square(z.T @ features / len(x)).sum(1)  # eigenvalues
    assert np.all(held[:-1] > held[1:])


@by_correlation
def test_whitening_by_correlation_does_not_depend_on_the_scale_of_a_feature(name):
    x, scale = mixed(20, 4), np.array([1e-3, 1.0, 7.0, 1e4], "float32")
    np.testing.assert_allclose(whiten(scale * x, name), whiten(x, name), atol=2e-3)
    plain = name.removesuffix("_cor")
    assert np.abs(whiten(scale * x, plain) - whiten(x, plain)).max() > 0.1


def test_each_whitening_stays_nearest_to_what_it_is_meant_to():
    x = mixed(40, 4) * np.array([1.0, 5.0, 0.2, 1.0], "float32")
    centered = np.asarray(x - np.mean(x, axis=0))
    rows = {name: whiten(x, name).numpy() for name in MATRICES}

    def nearest(features):
        return min(rows, key=lambda name: np.square(rows[name] - features).sum())

    assert nearest(centered) == "zca"
    assert nearest(centered / centered.std(0)) == "zca_cor"
    first = {name: np.square(z[:, 0] @ centered).sum() for name, z in rows.items()}
    assert max(first, key=first.get) == "pca"


@by_components
def test_a_component_is_the_same_whatever_sign_its_eigenvector_came_with(name):
    x = random(20, 4, dtype="float64")
    cov = tf.transpose(x) @ x / 20
    flipped = np.diag([1.0, -1.0, 1.0, -1.0])  # the same features with other signs
    found = flipped @ MATRICES[name](flipped @ cov @ flipped) @ flipped
    np.testing.assert_allclose(found, MATRICES[name](cov), atol=1e-12)


def derivatives(function, matrix, direction, step=1e-6):
    """Along a direction: (by the gradient, by differences)."""
    with tf.GradientTape() as tape:
        tape.watch(matrix)
        value = function(matrix)
    analytic = tf.reduce_sum(tape.gradient(value, matrix) * direction)
    ends = [function(matrix + sign * step * direction) for sign in (1, -1)]
    return float(analytic), float(ends[0] - ends[1]) / (2 * step)


def test_root_eigenvectors_have_the_right_gradient_and_a_finite_one_at_equal_eigenvalues():
    x, weights = random(20, 4, dtype="float64"), random(4, 4, dtype="float64", seed=3)
    direction = random(4, 4, dtype="float64", seed=4)
    direction = direction + tf.transpose(direction)

    def function(matrix):
        return tf.reduce_sum(inverse_root_eigenvectors(matrix) * weights)

    analytic, numeric = derivatives(function, tf.transpose(x) @ x / 20, direction)
    np.testing.assert_allclose(analytic, numeric, rtol=1e-6)
    tied = tf.linalg.diag(tf.constant([2.0, 2.0, 2.0, 1.0], "float64"))
    assert np.isfinite(derivatives(function, tied, direction)[0])
    # Along the scale of a matrix its eigenvectors stay: there the gradient is right at ties too.
    analytic, numeric = derivatives(function, tied, tied)
    np.testing.assert_allclose(analytic, numeric, rtol=1e-6)


def test_an_unknown_whitening_and_iterations_towards_another_are_refused():
    with pytest.raises(UserError, match="Did you mean 'zca_cor'"):
        whiten(mixed(20, 6), "zca_corr")
    with pytest.raises(UserError, match="Did you mean 'pca'"):
        whiten_sub_batches(mixed(20, 3), np.arange(20), 20, whitening="pcaa")
    with pytest.raises(UserError, match="lead to 'zca'. Received whitening='pca'"):
        DecorrelatedBatchNormalization(iterations=5, whitening="pca")


@every_matrix
def test_layer_whitens_by_the_matrix_of_that_name_and_keeps_its_mean(name):
    layer = DecorrelatedBatchNormalization(2, momentum=0.0, epsilon=0.0, whitening=name)
    x = mixed(20, 6)
    trained = layer(x, training=True)
    np.testing.assert_allclose(trained, whiten(x, name, 2), atol=1e-4)
    np.testing.assert_allclose(layer(x), trained, atol=1e-4)


def test_zca_matrix_is_symmetric_and_the_inverse_root():
    x = random(20, 5, dtype="float64")
    cov = tf.transpose(x) @ x / 20
    w = zca_matrix(cov).numpy()
    np.testing.assert_allclose(w, w.T, atol=1e-12)
    np.testing.assert_allclose(w @ cov @ w, np.eye(5), atol=1e-10)


def test_zca_changes_white_data_least():
    white = zca_whiten(mixed(20, 4))
    np.testing.assert_allclose(zca_whiten(white), white, atol=1e-5)


def test_whitening_ignores_translation_and_scale():
    x = mixed(20, 4)
    for whitened in (cholesky_whiten, zca_whiten):
        np.testing.assert_allclose(whitened(2.0 * x + 100.0), whitened(x), atol=1e-3)


def test_newton_iterations_approach_the_zca():
    x = random(40, 4)
    errors = [
        np.abs(iterative_whiten(x, iterations=t, epsilon=1e-8) - zca_whiten(x)).max()
        for t in (1, 3, 5, 10)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-5


def test_inverse_root_has_the_right_gradient_at_equal_eigenvalues():
    weights = random(4, 4, dtype="float64", seed=3)
    weights = weights + tf.transpose(weights)
    direction = random(4, 4, dtype="float64", seed=4)
    direction = direction + tf.transpose(direction)
    matrix = 2.0 * tf.eye(4, dtype="float64")

    def function(m):
        return tf.reduce_sum(inverse_square_root(m) * weights)

    with tf.GradientTape() as tape:
        tape.watch(matrix)
        value = function(matrix)
    analytic = tf.reduce_sum(tape.gradient(value, matrix) * direction)
    step = 1e-5
    numeric = (function(matrix + step * direction) - function(matrix - step * direction)) / 2e-5
    np.testing.assert_allclose(analytic, numeric, rtol=1e-7)


def test_singular_values_have_finite_gradients_at_ties_and_zeros():
    for matrix in (tf.eye(4), tf.zeros((4, 3)), tf.ones((3, 5))):
        with tf.GradientTape() as tape:
            tape.watch(matrix)
            values = singular_values(matrix)
        np.testing.assert_allclose(values, np.linalg.svd(matrix, compute_uv=False), atol=1e-6)
        assert np.all(np.isfinite(tape.gradient(values, matrix)))


DEGENERATE = {
    "constant": tf.fill((8, 6), 3.3),
    "zeros": tf.zeros((8, 6)),
    "duplicates": tf.concat([mixed(4, 6)] * 2, 0),
    "equal columns": tf.repeat(mixed(8, 1), 6, axis=1),
    "dim + 1 rows": mixed(7, 6),
    "fewer rows than dim": mixed(4, 6),
    "one row": mixed(1, 6),
    "large": 1e4 * mixed(8, 6),
    "orthogonal": tf.concat([tf.eye(6), -tf.eye(6)], 0),
}


@every_whitening
@pytest.mark.parametrize("x", DEGENERATE.values(), ids=DEGENERATE)
def test_whitening_and_its_gradient_are_finite_on(x, whiten):
    assert np.all(np.isfinite(whiten(x)))
    assert np.all(np.isfinite(gradient(whiten, x)))


@every_whitening
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_whitened_in_float32(dtype, whiten):
    x = tf.cast(random(12, 6), dtype)
    y = whiten(x)
    assert y.dtype == "float32"
    np.testing.assert_allclose(y, whiten(tf.cast(x, "float32")), atol=1e-5)
    assert np.all(np.isfinite(tf.cast(gradient(whiten, x), "float32")))


@every_whitening
def test_whitening_gives_the_same_compiled(whiten):
    if whiten is WHITENINGS["layer"]:
        layer = DecorrelatedBatchNormalization(2)
        layer.build((12, 6))

        def whiten(x):
            return layer(x, training=True)

    compiled = tf.function(lambda x: (whiten(x), gradient(whiten, x)), jit_compile=True)
    x = random(12, 6)
    y, dx = compiled(x)
    np.testing.assert_allclose(y, whiten(x), atol=1e-5)
    np.testing.assert_allclose(dx, gradient(whiten, x), atol=1e-4)


def test_layer_infers_with_running_values_and_freezes_with_trainable():
    layer = DecorrelatedBatchNormalization(2, momentum=0.0, epsilon=0.0)
    x = mixed(20, 6)
    trained = layer(x, training=True)
    np.testing.assert_allclose(layer(x), trained, atol=1e-5)
    layer.trainable = False
    before = [weight.numpy() for weight in layer.weights]
    layer(mixed(20, 6, seed=5), training=True)
    for weight, old in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_layer_moves_its_running_values_by_one_minus_momentum():
    layer = DecorrelatedBatchNormalization(momentum=0.75)
    x = mixed(10, 3)
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean, 0.25 * x.numpy().mean(0), rtol=1e-5)


def test_layer_of_two_replicas_whitens_the_global_batch(two_replicas):
    x, weights = mixed(12, 4), random(12, 4, seed=7)
    whole = DecorrelatedBatchNormalization(2)
    with tf.GradientTape() as tape:
        tape.watch(x)
        wanted = whole(x, training=True)
        total = tf.reduce_sum(wanted * weights)
    wanted_gradient = tape.gradient(total, x)
    with two_replicas.scope():
        layer = DecorrelatedBatchNormalization(2)
        layer.build((None, 4))

    @tf.function
    def step(part):
        with tf.GradientTape() as tape:
            tape.watch(part[0])
            y = layer(part[0], training=True)
            total = tf.reduce_sum(y * part[1]) / 2
        return y, tape.gradient(total, part[0])

    parts = two_replicas.experimental_distribute_values_from_function(
        lambda context: tuple(t[6 * context.replica_id_in_sync_group :][:6] for t in (x, weights))
    )
    y, dx = two_replicas.run(step, (parts,))
    join = lambda value: np.concatenate(two_replicas.experimental_local_results(value))  # noqa: E731
    np.testing.assert_allclose(join(y), wanted, atol=1e-5)
    np.testing.assert_allclose(2 * join(dx), wanted_gradient, atol=1e-5)
    np.testing.assert_allclose(layer.moving_whitening, whole.moving_whitening, atol=1e-6)


def test_layer_survives_a_file(tmp_path):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, DecorrelatedBatchNormalization(3)(inputs))
    model(mixed(8, 6), training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model(mixed(8, 6)), loaded(mixed(8, 6)))


def test_sizes_that_do_not_fit_are_refused_with_one_that_does():
    with pytest.raises(UserError, match="try 5"):
        whiten_sub_batches(mixed(20, 3), np.arange(20), 15)
    with pytest.raises(UserError, match="num_groups=4 must divide the 6 features: try 2"):
        zca_whiten(mixed(20, 6), 4)
    with pytest.raises(UserError, match="must divide"):
        DecorrelatedBatchNormalization(4).build((None, 6))


def test_groups_leave_at_most_half_a_batch_of_features():
    assert groups_for(128, 256) == 1
    assert groups_for(128, 16) == 16
    assert groups_for(12, 5) == 6
    assert groups_for(7, 2) == 7
