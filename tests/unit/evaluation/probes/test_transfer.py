"""Logistic regression on codes and on dense features: scikit-learn's optimum, the same protocol."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.probes import blocks as blocks_module
from keras_ssl.evaluation.probes import code_products, logistic
from keras_ssl.evaluation.probes.blocks import CodeBlocks, DenseBlocks
from keras_ssl.evaluation.probes.code_products import CodeProducts, one_hot_csr
from keras_ssl.evaluation.probes.linear import scaling
from keras_ssl.evaluation.probes.logistic import fit, zeros
from keras_ssl.evaluation.probes.transfer import codes_probe, dense_probe
from keras_ssl.evaluation.rows import Rows

_PATH = Path(__file__).parents[4] / "benchmarks" / "codes.py"
_SPEC = importlib.util.spec_from_file_location("benchmark_of_codes", _PATH)
benchmark = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(benchmark)


def some_codes(rows=60, width=5, size=4, classes=3, seed=0):
    """Codes of which most simplices tell the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    codes = (labels[:, None] + np.arange(width)) % size
    noise = rng.random((rows, width)) < 0.5
    return np.where(noise, rng.integers(0, size, codes.shape), codes).astype("uint8"), labels


@pytest.mark.parametrize("width, size", [(5, 4), (4, 4), (1, 2), (3, 17), (3, 16), (2, 300)])
def test_products_of_codes_are_those_of_the_one_hot_matrix(width, size, monkeypatch):
    monkeypatch.setattr(code_products, "_TILE_NONZEROS", 7)
    monkeypatch.setattr(code_products, "_TILE_WEIGHTS", 4 * size)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, size, (11, width)).astype(np.min_scalar_type(size - 1))
    dense = np.eye(size)[codes].reshape(11, -1)
    of_codes = CodeProducts(codes, size)
    weights, residuals = rng.normal(size=(width * size, 3)), rng.normal(size=(11, 3))
    assert of_codes.shape == dense.shape
    np.testing.assert_allclose(of_codes.forward(weights), dense @ weights, atol=1e-12)
    np.testing.assert_allclose(of_codes.backward(residuals), dense.T @ residuals, atol=1e-12)


def test_the_csr_matrix_has_a_one_per_simplex_and_small_indices():
    codes, _ = some_codes()
    matrix = one_hot_csr(codes, 4)
    assert isinstance(matrix, csr_matrix) and matrix.indices.dtype == "int32"
    assert matrix.nnz == codes.size
    np.testing.assert_array_equal(matrix.toarray(), np.eye(4)[codes].reshape(60, -1))


def blocks_of(kind, codes):
    dense = one_hot_csr(codes, 4).toarray()
    return CodeBlocks(codes, 4) if kind == "codes" else DenseBlocks(Rows(dense))


def fitted(blocks, labels, c=1.0, start=None):
    return fit(blocks, labels, c, zeros(blocks, 3) if start is None else start)


KINDS = ("codes", "dense", "dense, by TensorFlow")


