"""Linear maps fitted to features: a classifier by least squares, and independent components."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

from keras_ssl.core.errors import UserError

_PENALTIES = tuple(10.0**power for power in range(-5, 3))  # times the mean of the squared values
_SMALLEST = 1e-10  # of the largest squared singular value: below it there is only rounding


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
        return np.asarray(x) @ self.weights.astype(np.asarray(x).dtype) + self.biases

    def predict(self, x: ArrayLike) -> np.ndarray:
        """The label of the largest score of each row."""
        return self.classes[self.scores(x).argmax(axis=1)]


def ridge_classifier(x: ArrayLike, labels: ArrayLike) -> RidgeClassifier:
    """Fit one-hot labels by ridge regression: a linear probe in closed form, in a second.

    Features are centered and not scaled. Of eight penalties, 1e-5 to 100 times the mean squared
    singular value, the one with the least squared leave-one-out error is taken. The matrix that is
    decomposed has the shorter side of `x`, so that wide features cost what few images cost.

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
    left, squared = _left_singular(x)
    projected = left.T @ (targets - average)
    scale = squared.mean() if len(squared) else 1.0
    errors = [
        _left_out(left, squared, projected, targets - average, penalty * scale)
        for penalty in _PENALTIES
    ]
    penalty = _PENALTIES[int(np.argmin(errors))]
    coefficients = left @ (projected / (squared + penalty * scale)[:, None])
    weights = (x.T @ coefficients.astype(x.dtype)).astype(np.float64)
    return RidgeClassifier(weights, average - mean @ weights, classes, penalty)


def _left_singular(x):
    """Left singular vectors (rows, r) and squared singular values (r,) of a centered matrix."""
    wide = x.shape[1] > x.shape[0]
    values, vectors = np.linalg.eigh((x @ x.T if wide else x.T @ x).astype(np.float64))
    known = values > max(values[-1], 0.0) * max(_SMALLEST, 10 * np.finfo(x.dtype).eps)
    values, vectors = values[known], vectors[:, known]
    return (vectors if wide else x @ vectors / np.sqrt(values)), values


def _left_out(left, squared, projected, targets, penalty):
    """Mean squared error of the rows by the classifiers fitted without them."""
    shrunk = squared / (squared + penalty)
    fitted = left @ (shrunk[:, None] * projected)
    leverage = np.square(left) @ shrunk + 1.0 / len(left)
    residual = (targets - fitted) / np.maximum(1.0 - leverage, 1e-6)[:, None]
    return float(np.square(residual).mean())


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
    _, values, right = np.linalg.svd(x - mean, full_matrices=False)
    count = min(num_components, int((values > values[0] * 1e-6).sum()) if values[0] > 0 else 0)
    if not count:
        return np.zeros((x.shape[1], 0)), mean
    whitening = right[:count].T * np.sqrt(len(x)) / values[:count]
    ica = FastICA(whiten=False, max_iter=100, tol=1e-3, random_state=seed)
    with warnings.catch_warnings():
        # Gaussian features have no independent components; what it ends with will do.
        warnings.simplefilter("ignore", ConvergenceWarning)
        ica.fit((x - mean) @ whitening)
    return whitening @ ica.components_.T, mean
