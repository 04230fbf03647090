"""Linear probe: multinomial logistic regression on frozen features, in blocks of rows."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_ssl.core.constants import LABELS_PER_CLASS
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.probes.blocks import DenseBlocks, as_codes
from keras_ssl.evaluation.probes.logistic import (
    MAX_ITERATIONS,
    TOLERANCE,
    correct_guesses,
    cross_entropy,
    fit,
    percentages,
    zeros,
)
from keras_ssl.evaluation.probes.span import coordinates, in_columns, spans_less
from keras_ssl.evaluation.results import Measurement
from keras_ssl.evaluation.rows import Rows, as_rows
from keras_ssl.evaluation.splits import (
    few_labels,
    label_subset,
    noted_alone,
    stratified_parts,
    subset_digest,
)
from keras_ssl.evaluation.validation import (
    checked_labels,
    checked_row_pair,
    checked_rows,
    numbered_classes,
)

PROTOCOL = {
    "classifier": "multinomial logistic regression, L2, L-BFGS",
    "standardize": "mean and standard deviation of all train features",
    "c_grid": [10.0**power for power in range(-5, 3)],
    "c_rule": "first minimum of the held-out log loss, from small to large",
    "tolerance": TOLERANCE,
    "max_iterations": MAX_ITERATIONS,
}
_HOLD_OUT_FROM = 2000  # train images from which one fold is enough to choose C by


def linear_probe(
    train: ArrayLike,
    train_labels: ArrayLike,
    test: ArrayLike,
    test_labels: ArrayLike,
    *,
    seed: int = 0,
) -> Measurement:
    """Accuracy of a linear classifier trained on frozen features.

    Features are standardized, `C` is chosen on a stratified fifth of the training labels (on all
    five fifths in turn below 2,000 images) and the classifier is fitted again on all of them.

    Args:
        train, test: float (rows, columns).
        train_labels, test_labels: integers (rows,); every test class must occur in training. A
            class with a single train row takes no part in choosing `C`, and the protocol says so.
        seed: int. Draws the held-out part; the same seed gives the same result.

    Returns:
        `Measurement` of the `accuracy`, with the chosen `c` in its details, a tuple of one.

    Raises:
        UserError: for features or labels that are invalid or do not match.

    Example:

    >>> features = np.repeat(np.eye(2), 4, axis=0)
    >>> labels = np.repeat([0, 1], 4)
    >>> linear_probe(features, labels, features, labels).accuracy
    100.0

    Reference: Kornblith et al. 2019, arXiv:1805.08974, appendix (the transfer protocol).
    """
    train, train_labels, test, test_labels = _checked(train, train_labels, test, test_labels)
    classifier = fit_classifier(train, train_labels, scaling(train), seed)
    guesses = classifier.guesses(DenseBlocks(test, columns=classifier.columns), test_labels)
    protocol = classifier_protocol(classifier, len(train), seed)
    return Measurement(
        percentages(guesses),
        protocol,
        correct=guesses["accuracy"][None],
        details={"c": (classifier.c,)},
    )


def linear_classifier(train: ArrayLike, labels: ArrayLike, *, seed: int = 0) -> "LinearClassifier":
    """The classifier that `linear_probe` scores.

    Args:
        train: float (rows, columns).
        labels: integers (rows,); two classes or more of two rows or more.
        seed: int. Draws the held-out part, as for `linear_probe`.

    Returns:
        `LinearClassifier`.

    Raises:
        UserError: for features or labels that are invalid or do not match.

    Example:

    >>> features, labels = np.repeat(np.eye(2), 4, axis=0), np.repeat([3, 7], 4)
    >>> classifier = linear_classifier(features, labels)
    >>> classifier.classes[classifier.scores(np.eye(2)).argmax(axis=1)]
    array([3, 7])
    """
    train, labels, _, _ = _checked(train, labels, train, labels)
    return fit_classifier(train, labels, scaling(train), seed)


def linear_probe_few(
    train: ArrayLike,
    train_labels: ArrayLike,
    test: ArrayLike,
    test_labels: ArrayLike,
    *,
    per_class: int = LABELS_PER_CLASS,
    subsets: int = 5,
    seed: int = 0,
) -> Measurement:
    """`linear_probe` with a few labels per class: mean and standard deviation over fixed subsets.

    Standardization uses all train features: they need no label, and columns that hardly vary
    within a hundred images would otherwise be blown up. The rest sees the labeled images only.

    Args:
        train, train_labels, test, test_labels: as for `linear_probe`.
        per_class: int >= 2. Labels per class.
        subsets: int >= 1. Subset i is `few_labels(train_labels, per_class, seed + i)`.
        seed: int.

    Returns:
        `Measurement` of the `accuracy`, whose standard deviation is over the subsets (ddof 0);
        `details["c"]` has the `C` of each.

    Raises:
        UserError: for features or labels that are invalid or do not match, or a class with too few
            images.

    Example:

    >>> features, labels = np.repeat(np.eye(2), 8, axis=0), np.repeat([0, 1], 8)
    >>> found = linear_probe_few(features, labels, features, labels, per_class=2, subsets=3)
    >>> found.accuracy, found.std, found.correct.shape
    (100.0, {'accuracy': 0.0}, (3, 16))
    """
    train, train_labels, test, test_labels = _checked(train, train_labels, test, test_labels)
    if per_class < 2:
        raise UserError(f"per_class={per_class} is too few to choose C by: use 2 or more.")
    _check_subsets(subsets)
    chosen = [few_labels(train_labels, per_class, seed + i) for i in range(subsets)]
    settings = {"per_class": per_class, "subset_sha256": subset_digest(*chosen)}
    return _over_subsets(train, train_labels, test, test_labels, chosen, seed, settings)


def linear_probe_share(
    train: ArrayLike,
    train_labels: ArrayLike,
    test: ArrayLike,
    test_labels: ArrayLike,
    *,
    share: float = 0.01,
    subsets: int = 5,
    seed: int = 0,
) -> Measurement:
    """`linear_probe` with a fraction of the labels, the same that fine-tuning learns from.

    It repeats, standardizes and chooses `C` as `linear_probe_few` does: everything but the
    standardization sees the labeled images only. The first subset is that of `finetune` with this
    seed, and `subset_sha256` in the protocol, one for each subset, is the same there.

    The subsets of ImageNet that papers use are data sets of their own: with
    `--mode=evaluate --dataset=imagenet2012_subset/1pct` (or `/10pct`) they are the whole train
    part, and `linear_probe` is the row to read.

    Args:
        train, train_labels, test, test_labels: as for `linear_probe`.
        share: float in (0, 1]. Fraction of the labels of each class; at least two labels.
        subsets: int >= 1. Subset i is `label_subset(train_labels, share, seed + i)`.
        seed: int >= 0.

    Returns:
        `Measurement`, as of `linear_probe_few`.

    Raises:
        UserError: for features or labels that are invalid or do not match, or a fraction out of its
            range.

    Example:

    >>> features, labels = np.repeat(np.eye(2), 40, axis=0), np.repeat([0, 1], 40)
    >>> linear_probe_share(features, labels, features, labels, share=0.1, subsets=2).accuracy
    100.0
    """
    train, train_labels, test, test_labels = _checked(train, train_labels, test, test_labels)
    if not 0 < share <= 1:
        raise UserError(f"share={share} of the labels does not fit: it must be in (0, 1].")
    _check_subsets(subsets)
    chosen = [label_subset(train_labels, share, seed + i) for i in range(subsets)]
    digests = [subset_digest(rows) for rows in chosen]
    settings = {"share": share, "train_images": len(chosen[0]), "subset_sha256": digests}
    return _over_subsets(train, train_labels, test, test_labels, chosen, seed, settings)


def _check_subsets(subsets):
    if subsets < 1:
        raise UserError(f"subsets={subsets} leaves nothing to fit: use 1 or more.")


def _over_subsets(train, labels, test, test_labels, chosen, seed, settings):
    """Mean and standard deviation over fits on `chosen` rows; `settings` go into the protocol."""
    columns = scaling(train)
    blocks = DenseBlocks(test, columns=columns)
    found, scores, details = [], [], []
    for i, rows in enumerate(chosen):
        classifier = fit_classifier(train, labels[rows], columns, seed + i, rows)
        guesses = classifier.guesses(blocks, test_labels)
        found.append(guesses["accuracy"])
        scores.append(percentages(guesses))
        details.append((classifier.c, classifier.choice))
    every = {metric: [one[metric] for one in scores] for metric in scores[0]}
    strengths, (choice, *_) = zip(*details, strict=True)
    return Measurement(
        {metric: float(np.mean(values)) for metric, values in every.items()},
        {**PROTOCOL, **choice, **settings, "subsets": len(chosen), "seed": seed},
        std={metric: float(np.std(values)) for metric, values in every.items()},
        correct=np.stack(found),
        details={"c": strengths},
    )


def _checked(train, train_labels, test, test_labels):
    train, test = checked_row_pair(train, test)
    train_labels = checked_labels(train_labels, train, "train")
    test_labels = checked_labels(test_labels, test, "test")
    numbered_classes(train_labels, test_labels, "A linear probe")
    return train, train_labels, test, test_labels


@dataclass(frozen=True)
class LinearClassifier:
    """The classifier of a probe: it takes features as an encoder returns them, and keeps none.

    Attributes:
        classes: the labels (K,) that it can predict, sorted.
        weights: float64 (E + 1, K) of the standardized columns, the intercept last.
        columns: mean and factor of the columns, (E,) each.
        c: float. The inverse regularization strength that was chosen.
        choice: dict. What the protocol says of the parts of the train rows that chose it.
    """

    classes: np.ndarray
    weights: np.ndarray
    columns: tuple
    c: float
    choice: dict

    def scores(self, features: ArrayLike) -> np.ndarray:
        """Scores (N, K) of the classes for features (N, E): the highest is the prediction.

        Raises:
            UserError: for features that are not a finite matrix.
        """
        blocks = DenseBlocks(checked_rows(features, "test"), columns=self.columns)
        return np.concatenate([logits for _, logits in blocks.logits(self.weights)])

    def guesses(self, blocks: DenseBlocks, labels: np.ndarray) -> dict:
        """`correct_guesses` for standardized features, given their labels."""
        return correct_guesses(blocks, np.searchsorted(self.classes, labels), self.weights)


def classifier_protocol(classifier: LinearClassifier, train_images: int, seed: int = 0) -> dict:
    """Every setting that a `LinearClassifier` fitted to so many images depends on."""
    return {**PROTOCOL, **classifier.choice, "train_images": train_images, "seed": seed}


def fit_classifier(train, labels, columns, seed, numbers=None):
    """The `LinearClassifier` of features that are scaled by `columns` first.

    Args:
        train: `Rows`.
        labels: int, of the rows that are fitted to.
        columns: `scaling` of the features.
        seed: int.
        numbers: int, sorted numbers of the rows that are fitted to; None for all.
    """
    blocks = DenseBlocks(train, numbers, columns)
    classes, labels = np.unique(labels, return_inverse=True)
    factor = coordinates(blocks) if spans_less(blocks) else None
    if factor is None:
        fitted = as_codes(blocks)
    else:
        fitted = DenseBlocks(Rows(factor, _cast(blocks.dtype), memory=blocks.memory))
    c, folds = _choose_c(fitted, labels, seed)
    weights = _fit(fitted, labels, c, zeros(fitted, len(classes)))
    if factor is not None:
        weights = in_columns(blocks, factor, weights)
    return LinearClassifier(classes, weights, columns, c, {"folds": folds, **noted_alone(labels)})


def _cast(dtype):
    return lambda block: tf.cast(block, dtype)


def standardize(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Subtract the mean of `train` and divide by its standard deviation; constant columns become 0.

    Example:

    >>> standardize(np.array([[0.0, 5.0], [2.0, 5.0]]))[0]
    array([[-1.,  0.],
           [ 1.,  0.]])
    """
    mean, scale = scaling(as_rows(train))
    return [(part - mean) * scale for part in (train, *others)]


