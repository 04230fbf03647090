"""The transfer protocol: logistic regression at the best of 45 values of C; also on codes."""

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.core.constants import NUM_STRENGTHS
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.probes.logistic import (
    MAX_ITERATIONS,
    TOLERANCE,
    CodeProducts,
    DenseProducts,
    Problem,
    scores,
)
from keras_ssl.evaluation.results import Measurement
from keras_ssl.evaluation.splits import noted_alone, stratified_parts
from keras_ssl.evaluation.validation import checked_labels, checked_pair, numbered_classes
from keras_ssl.layers.codes import check_same_width, checked_codes

PROTOCOL = {
    "classifier": "multinomial logistic regression, L2, L-BFGS, each C from the solution before",
    "standardize": "no",
    "c_range": [1e-6, 1e5],
    "c_rule": "highest accuracy on a held-out stratified part; the smallest such C",
    "tolerance": TOLERANCE,
    "max_iterations": MAX_ITERATIONS,
}


def codes_probe(
    train: ArrayLike,
    train_labels: ArrayLike,
    test: ArrayLike,
    test_labels: ArrayLike,
    *,
    simplex_size: int,
    strengths: int = NUM_STRENGTHS,
    seed: int = 0,
) -> Measurement:
    """Accuracy of a linear classifier of discrete codes, in the memory of the codes themselves.

    It is that of `dense_probe` on the one-hot codes (SEM at tau_d = 0).

    Args:
        train, test: integers (rows, L) in [0, simplex_size).
        train_labels, test_labels: integers (rows,); every test class must occur in training. A
            class with a single train row takes no part in choosing C, and the protocol says so.
        simplex_size: int > 1. V.
        strengths: int >= 1. Number of values of C from 1e-6 to 1e5, on a logarithmic grid.
        seed: int. Draws the held-out part.

    Returns:
        `Measurement` of the `accuracy`, with the chosen `c` in its details.

    Raises:
        UserError: for codes or labels that are invalid or do not match.

    Example:

    >>> codes = np.repeat([[0, 1], [2, 1]], 4, axis=0)
    >>> labels = np.repeat([0, 1], 4)
    >>> codes_probe(codes, labels, codes, labels, simplex_size=3).accuracy
    100.0

    Reference: Lavoie et al., Simplicial Embeddings, sec. 4.2 and appendix B.4.
    """
    train, test = (
        checked_codes(codes, simplex_size, name)
        for codes, name in ((train, "train"), (test, "test"))
    )
    check_same_width(train, test, ("Train", "test"))
    sizes = {"features": "one-hot codes", "num_simplices": train.shape[1]}
    parts = (CodeProducts(train, simplex_size), CodeProducts(test, simplex_size))
    sizes["simplex_size"] = simplex_size
    return _probe(parts, train_labels, test_labels, strengths, seed, sizes)


def dense_probe(
    train: ArrayLike,
    train_labels: ArrayLike,
    test: ArrayLike,
    test_labels: ArrayLike,
    *,
    strengths: int = NUM_STRENGTHS,
    seed: int = 0,
) -> Measurement:
    """Accuracy by the transfer protocol of any features, such as SEM's at tau_d > 0.

    Args:
        train, test: float (rows, columns).
        train_labels, test_labels, strengths, seed: as for `codes_probe`.

    Returns:
        `Measurement`, as of `codes_probe`.

    Raises:
        UserError: for features or labels that are invalid or do not match.

    Example:

    >>> features = np.repeat(np.eye(2), 4, axis=0)
    >>> labels = np.repeat([0, 1], 4)
    >>> dense_probe(features, labels, features, labels).accuracy
    100.0

    Reference: Kornblith et al. 2019, arXiv:1805.08974, appendix; Lavoie et al., appendix B.4.
    """
    train, test = checked_pair(train, test)
    parts = (DenseProducts(train), DenseProducts(test))
    features = {"features": "dense"}
    return _probe(parts, train_labels, test_labels, strengths, seed, features)


def _probe(parts, train_labels, test_labels, strengths, seed, features):
    """The protocol, given the products of the train and the test part with weights."""
    train, test = parts
    train_labels = checked_labels(train_labels, range(train.shape[0]), "train")
    test_labels = checked_labels(test_labels, range(test.shape[0]), "test")
    train_labels, test_labels, _ = numbered_classes(train_labels, test_labels, "A linear probe")
    if strengths < 1:
        raise UserError(f"strengths must be 1 or more. Received {strengths}.")
    folds = stratified_parts(train_labels, seed)
    fitted = np.ones(len(train_labels), bool)
    fitted[folds[0][1]] = False
    c, start = _best_c(Problem(train, train_labels, fitted), train_labels, ~fitted, strengths)
    solution, _ = Problem(train, train_labels, np.ones_like(fitted)).fit(c, *start)
    correct = scores(test, solution).argmax(axis=1) == test_labels
    settings = {"strengths": strengths, "folds": len(folds), "train_images": len(train_labels)}
    settings |= noted_alone(train_labels)
    return Measurement(
        {"accuracy": 100.0 * float(np.mean(correct))},
        {**PROTOCOL, **settings, "seed": seed, **features},
        correct=correct[None],
        details={"c": (c,)},
    )


def _best_c(problem, labels, held, strengths):
    """The C of the best accuracy on the held-out rows, of equals the smallest; and its solution.

    One problem holds all rows, of which only the fitted ones count: its logits of the held-out
    ones then cost no product of their own.
    """
    best, c, start, state = -1.0, None, None, problem.start()
    for strength in np.geomspace(*PROTOCOL["c_range"], strengths):
        state = problem.fit(strength, *state)  # from that of the C before, which is near
        accuracy = np.mean(state[1][held].argmax(axis=1) == labels[held])
        if accuracy > best:
            best, c, start = accuracy, float(strength), state
    return c, start
