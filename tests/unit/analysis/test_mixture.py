"""The entropy of a mixture is that of the closed forms, and falls where clusters shrink."""

import math

import numpy as np
import pytest

from keras_ssl.analysis.mixture import FLOOR, entropy_curve, gaussian_entropy, mixture_entropy

GENERATOR = np.random.default_rng(0)
BOUND = gaussian_entropy([1.0])  # of a dimension of variance 1


def clusters(count, each, width=3, spread=1.0, distance=50.0):
    """Groups of Gaussian rows around the corners of a line."""
    centers = distance * np.repeat(np.arange(count), each)[:, None]
    return centers + spread * np.random.default_rng(1).normal(size=(count * each, width))


def test_a_single_gaussian_has_the_entropy_of_the_closed_form():
    z = GENERATOR.normal(size=(2000, 3)) * [1.0, 2.0, 0.5] + 7.0
    found = mixture_entropy(z, 1)
    wanted = gaussian_entropy(z.var(axis=0))
    assert found.nats == pytest.approx(wanted, abs=4 * 3 * found.error)
    assert found.nats == pytest.approx(gaussian_entropy([1.0, 4.0, 0.25]), abs=0.1)


def test_separated_gaussians_add_the_logarithm_of_their_number():
    z = clusters(8, 250)
    found = mixture_entropy(z, 8)
    wanted = math.log(8) + gaussian_entropy(np.ones(3))
    assert found.nats == pytest.approx(wanted, abs=0.1)


def test_entropy_in_nats_moves_with_the_scale_and_per_dimension_does_not():
    z = clusters(3, 100)
    one, two = mixture_entropy(z, 3), mixture_entropy(10 * z - 4, 3)
    assert two.nats - one.nats == pytest.approx(3 * math.log(10), abs=1e-6)
    assert two.per_dimension == pytest.approx(one.per_dimension, abs=1e-6)


def test_tighter_clusters_have_less_entropy():
    loose, tight = (mixture_entropy(clusters(5, 100, spread=s), 5) for s in (10.0, 1.0))
    assert tight.per_dimension < loose.per_dimension < BOUND


def test_equal_rows_have_the_least_entropy_and_no_nan():
    floor = gaussian_entropy([FLOOR])
    for z in (np.zeros((50, 4)), np.full((50, 300), 0.1, "float32")):
        found = mixture_entropy(z, 10, samples=500)
        assert found.nats == -math.inf
        assert found.per_dimension == pytest.approx(floor, abs=0.1)


def test_rounding_of_a_constant_is_no_entropy():
    z = 1000.0 + GENERATOR.normal(size=(50, 4)) * 1e-5
    assert mixture_entropy(z.astype("float32"), 2, samples=100).nats == -math.inf


def test_wide_embeddings_are_projected_and_it_is_said():
    z = GENERATOR.normal(size=(600, 400)).astype("float32")
    found = mixture_entropy(z, 1, max_rows=500, max_width=16)
    assert (found.samples, found.width, found.images, found.columns) == (500, 16, 600, 400)
    assert found.per_dimension == pytest.approx(BOUND, abs=0.05)


def test_a_curve_leaves_out_mixtures_of_single_images():
    z = GENERATOR.normal(size=(120, 2))
    assert [each.components for each in entropy_curve(z, (5, 10, 50), samples=50)] == [5, 10]
    assert [each.components for each in entropy_curve(z[:4], (10, 20), samples=50)] == [4]
    with pytest.raises(ValueError, match="more than the 120"):
        mixture_entropy(z, 121)


def test_the_same_seed_gives_the_same_bits():
    z = GENERATOR.normal(size=(100, 3))
    assert mixture_entropy(z, 4, seed=3) == mixture_entropy(z, 4, seed=3)