@pytest.mark.parametrize("c", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("kind", KINDS)
def test_the_solution_is_that_of_scikit_learn(kind, c, monkeypatch):
    monkeypatch.setattr(logistic, "TOLERANCE", 1e-8)
    monkeypatch.setattr(blocks_module, "_MOST_ROWS", 25)  # three blocks
    if kind == "dense, by TensorFlow":
        monkeypatch.setattr(blocks_module, "_FEW_VALUES", 0)
    codes, labels = some_codes()
    blocks = blocks_of(kind, codes)
    weights = fitted(blocks, labels, c)
    matrix = one_hot_csr(codes, 4)
    theirs = LogisticRegression(C=c, tol=1e-8, max_iter=1000).fit(matrix, labels)
    np.testing.assert_allclose(weights[:-1].T, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(
        weights[-1] - weights[-1].mean(), theirs.intercept_ - theirs.intercept_.mean(), atol=1e-4
    )
    logits = np.concatenate([logits for _, logits in blocks.logits(weights)])
    np.testing.assert_allclose(logits, matrix @ weights[:-1] + weights[-1], atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_the_loss(kind, monkeypatch):
    if kind == "dense, by TensorFlow":
        monkeypatch.setattr(blocks_module, "_FEW_VALUES", 0)
    codes, labels = some_codes()
    blocks, draw = blocks_of(kind, codes), np.random.default_rng(0)
    weights, step = draw.normal(size=(2, 21, 3))
    _, gradient = blocks.loss_and_gradient(labels, weights)
    above, below = (blocks.loss_and_gradient(labels, weights + s * step)[0] for s in (1e-5, -1e-5))
    assert np.vdot(gradient, step) == pytest.approx((above - below) / 2e-5, rel=1e-5)
    expected = logistic.cross_entropy(blocks, labels, weights) * 60
    assert blocks.loss_and_gradient(labels, weights)[0] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["codes", "dense"])
def test_some_rows_are_fitted_as_if_there_were_no_others(kind):
    codes, labels = some_codes()
    numbers = np.arange(0, 60, 2)[5:]
    some = blocks_of(kind, codes).take(np.arange(0, 60, 2)).take(np.arange(5, 30))
    found = fitted(some, labels[numbers])
    np.testing.assert_array_equal(found, fitted(blocks_of(kind, codes[numbers]), labels[numbers]))


def test_a_warm_start_reaches_what_a_cold_one_reaches(monkeypatch):
    monkeypatch.setattr(logistic, "TOLERANCE", 1e-8)
    codes, labels = some_codes()
    blocks = CodeBlocks(codes, 4)
    warm = fitted(blocks, labels, 1.0, fitted(blocks, labels, 0.01))
    np.testing.assert_allclose(warm, fitted(blocks, labels), atol=1e-5)


def test_standardized_codes_are_the_standardized_one_hot_matrix():
    codes, labels = some_codes()
    dense = Rows(np.eye(4)[codes].reshape(60, -1))
    columns = scaling(dense)
    parts = CodeBlocks(codes, 4, columns=columns), DenseBlocks(dense, columns=columns)
    weights = np.random.default_rng(0).normal(size=(21, 3))
    ours, theirs = (part.loss_and_gradient(labels, weights) for part in parts)
    assert ours[0] == pytest.approx(theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-9)


def test_weights_beyond_the_memory_are_refused_with_their_sizes(monkeypatch):
    monkeypatch.setattr(logistic, "BLOCK_VALUES", 1)
    codes, labels = some_codes()
    blocks = CodeBlocks(codes, 4, memory=21 * 3 * 8 * 30)
    with pytest.raises(UserError, match="20 features and 3 classes .* is the limit"):
        fitted(blocks, labels)
    blocks.memory = 21 * 3 * 8 * 40  # with fewer steps to look back
    np.testing.assert_allclose(
        fitted(blocks, labels), fitted(CodeBlocks(codes, 4), labels), atol=0.01
    )


def test_codes_and_their_one_hot_features_give_the_same_accuracy():
    train, train_labels = some_codes(90)
    test, test_labels = some_codes(60, seed=1)
    dense = [one_hot_csr(part, 4).toarray() for part in (train, test)]
    by_codes = codes_probe(train, train_labels, test, test_labels, simplex_size=4, strengths=12)
    by_features = dense_probe(dense[0], train_labels, dense[1], test_labels, strengths=12)
    assert by_codes.accuracy == by_features.accuracy > 60
    assert by_codes.details["c"] == by_features.details["c"]
    assert by_codes.protocol["features"] == "one-hot codes"
    assert {**by_features.protocol, "features": None} == {
        key: None if key == "features" else value
        for key, value in by_codes.protocol.items()
        if key not in ("num_simplices", "simplex_size")
    }


def test_the_protocol_names_45_strengths_and_a_seed_gives_the_same_again():
    codes, labels = some_codes()
    first = codes_probe(codes, labels, codes, labels, simplex_size=4)
    assert first.protocol["strengths"] == 45 and first.protocol["c_range"] == [1e-6, 1e5]
    assert first == codes_probe(codes, labels, codes, labels, simplex_size=4)


def test_labels_need_not_be_numbered_from_0():
    codes, labels = some_codes()
    plain = codes_probe(codes, labels, codes, labels, simplex_size=4, strengths=5)
    renamed = codes_probe(codes, 7 * labels + 2, codes, 7 * labels + 2, simplex_size=4, strengths=5)
    assert plain.accuracy == renamed.accuracy


def test_shuffled_labels_are_at_chance():
    codes, labels = some_codes(300)
    test, test_labels = some_codes(300, seed=1)
    shuffled = np.random.default_rng(2).permutation(labels)
    result = codes_probe(codes, shuffled, test, test_labels, simplex_size=4, strengths=9)
    assert abs(result.accuracy - 100 / 3) < 12


CODES, LABELS = some_codes()


@pytest.mark.parametrize(
    "change, what",
    [
        ({"train": CODES[:0], "train_labels": LABELS[:0]}, "non-empty matrix"),
        ({"train": CODES[:, :3]}, "same number of simplices"),
        ({"test": CODES + 1}, "test codes must lie in 0 to 3. Received 1 to 4"),
        ({"train": np.full(CODES.shape, np.nan)}, "train codes must be integers"),
        ({"simplex_size": 1}, "simplex_size must be 2 or more"),
        ({"strengths": 0}, "strengths must be 1 or more"),
        ({"train_labels": LABELS / 2}, "labels must be integers"),
        ({"test_labels": LABELS + 1}, "without a train image: 3"),
        ({"train_labels": LABELS * 0, "test_labels": LABELS * 0}, "two classes or more"),
        ({"test_labels": LABELS[:3]}, "one test label per image"),
    ],
)
def test_what_does_not_fit_is_refused(change, what):
    parts = {"train": CODES, "train_labels": LABELS, "test": CODES, "test_labels": LABELS}
    with pytest.raises(UserError, match=what):
        codes_probe(**{**parts, "simplex_size": 4, **change})


def test_dense_features_with_nan_are_refused():
    features = np.eye(3)[LABELS]
    with pytest.raises(UserError, match="NaN"):
        dense_probe(features * np.nan, LABELS, features, LABELS)


def test_scikit_learn_by_the_same_protocol_chooses_and_reaches_the_same():
    train, train_labels = some_codes(90)
    test, test_labels = some_codes(60, seed=1)
    parts = (train, train_labels, test, test_labels)
    ours = codes_probe(*parts, simplex_size=4, strengths=7)
    accuracy, c = benchmark.scikit_learn_probe(*parts, 7, simplex_size=4)
    assert (ours.accuracy, ours.details["c"]) == (accuracy, (c,))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_features_that_tell_nothing_are_at_chance(dtype):
    features = np.full((60, 4), 0.3, dtype)
    with np.errstate(all="raise"):
        result = dense_probe(features, LABELS, features, LABELS, strengths=12)
    assert result.accuracy == pytest.approx(100 / 3)
    same = codes_probe(0 * CODES, LABELS, 0 * CODES, LABELS, simplex_size=4, strengths=12)
    assert same.accuracy == pytest.approx(100 / 3)


def test_given_rows_choose_the_strength():
    train, labels = some_codes(90)
    test, test_labels = some_codes(60, seed=1)
    held = np.arange(60, 90)
    found = codes_probe(
        train, labels, test, test_labels, simplex_size=4, strengths=7, validation=held
    )
    scores = {}
    for c in np.geomspace(1e-6, 1e5, 7):
        model = LogisticRegression(C=c, tol=1e-4, max_iter=200)
        model.fit(one_hot_csr(train[:60], 4), labels[:60])
        scores[float(c)] = model.score(one_hot_csr(train[60:], 4), labels[60:])
    assert scores[found.details["c"][0]] == max(scores.values())
    assert found.protocol["validation_images"] == 30 and "folds" not in found.protocol
    assert found.protocol["train_images"] == 90
    assert "given validation images" in found.protocol["c_rule"]


@pytest.mark.parametrize(
    "validation, what",
    [
        ([], "Received 0 of dtype"),
        ([0.5], "Received 1 of dtype float64, such as .0.5."),
        ([60], "numbers of some of the 60 train rows. Received 1 of dtype int64, such as .60."),
        (np.arange(60) % 3 == 0, "of dtype bool"),
        (np.arange(0, 60, 3), "leaves no row to fit to of 1 of 3 classes"),
    ],
)
def test_rows_to_choose_by_that_do_not_fit_are_refused(validation, what):
    with pytest.raises(UserError, match=what):
        codes_probe(CODES, LABELS, CODES, LABELS, simplex_size=4, validation=validation)
