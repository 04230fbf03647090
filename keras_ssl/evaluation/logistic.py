"""Multinomial logistic regression with the objective of `sklearn.linear_model.LogisticRegression`.

What differs between dense features and codes is only how they are multiplied by weights, so both
share everything else.
"""

from collections import deque

import numpy as np
from scipy.special import softmax

MAX_ITERATIONS, TOLERANCE = 200, 1e-4
_MEMORY = 5  # steps that L-BFGS looks back
_SEARCHES = 20  # points of a line at most


class Problem:
    """`c * sum of cross-entropies + |weights|^2 / 2`, divided by c and the number of rows.

    Args:
        products: `DenseProducts` or `CodeProducts` of all rows.
        labels: int (rows,) in [0, classes).
        fitted: bool (rows,). The rows that count.
    """

    def __init__(self, products, labels, fitted):
        self.products = products
        self.targets = np.eye(labels.max() + 1)[labels]
        self.counts = (fitted / fitted.sum())[:, None]

    def start(self):
        """A solution, (columns + 1, classes) with the intercept last, and its logits."""
        classes = self.targets.shape[1]
        solution = np.zeros((self.products.shape[1] + 1, classes))
        return solution, np.zeros((self.products.shape[0], classes))

    def fit(self, c, solution, logits):
        """Go from a solution and its logits to those that minimise the objective, by L-BFGS.

        A step along a direction adds a multiple of one product to the logits, so that the length
        of the step is found by Newton's method without another product.

        Args:
            c: float > 0. Inverse strength of the regularisation; it leaves the intercept out.

        Returns:
            The solution where no entry of the gradient exceeds `TOLERANCE`, or that was reached in
            `MAX_ITERATIONS`, and its logits for all rows.
        """
        decay = 1 / (c * np.count_nonzero(self.counts))
        gradient, pairs = self._gradient(solution, logits, decay), deque(maxlen=_MEMORY)
        for _ in range(MAX_ITERATIONS):
            if np.abs(gradient).max() <= TOLERANCE:
                break
            direction = _newton_like(gradient, pairs)
            along = scores(self.products, direction)
            length = self._length(solution, direction, logits, along, decay)
            if not length:  # what is left of the gradient is rounding
                break
            direction *= length
            solution, logits = solution + direction, logits + length * along
            before, gradient = gradient, self._gradient(solution, logits, decay)
            # In float32 they take half the memory, and only say roughly how the objective bends.
            pair = direction.astype("float32"), (gradient - before).astype("float32")
            if _dot(*pair) > 0:
                pairs.append(pair)
        return solution, logits

    def _gradient(self, solution, logits, decay):
        residuals = self.counts * (softmax(logits, axis=1) - self.targets)
        gradient = np.empty_like(solution)
        gradient[:-1] = self.products.backward(residuals)
        gradient[:-1] += decay * solution[:-1]
        gradient[-1] = residuals.sum(axis=0)
        return gradient

    def _length(self, solution, direction, logits, along, decay):
        """Where the objective is least on the way along a direction, to a tenth of its slope."""
        slope_0 = decay * _dot(solution[:-1], direction[:-1])
        bend_0 = decay * _dot(direction[:-1], direction[:-1])
        low, high, length, first = 0.0, np.inf, 0.0, None
        for _ in range(_SEARCHES):
            p = softmax(logits + length * along, axis=1)
            mean = np.sum(p * along, axis=1, keepdims=True)
            slope = np.sum(self.counts * (p - self.targets) * along) + slope_0 + length * bend_0
            bend = np.sum(self.counts * p * (along - mean) ** 2) + bend_0
            first = first or abs(slope)
            if length and abs(slope) <= 0.1 * first:
                break
            low, high = (length, high) if slope < 0 else (low, length)
            length -= slope / bend
            if not low < length < high:
                length = (low + high) / 2 if high < np.inf else 2 * low
        return length


def _newton_like(gradient, pairs):
    """Minus the gradient times the inverse Hessian that the last steps suggest: -> a descent."""
    direction, shares = -gradient, []
    for step, change in reversed(pairs):
        share = _dot(step, direction) / _dot(step, change)
        direction -= share * change
        shares.append(share)
    if pairs:
        step, change = pairs[-1]
        direction *= _dot(step, change) / _dot(change, change)
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        direction += (share - _dot(change, direction) / _dot(step, change)) * step
    return direction


def _dot(a, b):
    """`np.vdot` without the threads of BLAS: to wait for these takes longer than the sum."""
    return np.einsum("ij,ij", a, b)


def scores(products, solution):
    """Logits (rows, classes) in float64."""
    return products.forward(solution[:-1]).astype("float64", copy=False) + solution[-1]
