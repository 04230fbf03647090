"""The matrix of a linear projector and its rank."""

import numpy as np
import pytest

import keras_ssl
from keras_ssl.analysis.projector import linear_weights, weight_rank, weight_rankme, weight_spectrum


def simclr(**settings):
    return keras_ssl.create("simclr", backbone="tiny", input_shape=(8, 8, 3), **settings)


def test_the_matrix_of_a_linear_projector_maps_features_to_projections():
    method = simclr(num_layers=1, projection_dim=3, projection_bias=False)
    features = np.random.default_rng(0).normal(size=(5, method.encoder.output_shape[-1]))
    weights = linear_weights(method)
    np.testing.assert_allclose(features @ weights, method.projector(features), atol=1e-5)


@pytest.mark.parametrize("settings", [{"num_layers": 2, "hidden_dim": 8}, {"num_layers": 0}])
def test_a_projector_with_a_relu_or_none_at_all_has_no_matrix(settings):
    assert linear_weights(simclr(**settings)) is None


def test_rank_counts_what_reaches_a_share_of_the_largest_value_at_any_scale():
    matrix = np.diag([10.0, 1.0, 0.1, 0.099])
    for scale in (1e-6, 1.0, 1e6):
        assert weight_rank(scale * matrix) == 2
        assert weight_rank(scale * matrix, relative=0.01) == 3


def test_rankme_is_the_number_of_equal_directions():
    generator = np.random.default_rng(1)
    basis = np.linalg.qr(generator.normal(size=(9, 4)))[0]
    assert weight_rankme(7 * basis) == pytest.approx(4)
    assert weight_rankme(np.outer(generator.normal(size=9), np.ones(4))) == pytest.approx(1)


@pytest.mark.parametrize("broken", [np.zeros((3, 2)), np.full((3, 2), np.nan)])
def test_matrices_without_a_direction_have_rank_zero(broken):
    assert weight_rank(broken) == 0 and weight_rankme(broken) == 0
    assert weight_spectrum(broken).shape == (2,)
