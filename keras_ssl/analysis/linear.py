"""Linear maps fitted to features: a classifier by least squares, and independent components."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, lapack
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from keras_ssl.core.errors import UserError

_PENALTIES = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)  # times the mean of the squared singular values


def affordable_rows(width: int, operations: float = 4e10, most: int = 2000) -> int:
    """Rows of this width whose Gram matrix takes at most so many multiplications, 50 to `most`.

    Example:

    >>> affordable_rows(128), affordable_rows(65_000)
    (2000, 784)
    """
    return max(50, min(most, int((operations / width) ** 0.5)))


@dataclass(frozen=True)
class RidgeClassifier:
    """A linear classifier by least squares: `scores = x @ weights + biases`.

    Attributes:
        weights: (features, classes) float64.
        biases: (classes,).
        classes: (classes,). The label of each column.
        penalty: float. The chosen one, as a multiple of the mean squared singular value.

    Example:

    >>> classifier = RidgeClassifier(np.eye(2), np.zeros(2), np.array([3, 7]), 1.0)
    >>> classifier.predict([[0.0, 1.0]])
    array([7])
    """

    weights: np.ndarray
    biases: np.ndarray
    classes: np.ndarray
    penalty: float

    def scores(self, x: ArrayLike) -> np.ndarray:
        """Scores (rows, classes) of `x` (rows, features)."""
        x = np.asarray(x)
        with threadpool_limits(1):
            return x @ self.weights.astype(x.dtype) + self.biases

    def predict(self, x: ArrayLike) -> np.ndarray:
        """The label of the largest score of each row."""
        return self.classes[self.scores(x).argmax(axis=1)]


def ridge_classifier(x: ArrayLike, labels: ArrayLike) -> RidgeClassifier:
    """Fit one-hot labels by ridge regression: a linear probe in closed form, in a second.

    Features are centered and not scaled. Of six penalties, 1e-4 to 10 times the mean squared
    singular value, the one with the least squared leave-one-out error is taken. The matrix that is
    inverted has the shorter side of `x`, so that wide features cost what few images cost.

    Args:
        x: float (rows, features).
        labels: (rows,) integers.

    Returns:
        `RidgeClassifier`. Of constant features its weights are zero.

    Raises:
        UserError: for less than two rows or another number of labels.

    Example:

    >>> x = np.repeat(np.eye(2), 5, axis=0)
    >>> ridge_classifier(x, np.repeat([3, 7], 5)).predict([[1.0, 0.0], [0.0, 1.0]])
    array([3, 7])
    """
    x, labels = np.asarray(x), np.asarray(labels)
    if len(x) < 2 or labels.shape != (len(x),):
        raise UserError(
            f"A classifier needs two rows or more and a label each. Received {x.shape} and "
            f"{labels.shape}."
        )
    mean = x.mean(axis=0, dtype=np.float64)
    x = x - mean.astype(x.dtype)  # a copy
    classes, column = np.unique(labels, return_inverse=True)
    targets = np.eye(len(classes))[column]
    average = targets.mean(axis=0)
    solve = _by_rows if x.shape[1] > x.shape[0] else _by_columns
    with threadpool_limits(1):  # the same bits on any number of cores
        _, penalty, weights = min(
            solve(x, targets - average), key=lambda found: found[0], default=(0.0, 1.0, None)
        )
    if weights is None:  # nothing varies
        weights = np.zeros((x.shape[1], len(classes)))
    elif solve is _by_rows:
        with threadpool_limits(1):
            weights = (x.T @ weights.astype(x.dtype)).astype(np.float64)
    return RidgeClassifier(weights, average - mean @ weights, classes, penalty)


def _by_rows(x, targets):
    """Yield (leave-one-out error, penalty, dual coefficients), by the matrix rows x rows."""
    gram = (x @ x.T).astype(np.float64)
    scale = np.trace(gram) / len(gram)
    for penalty in _PENALTIES if scale > 0 else ():
        inverse = _inverse(gram, penalty * scale)
        dual = inverse @ targets
        spared = penalty * scale * np.diagonal(inverse)
        yield _left_out(penalty * scale * dual, spared), penalty, dual


def _by_columns(x, targets):
    """Yield (leave-one-out error, penalty, weights), by the matrix columns x columns."""
    x = x.astype(np.float64)
    gram, moments = x.T @ x, x.T @ targets
    scale = np.trace(gram) / len(gram)
    for penalty in _PENALTIES if scale > 0 else ():
        inverse = _inverse(gram, penalty * scale)
        weights = inverse @ moments
        spared = 1.0 - ((x @ inverse) * x).sum(axis=1)
        yield _left_out(targets - x @ weights, spared), penalty, weights


def _inverse(gram, penalty):
    """Inverse of `gram + penalty I`, positive definite: a third of the time of its eigenvectors."""
    ridge = gram.copy()
    ridge.flat[:: len(gram) + 1] += penalty
    factor, _ = cho_factor(ridge, lower=True, overwrite_a=True, check_finite=False)
    inverse, _ = lapack.dpotri(factor, lower=True, overwrite_c=True)
    lower = np.tril(inverse)
    return lower + np.tril(inverse, -1).T


def _left_out(residual, spared):
    """Mean squared error of the rows by classifiers fitted without them, the mean among these."""
    spared = np.maximum(spared - 1.0 / len(residual), 1e-6)
    return float(np.square(residual / spared[:, None]).mean())


def independent_components(
    x: ArrayLike, num_components: int = 128, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Linear ICA, the paper's control: features that are independent, but not by a softmax.

    Args:
        x: float (rows, features).
        num_components: int > 0. At most as many as `x` has directions; more are cut off by a
            principal component analysis.
        seed: int.

    Returns:
        The matrix (features, components) that takes centered features to components of variance 1,
        and the mean (features,) that centers them. No component where `x` is constant.

    Example:

    >>> x = np.random.default_rng(0).uniform(size=(500, 2)) @ [[2.0, 1.0], [1.0, 3.0]]
    >>> matrix, mean = independent_components(x)
    >>> np.round(np.cov((x - mean) @ matrix, rowvar=False, bias=True), 3) + 0.0
    array([[1., 0.],
           [0., 1.]])

    Reference: Hyvarinen and Oja, Independent component analysis, 2000; Lavoie et al., Simplicial
    Embeddings, sec. 4.4.
    """
    x = np.asarray(x, np.float64)
    mean = x.mean(axis=0)
    with threadpool_limits(1):
        _, values, right = np.linalg.svd(x - mean, full_matrices=False)
    count = min(num_components, int((values > values[0] * 1e-6).sum()) if values[0] > 0 else 0)
    if not count:
        return np.zeros((x.shape[1], 0)), mean
    whitening = right[:count].T * np.sqrt(len(x)) / values[:count]
    ica = FastICA(whiten=False, max_iter=50, tol=1e-3, random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():
        # Gaussian features have no independent components; what it ends with will do.
        warnings.simplefilter("ignore", ConvergenceWarning)
        ica.fit((x - mean) @ whitening)
    return whitening @ ica.components_.T, mean
