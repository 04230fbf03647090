"""Variance and covariance of VICReg in BYOL and SimSiam, and VICReg with a predictor."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.losses.vicreg import (
    covariance_energy,
    invariance,
    prediction_invariance,
    variance_hinge,
)
from keras_ssl.methods.vicreg import VICReg
from tests.descriptors import make_views
from tests.unit.support import changed, crops, features_as_images, fit, random, total

every_regularized = pytest.mark.parametrize("name", ["byol", "simsiam"])


@every_regularized
def test_without_weights_the_loss_and_what_is_logged_are_the_methods_own(name):
    plain, zero = changed(name), changed(name, variance_weight=0.0, covariance_weight=0.0)
    views = make_views(plain)
    assert zero.terms == plain.terms == (name,)
    assert fit(plain, views, 2).history == fit(zero, views, 2).history


@every_regularized
def test_the_terms_are_vicregs_on_the_projections_of_the_global_views(name):
    method = changed(name, variance_weight=2.0, covariance_weight=3.0)
    outputs = method.embed(crops(), training=True)
    terms = method.loss_terms(outputs)
    assert tuple(terms) == method.terms == (name, "variance", "covariance")
    z = outputs["projections"]
    assert len(z) == 2 and len(outputs["predictions"]) == 4
    np.testing.assert_allclose(
        terms["variance"], variance_hinge(z[0]) + variance_hinge(z[1]), rtol=1e-5
    )
    np.testing.assert_allclose(
        terms["covariance"], 3 * (covariance_energy(z[0]) + covariance_energy(z[1])), rtol=1e-5
    )


@every_regularized
def test_a_term_alone_is_logged_alone(name):
    method = changed(name, variance_weight=1.0)
    logs = fit(method, make_views(method), 1).history
    assert "variance" in logs and "covariance" not in logs
    np.testing.assert_allclose(logs["loss"][0], logs[name][0] + logs["variance"][0], rtol=1e-5)


def test_the_variance_term_spreads_projections_that_have_collapsed():
    method = changed("byol", variance_weight=1.0)
    views = make_views(method)
    with tf.GradientTape() as tape:
        outputs = method.embed(views, training=True)
        # Not quite constant: where all rows are equal the hinge has no direction.
        z = [0.01 * x for x in outputs["projections"]]
        tape.watch(z)
        value = method.regularize({"projections": z})["variance"]
    for rows, gradient in zip(z, tape.gradient(value, z), strict=True):
        away = np.asarray(rows - tf.reduce_mean(rows, 0)) * -np.asarray(gradient)
        assert np.all(away.sum(axis=0) > 0)


def test_prediction_invariance_is_symmetric_and_that_of_vicreg_for_perfect_heads():
    a, b, p, q = (random(5, 4, seed=seed) for seed in range(4))
    wanted = (invariance(a, q) + invariance(b, p)) / 2
    np.testing.assert_allclose(prediction_invariance([a, b], [p, q]), wanted, rtol=1e-6)
    np.testing.assert_allclose(prediction_invariance([a, b], [a, b]), invariance(a, b), rtol=1e-6)


def test_a_predictor_of_vicreg_changes_the_invariance_alone():
    method = features_as_images(VICReg, 4, predictor_kind="mlp", hidden_dim=5, projection_dim=6)
    plain = features_as_images(VICReg, 4, hidden_dim=5, projection_dim=6)
    a, b, p, q = (random(8, 6, seed=seed) for seed in range(4))
    ours, theirs = method.loss_terms([a, b, p, q]), plain.loss_terms([a, b])
    np.testing.assert_allclose(ours["invariance"], 25 * prediction_invariance([a, b], [p, q]))
    for name in ("variance", "covariance"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6)


def test_vicreg_without_normalization_has_none_in_any_head():
    method = changed("vicreg", predictor_kind="mlp", hidden_norm=False)
    layers = [*method.projector.layers, *method.predictor.layers]
    assert not [layer.name for layer in layers if "norm" in layer.name]
    outputs = method.embed(make_views(method), training=True)
    predicted = method.predictor(outputs[0], training=False)
    np.testing.assert_allclose(outputs[2], predicted, rtol=1e-5, atol=1e-6)
    assert np.isfinite(total(method, outputs))


def test_settings_are_saved_with_the_method(tmp_path):
    method = changed("byol", variance_weight=0.5)
    method.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.variance_weight, loaded.terms) == (0.5, ("byol", "variance"))
