"""The transfer protocol: logistic regression at the best of 45 values of C; also on codes."""

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.core.constants import NUM_STRENGTHS
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.probes.blocks import CodeBlocks, DenseBlocks
from keras_ssl.evaluation.probes.logistic import (
    MAX_ITERATIONS,
    TOLERANCE,
    correct_guesses,
    fit,
    percentages,
    zeros,
)
from keras_ssl.evaluation.results import Measurement
from keras_ssl.evaluation.splits import given_parts, noted_alone, stratified_parts
from keras_ssl.evaluation.validation import checked_labels, checked_row_pair, numbered_classes
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
    validation: ArrayLike | None = None,
    memory: float = float("inf"),
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
        validation: integers, numbers of the train rows that C is chosen by, such as those of a
            validation split. None draws a fifth of each class.
        memory: float. Bytes that the solver may take beyond the codes.
        seed: int. Draws the held-out part, where there is no `validation`.

    Returns:
        `Measurement` of the `accuracy`, and of `top5` where there are 20 classes or more, with the
        chosen `c` in its details.

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
    parts = [CodeBlocks(part, simplex_size, memory=memory) for part in (train, test)]
    sizes["simplex_size"] = simplex_size
    return _probe(parts, train_labels, test_labels, strengths, validation, seed, sizes)


def dense_probe(
    train: ArrayLike,
    train_labels: ArrayLike,
    test: ArrayLike,
    test_labels: ArrayLike,
    *,
    strengths: int = NUM_STRENGTHS,
    validation: ArrayLike | None = None,
    seed: int = 0,
) -> Measurement:
    """Accuracy by the transfer protocol of any features, such as SEM's at tau_d > 0.

    Args:
        train, test: float (rows, columns).
        train_labels, test_labels, strengths, validation, seed: as for `codes_probe`.

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
    parts = map(DenseBlocks, checked_row_pair(train, test))
    features = {"features": "dense"}
    return _probe(parts, train_labels, test_labels, strengths, validation, seed, features)


def _probe(parts, train_labels, test_labels, strengths, validation, seed, features):
    """The protocol, given the `Blocks` of the train and the test part."""
    train, test = parts
    train_labels = checked_labels(train_labels, range(train.shape[0]), "train")
    test_labels = checked_labels(test_labels, range(test.shape[0]), "test")
    train_labels, test_labels, _ = numbered_classes(train_labels, test_labels, "A linear probe")
    if strengths < 1:
        raise UserError(f"strengths must be 1 or more. Received {strengths}.")
    settings = {"strengths": strengths}
    if validation is None:
        folds = stratified_parts(train_labels, seed)
        parts, settings["folds"] = folds[0], len(folds)
    else:
        parts = given_parts(train_labels, validation)
        settings["validation_images"] = len(parts[1])
        settings["c_rule"] = "highest accuracy on the given validation images; the smallest such C"
    c, start = _best_c(train, train_labels, parts, strengths)
    weights = fit(train, train_labels, c, start)
    guesses = correct_guesses(test, test_labels, weights)
    settings |= {"train_images": len(train_labels), **noted_alone(train_labels)}
    return Measurement(
        percentages(guesses),
        {**PROTOCOL, **settings, "seed": seed, **features},
        correct=guesses["accuracy"][None],
        details={"c": (c,)},
    )


def _best_c(blocks, labels, parts, strengths):
    """The C of the best accuracy on the held-out rows, of equals the smallest; and its solution."""
    fitted, held = parts
    to_fit, to_choose = blocks.take(fitted), blocks.take(held)
    best, c, start = -1.0, None, None
    weights = zeros(blocks, labels.max() + 1)
    for strength in np.geomspace(*PROTOCOL["c_range"], strengths):
        # From the solution for the C before, which is near.
        weights = fit(to_fit, labels[fitted], strength, weights)
        accuracy = np.mean(correct_guesses(to_choose, labels[held], weights)["accuracy"])
        if accuracy > best:
            best, c, start = accuracy, float(strength), weights
    return c, start