def scaling(train: Rows) -> tuple:
    """The mean of each column, and the factor after it is subtracted: (columns,) each."""
    count, mean, square = 0, 0.0, 0.0
    for _, block in train.blocks():
        block = block.numpy()
        # Chan et al. 1979: squares of deviations, so that large means take no digits from them.
        here, share = block.mean(axis=0, dtype="float64"), len(block) / (count + len(block))
        square = square + len(block) * block.var(axis=0, dtype="float64")
        square += count * share * (here - mean) ** 2
        mean, count = mean + share * (here - mean), count + len(block)
    std = np.sqrt(square / count)
    # Below this a float32 column varies by rounding only, which must not be blown up to size 1.
    constant = std <= 1e-6 * np.abs(mean)
    scale = np.where(constant, 0, 1 / np.where(constant, 1, std))
    return mean.astype(train.dtype), scale.astype(train.dtype)


def _choose_c(blocks, labels, seed):
    parts = stratified_parts(labels, seed)
    if len(labels) >= _HOLD_OUT_FROM:
        parts = parts[:1]
    parts = [(blocks.take(a), labels[a], blocks.take(b), labels[b]) for a, b in parts]
    # Each starts from its solution for the C before.
    starts = [zeros(blocks, labels.max() + 1)] * len(parts)
    best, lowest = None, np.inf
    for c in PROTOCOL["c_grid"]:
        pairs = zip(parts, starts, strict=True)
        starts = [_fit(*part[:2], c, start) for part, start in pairs]
        pairs = zip(parts, starts, strict=True)
        loss = np.mean([cross_entropy(*part[2:], weights) for part, weights in pairs])
        if loss >= lowest:
            break
        best, lowest = c, loss
    return best, len(parts)


def _fit(blocks, labels, c, start):
    # scikit-learn gives two classes one column of weights, of which half is in each of two here:
    # a penalty that is half as strong.
    return fit(blocks, labels, c if start.shape[1] > 2 else c / 2, start)
