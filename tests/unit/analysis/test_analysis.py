"""Statistics of embeddings distinguish full from collapsed, and entropies match known ones."""

import math

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.analysis import entropy, semantics, spectrum
from keras_ssl.core.errors import UserError
from tests.unit.support import random


def test_rankme_is_the_number_of_equal_directions():
    np.testing.assert_allclose(spectrum.rankme(5.0 * tf.eye(8, 4), epsilon=0.0), 4.0, rtol=1e-5)
    np.testing.assert_allclose(spectrum.rankme(tf.ones((8, 4))), 1.0, atol=1e-3)
    assert 1.0 < spectrum.rankme(random(8, 4)) < 4.0


def test_rankme_ignores_scale_and_rotation():
    x = random(20, 5)
    q, _ = np.linalg.qr(random(5, 5, seed=1))
    np.testing.assert_allclose(spectrum.rankme(7.0 * x @ q), spectrum.rankme(x), rtol=1e-4)


def test_rank_tau_counts_the_singular_values_at_or_above_the_threshold():
    x = tf.linalg.diag([3.0, 1.0, 0.5])
    assert [int(spectrum.rank_tau(x, tau)) for tau in (0.1, 0.5, 1.0, 2.0, 4.0)] == [3, 3, 2, 1, 0]


@pytest.mark.parametrize("shape", [(20, 5), (3, 5)])
def test_covariance_spectrum_holds_the_eigenvalues_of_the_covariance(shape):
    x = random(*shape, dtype="float64") + 10.0
    wanted = np.linalg.eigvalsh(np.cov(x.numpy().T, ddof=0))[::-1]
    np.testing.assert_allclose(spectrum.covariance_spectrum(x), wanted, atol=1e-12)


def test_alignment_runs_from_0_to_4():
    x = random(6, 3)
    np.testing.assert_allclose(spectrum.alignment(x, 2.0 * x), 0.0, atol=1e-6)
    np.testing.assert_allclose(spectrum.alignment(x, -x), 4.0, rtol=1e-5)


def test_uniformity_is_0_when_collapsed_and_least_for_opposite_points():
    np.testing.assert_allclose(spectrum.uniformity(tf.ones((5, 3))), 0.0, atol=1e-5)
    np.testing.assert_allclose(spectrum.uniformity(tf.constant([[1.0], [-1.0]])), -8.0, rtol=1e-6)
    assert spectrum.uniformity(random(30, 8)) < -2.0
    with pytest.raises(ValueError, match="1 row"):
        spectrum.uniformity(tf.ones((1, 3)))


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_kozachenko_leonenko_finds_the_entropy_of_a_gaussian(dim):
    x = 3.0 * random(1500, dim)
    wanted = 0.5 * dim * math.log(2 * math.pi * math.e * 9.0)
    for estimate in (entropy.kozachenko_leonenko(x), entropy.kozachenko_leonenko_psi(x)):
        np.testing.assert_allclose(estimate, wanted, atol=0.15)


def test_the_printed_form_agrees_with_the_general_one_for_one_dimension_only():
    x = random(400, 1)
    np.testing.assert_allclose(
        entropy.kozachenko_leonenko_1d(x), entropy.kozachenko_leonenko(x), atol=0.01
    )
    y = 10.0 * random(400, 3)
    assert abs(entropy.kozachenko_leonenko_1d(y) - entropy.kozachenko_leonenko(y)) > 1.0


def test_entropy_grows_by_dim_times_log_of_the_scale():
    x = random(50, 3)
    difference = entropy.kozachenko_leonenko(2.0 * x) - entropy.kozachenko_leonenko(x)
    np.testing.assert_allclose(difference, 3 * math.log(2), rtol=1e-4)


def test_koleo_ignores_norms_and_is_larger_for_crowded_rows():
    x = random(20, 4)
    np.testing.assert_allclose(entropy.koleo(3.0 * x), entropy.koleo(x), rtol=1e-4)
    assert entropy.koleo(x * [[10.0, 1.0, 1.0, 1.0]]) > entropy.koleo(x)


