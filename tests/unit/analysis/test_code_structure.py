"""Alignment, blocks and decorrelation of embeddings against the paper's theorem."""

import numpy as np
import pytest
from scipy.linalg import hadamard

from keras_ssl.analysis import code_structure as structure
from keras_ssl.core.errors import UserError

DIM, REPEATS = 16, 5


@pytest.fixture
def codes():
    return hadamard(DIM).astype("float32")


@pytest.fixture
def optimal(codes):
    """Embeddings at the minimum: each code has as many images, in random order."""
    which = np.random.default_rng(0).permutation(np.repeat(np.arange(DIM), REPEATS))
    return codes.T[which] / np.sqrt(len(which)), which


def test_embeddings_on_their_codes_are_perfectly_aligned(codes, optimal):
    embeddings, which = optimal
    found = structure.code_alignment(embeddings, codes)
    np.testing.assert_array_equal(found.code, which)
    np.testing.assert_allclose(found.cosine, 1.0, rtol=1e-6)
    np.testing.assert_allclose(found.runner_up, 0.0, atol=1e-6)
    np.testing.assert_array_equal(found.agreement, 1.0)
    assert set(found.per_code()["images"]) == {REPEATS}


def test_the_other_solution_of_theorem_1_is_aligned_up_to_a_spurious_term(codes):
    alpha = 1 - 2 / DIM  # with 1 / sqrt(n) = 1
    rest = codes.sum(axis=1)
    embeddings = np.stack([alpha * w + (alpha - 1) * (rest - w) for w in codes.T])
    found = structure.code_alignment(embeddings, codes)
    np.testing.assert_array_equal(found.code, np.arange(DIM))
    np.testing.assert_allclose(found.cosine, alpha, rtol=1e-5)


def test_alignment_ignores_the_length_of_embeddings(codes):
    embeddings = np.random.default_rng(1).normal(size=(30, DIM))
    one, other = (structure.code_alignment(s * embeddings, codes) for s in (1.0, 1e-4))
    np.testing.assert_allclose(one.cosine, other.cosine, rtol=1e-5)
    np.testing.assert_array_equal(one.agreement, other.agreement)
    assert np.all(one.runner_up <= one.cosine + 1e-6)


def test_perfect_alignment_has_a_block_diagonal_adjacency(optimal):
    embeddings, which = optimal
    adjacency = structure.ordered_adjacency(embeddings, which, size=len(which))
    expected = np.kron(np.eye(DIM), np.ones((REPEATS, REPEATS)))
    np.testing.assert_allclose(adjacency, expected, atol=1e-5)
    found = structure.block_structure(embeddings, which)
    assert found.within == pytest.approx(1.0, abs=1e-6)
    assert found.between == pytest.approx(0.0, abs=1e-6)
    assert (found.used, found.largest) == (DIM, 1 / DIM)
    assert found.effective == pytest.approx(DIM)


def test_cells_are_means_of_the_cosines(optimal):
    embeddings = np.random.default_rng(2).normal(size=(12, 5))
    order = structure.by_code([0] * 12)
    unit = embeddings[order] / np.linalg.norm(embeddings[order], axis=1, keepdims=True)
    expected = (unit @ unit.T).reshape(4, 3, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(
        structure.ordered_adjacency(embeddings, [0] * 12, size=4), expected, atol=1e-12
    )


def test_block_structure_is_the_mean_over_pairs():
    draw = np.random.default_rng(3)
    embeddings, codes = draw.normal(size=(20, 6)), draw.integers(0, 4, 20)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines, same = unit @ unit.T, codes[:, None] == codes
    np.fill_diagonal(same, False)
    other = codes[:, None] != codes
    found = structure.block_structure(embeddings, codes)
    assert found.within == pytest.approx(cosines[same].mean())
    assert found.between == pytest.approx(cosines[other].mean())


def test_perfect_alignment_has_the_identity_as_covariance(optimal):
    embeddings, _ = optimal
    np.testing.assert_allclose(structure.embedding_covariance(embeddings), np.eye(DIM), atol=1e-5)
    found = structure.decorrelation(embeddings)
    assert found.off_diagonal == pytest.approx(0.0, abs=1e-3)
    assert found.participation == pytest.approx(DIM, rel=1e-5)


@pytest.mark.parametrize("shape", [(40, 9), (9, 40)])
def test_decorrelation_is_that_of_the_whole_matrix(shape, monkeypatch):
    embeddings = np.random.default_rng(4).normal(size=shape) + 0.3
    covariance = structure.embedding_covariance(embeddings)
    off = covariance[~np.eye(shape[1], dtype=bool)]
    monkeypatch.setattr(structure, "_BLOCK", 7)
    found = structure.decorrelation(embeddings)
    assert found.off_diagonal == pytest.approx(np.sqrt(np.mean(off**2)))
    assert found.diagonal_std == pytest.approx(np.diag(covariance).std())
    values = np.linalg.eigvalsh(covariance)
    assert found.participation == pytest.approx(values.sum() ** 2 / (values**2).sum())


def test_using_few_codes_fills_few_dimensions(codes):
    embeddings = np.repeat(codes.T[:3], 10, axis=0)
    assert structure.decorrelation(embeddings).participation == pytest.approx(3.0)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_collapsed_embedding_is_measured_without_nan(codes, value):
    embeddings = np.full((30, DIM), value)
    found = structure.code_alignment(embeddings, codes)
    blocks = structure.block_structure(embeddings, found.code)
    assert np.isfinite(found.cosine).all() and len(set(found.code)) == 1
    assert (blocks.used, blocks.effective, blocks.between) == (1, 1.0, None)
    assert blocks.within == pytest.approx(value)
    assert structure.decorrelation(embeddings).participation == pytest.approx(value)
    assert np.isfinite(structure.ordered_adjacency(embeddings, found.code)).all()
    assert np.isfinite(structure.embedding_covariance(embeddings)).all()


def test_one_image_a_code_has_no_pair_within():
    found = structure.block_structure(np.eye(3), [0, 1, 2])
    assert found.within is None and found.between == 0.0


def test_wide_embeddings_are_shown_in_part():
    embeddings = np.random.default_rng(5).normal(size=(10, 1000))
    assert structure.embedding_covariance(embeddings, size=50).shape == (50, 50)


def test_widths_that_do_not_match_are_refused():
    with pytest.raises(UserError, match=r"\(2, 3\)"):
        structure.code_alignment(np.ones((2, 3)), np.ones((4, 5)))
