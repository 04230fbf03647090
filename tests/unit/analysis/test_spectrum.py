"""A spectrum is the same from either side, and knows constants from noise."""

import numpy as np
import pytest

from keras_ssl.analysis.spectrum import covariance_spectrum, rank_tau, rankme, spectrum_of

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (20, 20)])
def test_spectrum_agrees_with_the_functions_of_arrays(shape):
    z = GENERATOR.normal(size=shape) + 3.0
    found = spectrum_of(z)
    assert found.ceiling == min(shape) and (found.samples, found.width) == shape
    assert found.rankme == pytest.approx(float(rankme(z)), rel=1e-6)
    largest = np.linalg.svd(z, compute_uv=False)[0]
    assert found.relative_rank(0.2) == int(rank_tau(z, 0.2 * largest))
    wanted = covariance_spectrum(z).numpy()[: found.ceiling]
    np.testing.assert_allclose(found.eigenvalues, wanted, atol=1e-9)


def test_participation_ratio_and_dimensions_count_equal_directions():
    z = np.concatenate([np.eye(6), -np.eye(6)]) @ np.diag([1.0, 1, 1, 1, 0, 0])
    found = spectrum_of(z)
    assert found.participation_ratio == pytest.approx(4)
    assert found.dimensions(0.99) == 4 and found.dimensions(0.5) == 2 and found.dimensions(1) == 4


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, 1e4])
def test_constant_rows_have_no_dimension_and_no_nan(constant):
    found = spectrum_of(np.full((30, 8), constant, "float32"))
    assert found.dimensions() == 0 and found.participation_ratio == 0
    assert found.rankme == pytest.approx(1.0, abs=1e-4)
    assert found.relative_rank(0.01) == (constant > 0)


def test_rounding_of_a_large_constant_is_no_dimension():
    rounded = (1e4 + 1e-4 * GENERATOR.normal(size=(50, 8))).astype("float32")
    assert spectrum_of(rounded).dimensions() == 0


def test_a_single_image_has_no_variance():
    found = spectrum_of(GENERATOR.normal(size=(1, 5)))
    assert found.ceiling == 1 and found.dimensions() == 0


def test_wide_outputs_take_a_part_of_the_images_and_say_so():
    z = GENERATOR.normal(size=(50, 90)).astype("float32")
    found = spectrum_of(z, max_side=20)
    assert (found.samples, found.images, found.ceiling, len(found.eigenvalues)) == (20, 50, 20, 20)
    assert found.dimensions(1) == 19  # centering takes one
    assert spectrum_of(z, max_side=50).samples == 50
