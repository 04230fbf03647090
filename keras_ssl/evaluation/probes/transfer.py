"""The transfer protocol: logistic regression whose strength is chosen among 45, also on codes."""

import numpy as np

from keras_ssl.core.constants import NUM_STRENGTHS
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.probes.linear import ProbeResult
from keras_ssl.evaluation.probes.logistic import (
    MAX_ITERATIONS,
    TOLERANCE,
    CodeProducts,
    DenseProducts,
    Problem,
    scores,
)
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
    train, train_labels, test, test_labels, *, simplex_size, strengths=NUM_STRENGTHS, seed=0
):
    """Accuracy of a linear classifier of discrete codes, in the memory that the codes take.

    It is what `dense_probe` gives for the one-hot codes (SEM at tau_d = 0).

    Args:
        train, test: integers (rows, L) in [0, simplex_size).
        train_labels, test_labels: integers (rows,); every test class must occur in training. A
            class with a single train row takes no part in choosing C, and the protocol says so.
        simplex_size: int > 1. V.
        strengths: int >= 1. Values of C from 1e-6 to 1e5, evenly spaced in the logarithm.
        seed: int. Draws the held-out part.

    Raises:
        UserError: for codes or labels that do not fit.

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
    result = _probe(parts, train_labels, test_labels, strengths, seed)
    return _with(result, {**sizes, "simplex_size": simplex_size})


def dense_probe(train, train_labels, test, test_labels, *, strengths=NUM_STRENGTHS, seed=0):
    """The same protocol on any features, such as SEM features at tau_d > 0.

    Args:
        train, test: float (rows, columns).
        train_labels, test_labels, strengths, seed: as for `codes_probe`.

    Raises:
        UserError: for features or labels that do not fit.

    Example:

    >>> features = np.repeat(np.eye(2), 4, axis=0)
    >>> labels = np.repeat([0, 1], 4)
    >>> dense_probe(features, labels, features, labels).accuracy
    100.0

    Reference: Kornblith et al. 2019, arXiv:1805.08974, appendix; Lavoie et al., appendix B.4.
    """
    train, test = checked_pair(train, test)
    parts = (DenseProducts(train), DenseProducts(test))
    result = _probe(parts, train_labels, test_labels, strengths, seed)
    return _with(result, {"features": "dense"})


def _with(result, settings):
    return ProbeResult(result.accuracy, {**result.protocol, **settings}, c=result.c)


def _probe(parts, train_labels, test_labels, strengths, seed):
    """The protocol, given how the features of the train and the test part are multiplied."""
    train, test = parts
    train_labels = checked_labels(train_labels, range(train.shape[0]), "train")
    test_labels = checked_labels(test_labels, range(test.shape[0]), "test")
    train_labels, test_labels, _ = numbered_classes(train_labels, test_labels, "A linear probe")
    if strengths < 1:
        raise UserError(f"strengths must be 1 or more. Received {strengths}.")
    held, folds = held_out(train_labels, seed)
    problem = Problem(train, train_labels, ~held)
    state = problem.start()
    best, c, start = -1.0, None, state
    for strength in np.geomspace(*PROTOCOL["c_range"], strengths):
        state = problem.fit(strength, *state)
        accuracy = np.mean(state[1][held].argmax(axis=1) == train_labels[held])
        if accuracy > best:
            best, c, start = accuracy, float(strength), state
    solution, _ = Problem(train, train_labels, np.ones_like(held)).fit(c, *start)
    accuracy = 100.0 * float(np.mean(scores(test, solution).argmax(axis=1) == test_labels))
    settings = {"strengths": strengths, "folds": folds, "train_images": len(train_labels)}
    settings |= noted_alone(train_labels)
    return ProbeResult(accuracy, {**PROTOCOL, **settings, "seed": seed}, c=(c,))


def held_out(labels, seed=0):
    """Mask of the rows that choose C, and of how many such parts it is one.

    A stratified fifth, or a larger part where a class has fewer than five rows.
    """
    parts = stratified_parts(labels, seed)
    mask = np.zeros(len(labels), bool)
    mask[parts[0][1]] = True
    return mask, len(parts)
