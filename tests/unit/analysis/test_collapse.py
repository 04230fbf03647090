"""Every kind of collapse has a measure that ends at its bound, and none is NaN."""

import math

import numpy as np
import pytest

from keras_ssl.analysis.collapse import (
    cluster_overlap,
    cluster_usage,
    found_clusters,
    measure_outputs,
    within_share,
)

GENERATOR = np.random.default_rng(0)
SPREAD = GENERATOR.normal(size=(200, 12))
GROUPS = np.arange(200) % 5


def clustered(spread):
    return 10.0 * np.eye(5, 12)[GROUPS] + spread * SPREAD


@pytest.mark.parametrize("constant", [0.0, 1.0, 1e-3, 1e4])
def test_a_constant_has_no_spread_at_all(constant):
    found = measure_outputs(np.full((40, 8), constant, "float32"))
    assert found.std == pytest.approx(0, abs=1e-12) and found.constant == 1
    assert found.cosine == pytest.approx(1, abs=1e-12)
    assert found.deviation == pytest.approx(0, abs=1e-9 * max(1, constant))
    assert found.spectrum.dimensions() == 0
    assert found.entropies[0].nats == -math.inf


def test_even_directions_have_full_measures():
    found = measure_outputs(SPREAD, components=(2,))
    assert found.std == pytest.approx(1, abs=0.03) and found.constant == 0
    assert abs(found.cosine) < 0.02 and found.spectrum.dimensions() == 12
    assert found.spectrum.participation_ratio > 10 and found.spectrum.rankme > 11


def test_a_subspace_is_seen_by_every_measure_of_dimension():
    rotation, _ = np.linalg.qr(GENERATOR.normal(size=(12, 12)))
    found = measure_outputs(SPREAD[:, :2] @ rotation[:2], components=()).spectrum
    assert found.dimensions() == 2 and found.relative_rank(0.01) == 2
    assert found.participation_ratio < 2.01 and found.rankme < 2.01


def test_rows_that_are_not_finite_are_left_out_and_counted():
    z = SPREAD.copy()
    z[:50, 3] = np.nan
    found = measure_outputs(z, components=(2,))
    assert found.finite == 0.75 and math.isfinite(found.std) and found.spectrum.samples == 150
    assert measure_outputs(np.full((5, 2), np.inf)) is None


def test_usage_counts_effective_and_empty_clusters():
    usage = cluster_usage(np.repeat([0, 3], 50), 8)
    assert usage.effective == pytest.approx(2) and usage.empty == 6 and usage.largest == 0.5
    assert usage.divergence == pytest.approx(math.log(8 / 2))
    assert usage.evenness == pytest.approx(math.log(2) / math.log(8), abs=0.02)


def test_usage_of_more_clusters_than_images_has_a_ceiling_it_can_reach():
    usage = cluster_usage(GENERATOR.integers(0, 1000, 300), 1000)
    assert usage.ceiling < 300 and usage.evenness == pytest.approx(1, abs=0.02)
    assert cluster_usage(np.zeros(300, int), 1000).evenness == 0


def test_usage_knows_a_prior_that_is_not_even():
    prior = np.array([0.5, 0.25, 0.25])
    assignments = np.repeat([0, 1, 2], [100, 50, 50])
    assert cluster_usage(assignments, 3, prior).divergence == pytest.approx(0)
    assert cluster_usage(assignments, 3).divergence > 0.04


def test_variance_within_clusters_runs_from_points_to_chance():
    shares = [within_share(clustered(spread), GROUPS) for spread in (0.0, 0.1, 1.0, 100.0)]
    assert shares[0] == pytest.approx(0, abs=1e-12) and sorted(shares) == shares
    assert shares[-1] == pytest.approx(1, abs=0.02)


def test_random_clusters_of_two_images_are_no_collapse():
    pairs = GENERATOR.permutation(np.arange(200) // 2)
    assert within_share(SPREAD, pairs) == pytest.approx(1, abs=0.1)


def test_overlap_runs_from_points_to_a_continuum_for_any_number_of_clusters():
    overlaps = [cluster_overlap(clustered(spread), GROUPS) for spread in (0.0, 0.1, 1.0)]
    assert overlaps[0] == pytest.approx(0, abs=1e-12) and sorted(overlaps) == overlaps
    line = np.sort(GENERATOR.uniform(size=(1000, 1)), axis=0)
    tiles = [cluster_overlap(line, np.arange(1000) // each) for each in (20, 100)]
    assert tiles[0] == pytest.approx(tiles[1], abs=0.05)  # 1/12 over the mean of (1/2 to 1)^2
    assert cluster_overlap(SPREAD, GROUPS) > 0.9


@pytest.mark.parametrize(
    "z, groups",
    [
        (np.ones((200, 3)), GROUPS),  # no variance
        (np.full((200, 3), 0.1, "float32"), GROUPS),
        (SPREAD, np.zeros(200, int)),  # one cluster
        (SPREAD, np.arange(200)),  # one image each
    ],
)
def test_what_cannot_be_told_is_none(z, groups):
    assert within_share(z, groups) is None and cluster_overlap(z, groups) is None


def test_kmeans_finds_what_is_there_even_in_a_constant():
    rows, groups = found_clusters(clustered(0.1), 5, max_rows=100)
    assert len(rows) == 100 and within_share(clustered(0.1)[rows], groups) < 0.05
    assert len(found_clusters(np.ones((30, 2)), 5)[1]) == 30


def test_a_prior_counts_up_to_a_factor():
    one = cluster_usage([0, 0, 0, 1], 2, [3.0, 1.0])
    other = cluster_usage([0, 0, 0, 1], 2, [0.75, 0.25])
    assert one.divergence == other.divergence == 0.0


def test_overlap_is_that_of_all_columns_at_once(monkeypatch):
    z = np.random.default_rng(0).normal(size=(200, 30)).astype("float32")
    groups = np.arange(200) % 6
    whole = cluster_overlap(z, groups)
    monkeypatch.setattr("keras_ssl.ops.spread._BLOCK", 800)
    np.testing.assert_allclose(cluster_overlap(z, groups), whole, rtol=1e-9)
