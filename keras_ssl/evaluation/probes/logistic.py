"""Multinomial logistic regression with the objective of `sklearn.linear_model.LogisticRegression`.

What is held is of the size of the weights: rows are read a block at a time, of dense features or of
codes (`Blocks`), so that it makes no difference to the solution where they lie.
"""

import functools

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax
from threadpoolctl import ThreadpoolController

from keras_ssl.core.constants import TOP5_FROM
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.probes.blocks import Blocks
from keras_ssl.evaluation.rows import BLOCK_VALUES, gib

MAX_ITERATIONS, TOLERANCE = 200, 1e-4
_PAIRS, _FEWEST_PAIRS = 10, 3  # steps that L-BFGS looks back, by default and at least
_COPIES = 12  # of the weights that are held beside those of the steps


def _in_one_thread(function):
    """What NumPy and SciPy do in it: sums this short lose more by waiting than they gain."""

    @functools.wraps(function)
    def limited(*args):
        with _threads().limit(limits=1):
            return function(*args)

    return limited


@functools.cache
def _threads():
    return ThreadpoolController()  # to find the libraries takes longer than a small fit


@_in_one_thread
def fit(blocks: Blocks, labels: np.ndarray, c: float, start: np.ndarray) -> np.ndarray:
    """Minimize `c * sum of cross-entropies + |weights|^2 / 2`, divided by c and the rows: L-BFGS.

    Args:
        blocks: `Blocks` of N rows of F features.
        labels: int (N,) in [0, classes).
        c: float > 0. Inverse strength of the regularization, which leaves the intercept out.
        start: float64 (F + 1, classes), the intercept last. Where to begin.

    Returns:
        float64 (F + 1, classes), where no entry of the gradient exceeds `TOLERANCE`, or that was
        reached in `MAX_ITERATIONS`.

    Raises:
        UserError: if the weights do not fit in `blocks.memory` as often as the solver holds them.

    Reference: Byrd et al. 1995, A limited memory algorithm for bound constrained optimization.
    """
    decay = 1 / (c * len(labels))

    def objective(flat):
        weights = flat.reshape(start.shape)
        loss, gradient = blocks.loss_and_gradient(labels, weights)
        gradient /= len(labels)
        gradient[:-1] += decay * weights[:-1]
        penalty = decay / 2 * np.einsum("ij,ij", weights[:-1], weights[:-1])
        return loss / len(labels) + penalty, gradient.ravel()

    options = {
        "maxiter": MAX_ITERATIONS,
        "gtol": TOLERANCE,
        "maxls": 50,
        "maxcor": _pairs(blocks, start),
    }
    options["ftol"] = 64 * np.finfo(float).eps
    found = minimize(objective, start.ravel(), method="L-BFGS-B", jac=True, options=options)
    return found.x.reshape(start.shape)


def zeros(blocks: Blocks, classes: int) -> np.ndarray:
    """Weights to start from, float64 (F + 1, classes)."""
    return np.zeros((blocks.shape[1] + 1, classes))


def _pairs(blocks, weights):
    """How many steps L-BFGS looks back: the usual, or what half of the memory allows."""
    memory = max(blocks.memory, 4 * BLOCK_VALUES)  # what a block takes, there is
    allowed = (memory / 2 / weights.nbytes - _COPIES) / 2
    if allowed < _FEWEST_PAIRS:
        needed = 2 * (2 * _FEWEST_PAIRS + _COPIES) * weights.nbytes
        raise UserError(
            f"The weights of {blocks.shape[1]:,} features and {weights.shape[1]:,} classes take "
            f"{gib(weights.nbytes)}, and to fit them {gib(needed)}; {gib(memory)} is the limit "
            "(evaluation.memory)."
        )
    return int(min(_PAIRS, allowed))


@_in_one_thread
def correct_guesses(blocks: Blocks, labels: np.ndarray, weights: np.ndarray) -> dict:
    """{metric: bool (N,)}: where the class of the highest logit is right, or one of the best five.

    Of fewer than `TOP5_FROM` classes only the first, `accuracy`; else `top5` too.
    """
    found = {"accuracy": np.empty(len(labels), bool)}
    if weights.shape[1] >= TOP5_FROM:
        found["top5"] = np.empty(len(labels), bool)
    for rows, logits in blocks.logits(weights):
        found["accuracy"][rows] = logits.argmax(axis=1) == labels[rows]
        if "top5" in found:
            best = np.argpartition(logits, -5, axis=1)[:, -5:]
            found["top5"][rows] = (best == labels[rows, None]).any(axis=1)
    return found


def percentages(guesses: dict) -> dict:
    """The mean of each of `correct_guesses`, in percent."""
    return {metric: 100.0 * float(np.mean(right)) for metric, right in guesses.items()}


@_in_one_thread
def cross_entropy(blocks: Blocks, labels: np.ndarray, weights: np.ndarray) -> float:
    """Mean over the rows, as `sklearn.metrics.log_loss`: no row counts as less likely than eps."""
    total = 0.0
    for rows, logits in blocks.logits(weights):
        most = -np.log(np.finfo(logits.dtype).eps)
        logs = log_softmax(logits.astype("float64", copy=False), axis=1)
        total += np.minimum(-np.take_along_axis(logs, labels[rows, None], axis=1), most).sum()
    return float(total / len(labels))