STATISTICS = {
    "rankme": spectrum.rankme,
    "rank_tau": lambda x: spectrum.rank_tau(x, 1.0),
    "covariance_spectrum": spectrum.covariance_spectrum,
    "alignment": lambda x: spectrum.alignment(x, x),
    "uniformity": spectrum.uniformity,
    "kozachenko_leonenko": entropy.kozachenko_leonenko,
    "kozachenko_leonenko_psi": entropy.kozachenko_leonenko_psi,
    "kozachenko_leonenko_1d": entropy.kozachenko_leonenko_1d,
    "koleo": entropy.koleo,
}
BATCHES = {
    "zeros": tf.zeros((4, 3)),
    "constant": tf.fill((4, 3), 7.7),
    "duplicates": tf.repeat(random(2, 3), 2, axis=0),
    "a zero row": tf.concat([tf.zeros((1, 3)), random(3, 3)], 0),
    "large": 1e4 * random(4, 3),
    "half precision": tf.cast(random(4, 3), "float16"),
    "wide": random(3, 9),
}


@pytest.mark.parametrize("statistic", STATISTICS.values(), ids=STATISTICS)
@pytest.mark.parametrize("x", BATCHES.values(), ids=BATCHES)
def test_statistics_are_finite_on(x, statistic):
    value = statistic(x)
    assert value.dtype in ("float32", "int32")
    assert np.all(np.isfinite(value))


@pytest.mark.parametrize("statistic", [entropy.koleo, entropy.kozachenko_leonenko_1d])
@pytest.mark.parametrize("name", ["zeros", "constant", "duplicates", "a zero row"])
def test_entropies_have_finite_gradients_on(name, statistic):
    x = BATCHES[name]
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = statistic(x)
    assert np.all(np.isfinite(tf.convert_to_tensor(tape.gradient(value, x))))


def test_covariance_spectrum_of_equal_rows_is_exactly_0():
    np.testing.assert_array_equal(spectrum.covariance_spectrum(BATCHES["constant"]), np.zeros(3))


# Six features, four classes in the superclasses {0, 1} and {2, 3}; checked by hand.
WEIGHTS = np.array(
    [
        [9.0, 9.0, 0.0, 0.0],
        [8.0, 0.0, 0.0, 8.0],
        [0.0, 8.0, 8.0, 0.0],
        [0.0, 0.0, 9.0, 9.0],
        [0.0, 0.0, 0.0, -20.0],
        [0.0, 0.0, 0.0, 0.0],
    ]
)
SUPERCLASSES = [0, 0, 1, 1]


def test_coherence_of_a_small_classifier_is_the_one_counted_by_hand():
    def signed(k, **options):
        return semantics.semantic_coherence(WEIGHTS, SUPERCLASSES, k, by_magnitude=False, **options)

    assert signed(1) == 1.0
    assert signed(2) == 0.5
    assert semantics.semantic_coherence(WEIGHTS, SUPERCLASSES, 1) == 0.5
    assert semantics.semantic_coherence(WEIGHTS, SUPERCLASSES, 1, skip_isolated=True) == 1.0


def test_coherence_is_the_chance_share_when_all_features_are_kept():
    assert semantics.semantic_coherence(WEIGHTS, SUPERCLASSES, 6) == pytest.approx(1 / 3)


def test_coherence_is_0_without_neighbours_and_can_count_each_shared_feature():
    assert semantics.semantic_coherence(np.eye(3), [0, 0, 1], 1, skip_isolated=True) == 0.0
    weights = np.array([[3.0, 3.0, 3.0], [2.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
    # Classes 0 and 1 share two features, either shares one with class 2.
    assert semantics.semantic_coherence(weights, [0, 0, 1], 2) == pytest.approx(1 / 3)
    counted = semantics.semantic_coherence(weights, [0, 0, 1], 2, count_each_feature=True)
    assert counted == pytest.approx(2 * (2 / 3) / 3)


def test_coherence_refuses_sizes_that_do_not_fit():
    with pytest.raises(UserError, match="between 1 and 6"):
        semantics.semantic_coherence(WEIGHTS, SUPERCLASSES, 7)
    with pytest.raises(UserError, match="4 classes need a superclass each"):
        semantics.semantic_coherence(WEIGHTS, [0, 1], 1)
