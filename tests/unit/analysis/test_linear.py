"""Ridge regression by either side of the matrix, and independent components."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeClassifier

from keras_ssl.analysis import linear
from keras_ssl.analysis.linear import independent_components, ridge_classifier
from keras_ssl.core.errors import UserError


@pytest.mark.parametrize("shape", [(60, 8), (30, 50)])
def test_weights_are_those_of_ridge_regression(shape):
    random = np.random.default_rng(0)
    x, labels = random.normal(size=shape) + 3.0, random.integers(0, 3, shape[0])
    ours = ridge_classifier(x, labels)
    squared = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
    penalty = ours.penalty * squared.mean()
    theirs = RidgeClassifier(alpha=penalty).fit(x, labels)
    # scikit-learn's targets are -1 and 1.
    assert np.allclose(2 * ours.weights.T, theirs.coef_, atol=1e-8)
    assert np.array_equal(ours.predict(x), theirs.predict(x))


def test_the_penalty_is_the_best_of_leaving_one_out():
    random = np.random.default_rng(1)
    x = random.normal(size=(40, 3))
    assert ridge_classifier(x, (x[:, 0] > 0) * 1).penalty < 1.0
    assert ridge_classifier(random.normal(size=(40, 30)), random.integers(0, 2, 40)).penalty > 1.0


@pytest.mark.parametrize("shape", [(12, 3), (12, 20)])
def test_the_error_of_leaving_one_out_is_that_of_fitting_without_it(shape):
    random = np.random.default_rng(0)
    x, y = random.normal(size=shape), random.normal(size=(12, 2))
    solve = linear._by_rows if shape[1] > 12 else linear._by_columns
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    scale = np.square(x).sum() / min(shape)
    for error, penalty, _ in solve(x, y):
        squared = []
        for row in range(12):
            rest = np.delete(np.arange(12), row)
            model = Ridge(alpha=penalty * scale).fit(x[rest], y[rest])
            squared.append(np.square(model.predict(x[[row]]) - y[row]))
        assert error == pytest.approx(np.mean(squared), rel=1e-6)


def test_constant_features_have_weights_of_zero():
    classifier = ridge_classifier(np.ones((6, 4), np.float32), [0, 1, 1, 0, 1, 1])
    assert not classifier.weights.any() and classifier.predict(np.ones((1, 4))) == 1
    assert independent_components(np.ones((6, 4)))[0].shape == (4, 0)


def test_independent_components_undo_a_mixture():
    random = np.random.default_rng(0)
    sources = random.laplace(size=(2000, 3))
    x = sources @ random.normal(size=(3, 5))
    matrix, mean = independent_components(x)
    found = (x - mean) @ matrix
    correlation = np.abs(np.corrcoef(sources.T, found.T)[:3, 3:])
    assert found.shape[1] == 3 and np.all(correlation.max(axis=0) > 0.98)


def test_one_row_is_no_training_set():
    with pytest.raises(UserError, match="two rows"):
        ridge_classifier(np.ones((1, 2)), [0])
