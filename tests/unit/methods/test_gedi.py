"""GEDI: the energy, its samples and its losses."""

import numpy as np
from keras import ops

from keras_ssl.losses.cplearn import gedi_nogen_loss
from tests.descriptors import BATCH, INPUT_SHAPE, make_method, make_views
from tests.unit.support import changed, normal


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
        "logits": [normal(4, 6), normal(4, 6, seed=2)],
        "real": ops.array([1.0, 2.0, 3.0, 4.0]),
        "samples": ops.array([0.0, 0.0, 1.0, 1.0]),
    }
    assert float(method.loss_terms(outputs)["generative"]) == 1.0
    plain = make_method("gedi_nogen").loss_terms(outputs["logits"])
    assert list(plain) == ["invariance", "matching_prior"]
    for name, term in plain.items():
        np.testing.assert_allclose(method.loss_terms(outputs)[name], term, rtol=1e-6)
    whole = gedi_nogen_loss(*outputs["logits"], beta=method.beta)
    np.testing.assert_allclose(sum(plain.values()), whole, rtol=1e-6)
