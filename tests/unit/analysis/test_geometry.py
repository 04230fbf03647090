"""Pairs of views, hardest negatives and the span of a linear projector."""

import numpy as np
import pytest

from keras_ssl.analysis.geometry import (
    chance_agreement,
    gain,
    label_agreement,
    least_unexplained,
    nearest_negatives,
    negative_distances,
    span,
    unexplained_variance,
)
from keras_ssl.analysis.projector import weight_rank
from keras_ssl.losses import infonce_split, symmetric_upper_bound

GENERATOR = np.random.default_rng(0)
FIRST, SECOND = GENERATOR.normal(size=(2, 9, 5))


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def test_the_hardest_negative_is_the_nearest_view_of_another_image():
    found = nearest_negatives(FIRST, SECOND)
    for i in range(9):
        others = [
            (cosine(FIRST[i], v[j]), j, k) for k, v in enumerate((FIRST, SECOND)) for j in range(9)
        ]
        best = max(each for each in others if each[1] != i)
        assert (found.images[i, 0], found.views[i, 0]) == best[1:]
        assert found.similarities[i, 0] == pytest.approx(best[0])


def test_hardest_negatives_are_those_of_the_loss_and_of_its_bound():
    there, back = nearest_negatives(FIRST, SECOND), nearest_negatives(SECOND, FIRST)
    np.testing.assert_allclose(
        there.similarities[:, 0], infonce_split(FIRST, SECOND).hardest, rtol=1e-5
    )
    bound = symmetric_upper_bound(FIRST, SECOND)
    both = 0.5 * (there.similarities.mean() + back.similarities.mean())
    assert float(bound.repulsion) == pytest.approx(both, rel=1e-5)


def test_the_second_nearest_is_a_third_image():
    found = nearest_negatives(FIRST, SECOND, count=8)
    for i, images in enumerate(found.images):
        assert sorted([i, *images]) == list(range(9))
    assert (np.diff(found.similarities) <= 0).all()


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="9 neighbors need 10 images. Received 9"):
        nearest_negatives(FIRST, SECOND, count=9)


def test_distances_to_negatives_do_not_depend_on_lengths_and_vanish_at_collapse():
    found = nearest_negatives(FIRST, SECOND)
    scaled = negative_distances(3 * FIRST, 0.1 * SECOND, found)
    np.testing.assert_allclose(scaled, negative_distances(FIRST, SECOND, found))
    assert (scaled >= 0).all() and (scaled <= 2).all()
    constant = np.ones((9, 5))
    assert negative_distances(constant, constant, nearest_negatives(constant, constant)).max() == 0
    zeros = np.zeros((9, 5))
    assert np.isfinite(negative_distances(zeros, zeros, nearest_negatives(zeros, zeros))).all()


def test_agreement_is_that_of_the_labels_and_coarse_labels_agree_at_least_as_often():
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])
    found = nearest_negatives(FIRST, SECOND, count=8)
    fine = label_agreement(labels, found)
    assert fine.mean() == pytest.approx(chance_agreement(labels))  # over all others
    coarse = label_agreement(labels, found, superclasses=[0, 0, 1])
    assert (coarse >= fine).all()
    assert coarse.mean() == pytest.approx(chance_agreement(labels, superclasses=[0, 0, 1]))


def test_unexplained_variance_is_that_of_least_squares():
    directions, weights = GENERATOR.normal(size=(7, 6)), GENERATOR.normal(size=(6, 3))
    fitted = weights @ np.linalg.lstsq(weights, directions.T, rcond=None)[0]
    wanted = np.sum((directions.T - fitted) ** 2) / np.sum(directions**2)
    assert unexplained_variance(directions, weights) == pytest.approx(wanted)
    assert unexplained_variance(5 * directions, 1e-9 * weights) == pytest.approx(wanted)


def test_directions_in_the_kernel_are_unexplained_and_map_to_nothing():
    weights = GENERATOR.normal(size=(6, 2))
    basis = span(weights)
    directions = GENERATOR.normal(size=(7, 6))
    kernel = directions - directions @ basis @ basis.T
    np.testing.assert_allclose(kernel @ weights, 0, atol=1e-12)
    assert unexplained_variance(kernel, weights) == pytest.approx(1)
    assert unexplained_variance(directions @ basis @ basis.T, weights) == pytest.approx(
        0, abs=1e-12
    )
    # Rank and nullity: a projector that is invariant to directions of rank r loses r (prop. 4.2).
    assert weight_rank(weights) <= 6 - weight_rank(kernel)


def test_gain_is_one_along_the_largest_singular_vector_and_zero_in_the_kernel():
    weights = GENERATOR.normal(size=(6, 3))
    vectors, values, _ = np.linalg.svd(weights)
    for i in range(6):
        wanted = (values[i] / values[0]) ** 2 if i < 3 else 0
        assert gain(vectors[:, i][None], 7 * weights) == pytest.approx(wanted, abs=1e-12)
    assert gain(np.zeros((2, 6)), weights) == 0 and gain(vectors, 0 * weights) == 0


def test_no_span_of_as_many_dimensions_explains_more_than_the_best():
    directions = GENERATOR.normal(size=(20, 6)) * [5, 3, 1, 1, 0.5, 0.1]
    best = least_unexplained(directions, 2)
    _, _, rows = np.linalg.svd(directions, full_matrices=False)
    assert best == pytest.approx(unexplained_variance(directions, rows[:2].T))
    for _ in range(20):
        assert unexplained_variance(directions, GENERATOR.normal(size=(6, 2))) >= best


@pytest.mark.parametrize("wide", [False, True])
def test_directions_and_weights_of_zeros_are_no_error(wide):
    zeros = np.zeros((3, 8) if wide else (8, 3))
    columns = zeros.shape[1]
    assert unexplained_variance(zeros, np.ones((columns, 2))) == 0
    assert least_unexplained(zeros, 1) == 0
    assert unexplained_variance(np.ones((2, columns)), np.zeros((columns, 2))) == 1
