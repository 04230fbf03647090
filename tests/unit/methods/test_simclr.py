"""The objectives of SimCLR."""

import numpy as np
import pytest

import keras_ssl
from keras_ssl.core.errors import UserError
from keras_ssl.losses.decoupled import symmetric_decoupled_infonce
from keras_ssl.losses.simclr import decoupled_nt_xent, nt_xent
from tests.descriptors import make_views
from tests.unit.support import normal


def test_simclr_of_three_views_adds_up_the_two_positives_of_a_row():
    views = np.asarray(normal(3, 5, 6))
    rows = (views / np.linalg.norm(views, axis=-1, keepdims=True)).reshape(15, 6)
    similarity = np.exp(rows @ rows.T / 0.5)
    losses = []
    for i in range(15):
        others = similarity[i].sum() - similarity[i, i]
        positives = sum(similarity[i, j] for j in range(15) if j != i and j % 5 == i % 5)
        losses.append(-np.log(positives / others))
    np.testing.assert_allclose(nt_xent(*views, temperature=0.5), np.mean(losses), rtol=1e-5)


def test_decoupled_objective_is_the_mean_over_the_pairs_of_views():
    a, b, c = normal(3, 8, 6)
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


def head_of(**settings):
    return keras_ssl.create("simclr", backbone="tiny", input_shape=(8, 8, 3), **settings).projector


def test_projectors_have_as_many_layers_as_asked_for():
    for count, hidden in ((1, 16), (2, 16), (3, 16), (2, 0)):
        head = head_of(num_layers=count, hidden_dim=hidden, projection_dim=4)
        dense = [layer for layer in head.layers if layer.name.startswith("dense")]
        assert [layer.units for layer in dense] == [hidden] * (count - 1) * bool(hidden) + [4]


def test_without_a_head_the_features_are_compared():
    method = keras_ssl.create("simclr", backbone="tiny", input_shape=(8, 8, 3), num_layers=0)
    views = make_views(method)
    outputs = method.embed(views, training=False)
    for view, output in enumerate(outputs):
        features = method.encoder(views["global"][:, view], training=False)
        np.testing.assert_allclose(output, features, rtol=1e-5, atol=1e-6)


def test_several_layers_without_a_width_are_refused():
    with pytest.raises(UserError, match="Received num_layers=3: give the hidden layers a width"):
        head_of(num_layers=3, hidden_dim=0)
