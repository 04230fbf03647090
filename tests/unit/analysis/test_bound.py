"""Theorem 1 of Simplicial Embeddings: closed forms, limits and what sampling finds."""

import itertools
import math

import numpy as np
import pytest

from keras_ssl.analysis.bound import (
    bound_terms,
    lipschitz_constant,
    margin_loss,
    phi_base,
    phi_gap_bound,
    phi_lemma4,
    phi_observed,
    phi_sampled,
    phi_sem,
)
from keras_ssl.analysis.simplices import simplices_at
from keras_ssl.core.errors import UserError

TEMPERATURES = (1e-3, 0.01, 0.1, 0.3, 1.0, 3.0, 100.0)


def corners(size, margin):
    """Corners of the cell of the first entry, in [-1, 1]."""
    for others in itertools.product((-1.0, 1.0 - margin), repeat=size - 1):
        yield np.array((1.0, *others))
    yield np.array((margin - 1.0, *[-1.0] * (size - 1)))


def widest(points):
    return max(np.square(p - q).sum() for p, q in itertools.combinations(points, 2))


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("margin", [0.0, 0.1, 1.0])
def test_phi_is_the_largest_distance_of_two_corners(size, margin):
    points = list(corners(size, margin))
    assert phi_base(size, margin=margin) == pytest.approx(widest(points))
    for tau in (0.05, 0.5, 2.0):
        simplices = [simplices_at(point, tau) for point in points]
        assert phi_sem(size, tau, margin=margin) == pytest.approx(widest(simplices))


@pytest.mark.parametrize("size", [2, 3, 13, 40])
@pytest.mark.parametrize("margin", [0.0, 0.1, 1.0])
def test_sampled_phi_is_at_most_phi_which_is_at_most_lemma_4(size, margin):
    assert phi_sampled(size, None, margin=margin) <= phi_base(size, margin=margin) + 1e-9
    for tau in TEMPERATURES:
        exact = phi_sem(size, tau, margin=margin)
        assert phi_sampled(size, tau, margin=margin) <= exact + 1e-12
        assert exact <= phi_lemma4(size, tau, margin=margin) + 1e-12


def test_sampling_reaches_phi_of_small_simplices():
    for tau in (0.1, 1.0):
        assert phi_sampled(3, tau, margin=0.1) == pytest.approx(phi_sem(3, tau, margin=0.1))
    assert phi_sampled(3, None, margin=0.1) == pytest.approx(phi_base(3, margin=0.1))


@pytest.mark.parametrize("size", [2, 3, 13, 100])
@pytest.mark.parametrize("margin", [0.0, 1e-6, 0.5, 1.0])
def test_sem_is_below_the_baseline_by_what_the_theorem_says(size, margin):
    base = phi_base(size, margin=margin)
    for tau in TEMPERATURES:
        assert phi_sem(size, tau, margin=margin) - base <= phi_gap_bound(size) < 0
        assert phi_lemma4(size, tau, margin=margin) - base <= phi_gap_bound(size)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_gap_of_the_theorem_is_found_by_sampling_alone(size):
    for tau in TEMPERATURES:
        sampled = phi_sampled(size, tau, margin=0.01) - phi_sampled(size, None, margin=0.01)
        assert sampled <= phi_gap_bound(size)


def test_the_theorem_fails_for_margins_near_the_range_of_the_logits():
    """2 - sqrt(3 (V - 1) / (4 V)) is where it does as tau goes to 0."""
    for size in (2, 13):
        least = 2.0 - math.sqrt(0.75 * (size - 1) / size)
        for margin, holds in ((least - 1e-3, True), (least + 1e-3, False)):
            gap = phi_sem(size, 1e-3, margin=margin) - phi_base(size, margin=margin)
            assert (gap <= phi_gap_bound(size)) == holds


def test_phi_of_sem_vanishes_with_the_temperature_only_where_there_is_a_margin():
    falling = [phi_sem(13, tau, margin=0.1) for tau in (0.05, 0.02, 0.01, 0.005)]
    assert np.all(np.diff(falling) < 0) and falling[-1] < 1e-6
    # exp(-2 Delta / tau) V (V - 1) is its leading term
    assert phi_sem(13, 0.01, margin=0.1) == pytest.approx(math.exp(-20.0) * 13 * 12, rel=1e-2)
    assert phi_sem(13, 1e-3, margin=0.0) >= 1.0 - 1.0 / 13
    assert phi_sem(13, 0.0) == 0.0


def test_phi_of_sem_vanishes_at_high_temperatures_too():
    assert phi_sem(13, 100.0, margin=0.1) < 1e-4 < phi_sem(13, 0.3, margin=0.1)


def test_scaling_logits_and_temperature_changes_nothing():
    assert phi_sem(5, 3.0, margin=0.6, half_range=6.0) == pytest.approx(phi_sem(5, 0.5, margin=0.1))
    assert phi_base(5, margin=0.6, half_range=6.0) == pytest.approx(36 * phi_base(5, margin=0.1))


def test_observed_phi_is_that_of_the_widest_cell():
    points = np.zeros((5, 2, 2))
    points[:, 0, 0] = [0.0, 1.0, 4.0, 10.0, 12.0]
    assert phi_observed(points, [[0, 0]] * 3 + [[1, 0]] * 2).tolist() == [16.0, 0.0]


def test_observed_phi_is_at_most_phi():
    random = np.random.default_rng(0)
    logits = random.uniform(-1, 1, (200, 3, 4))
    assert phi_observed(logits, logits.argmax(-1)).max() <= phi_base(4)
    simplices = simplices_at(logits, 0.3)
    assert phi_observed(simplices, logits.argmax(-1)).max() <= phi_sem(4, 0.3)


def test_the_loss_behind_a_linear_classifier_is_as_steep_as_its_constant_at_most():
    random = np.random.default_rng(1)
    weights, x, y = random.normal(size=(6, 4)), *random.normal(size=(2, 500, 6))
    labels = random.integers(0, 4, 500)
    change = np.abs(margin_loss(x @ weights, labels) - margin_loss(y @ weights, labels))
    assert np.all(change <= lipschitz_constant(weights) * np.linalg.norm(x - y, axis=1))


def test_the_loss_is_at_least_the_error():
    random = np.random.default_rng(2)
    scores, labels = random.normal(size=(100, 4)), random.integers(0, 4, 100)
    assert np.all(margin_loss(scores, labels) >= (scores.argmax(axis=1) != labels))


def test_terms_of_the_bound_at_the_size_of_the_paper_do_not_overflow():
    terms = bound_terms(1.0, 5000, 0.0, simplex_size=13, classes=100, images=50_000)
    assert terms["expressivity"] == 0.0 and 2780 < terms["log10_confidence"] < 2790


def test_impossible_margins_are_refused():
    with pytest.raises(UserError, match="range of the logits"):
        phi_base(3, margin=2.5)
