"""Linear probe: multinomial logistic regression on frozen features."""

from dataclasses import dataclass, field

import numpy as np

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.checks import checked_labels, checked_pair, numbered_classes
from keras_ssl.evaluation.label_subsets import label_subset, subset_digest
from keras_ssl.evaluation.linear_classifier import (
    PROTOCOL,
    classifier_protocol,
    fit_classifier,
    scaling,
)


@dataclass(frozen=True)
class ProbeResult:
    """What a probe reached.

    Attributes:
        accuracy: top-1 accuracy on the test part in percent; a mean if there are several subsets.
        protocol: every setting that the number depends on.
        std: standard deviation over the subsets (ddof 0), or None for a single probe.
        c: the inverse regularisation strengths that were chosen, one for each fit.
        hits: bool (fits, test images), which of them each fit gets right; or None.
    """

    accuracy: float
    protocol: dict
    std: float | None = None
    c: tuple = ()
    hits: np.ndarray | None = field(default=None, compare=False, repr=False)


def linear_probe(train, train_labels, test, test_labels, *, seed=0):
    """Accuracy of a linear classifier trained on frozen features.

    Features are standardised, `C` is chosen on a stratified fifth of the training labels (on all
    five fifths in turn below 2,000 images) and the classifier is fitted again on all of them.

    Args:
        train, test: float (rows, columns).
        train_labels, test_labels: integers (rows,); every test class must occur in training. A
            class with a single train row takes no part in choosing `C`, and the protocol says so.
        seed: int. Draws the held-out part; the same seed gives the same result.

    Raises:
        UserError: for features or labels that do not fit.

    Example:

    >>> features = np.repeat(np.eye(2), 4, axis=0)
    >>> labels = np.repeat([0, 1], 4)
    >>> linear_probe(features, labels, features, labels).accuracy
    100.0

    Reference: Kornblith et al. 2019, arXiv:1805.08974, appendix (the transfer protocol).
    """
    train, train_labels, test, test_labels = _checked(train, train_labels, test, test_labels)
    classifier = fit_classifier(train, train_labels, scaling(train), seed)
    hits = _hits(classifier, test, test_labels)
    protocol = classifier_protocol(classifier, len(train), seed)
    return ProbeResult(_percent(hits), protocol, c=(classifier.c,), hits=hits[None])


def linear_classifier(train, labels, *, seed=0):
    """The classifier that `linear_probe` scores.

    Args:
        train: float (rows, columns).
        labels: integers (rows,); two classes or more of two rows or more.
        seed: int. Draws the held-out part, as for `linear_probe`.

    Returns:
        `LinearClassifier`.

    Raises:
        UserError: for features or labels that do not fit.

    Example:

    >>> features, labels = np.repeat(np.eye(2), 4, axis=0), np.repeat([3, 7], 4)
    >>> classifier = linear_classifier(features, labels)
    >>> classifier.classes[classifier.scores(np.eye(2)).argmax(axis=1)]
    array([3, 7])
    """
    train, labels, _, _ = _checked(train, labels, train, labels)
    return fit_classifier(train, labels, scaling(train), seed)


def linear_probe_few(train, train_labels, test, test_labels, *, per_class=10, subsets=5, seed=0):
    """`linear_probe` with few labels: mean and standard deviation over fixed subsets.

    Standardisation uses all train features: they need no label, and columns that hardly vary
    within a hundred images would otherwise be blown up. The rest sees the labelled images only.

    Args:
        train, train_labels, test, test_labels: as for `linear_probe`.
        per_class: int >= 2. Labelled images of each class.
        subsets: int >= 1. Subset i is `few_labels(train_labels, per_class, seed + i)`.
        seed: int.

    Raises:
        UserError: for features or labels that do not fit, or a class with too few images.
    """
    train, train_labels, test, test_labels = _checked(train, train_labels, test, test_labels)
    if per_class < 2:
        raise UserError(f"per_class={per_class} is too few to choose C by: use 2 or more.")
    _check_subsets(subsets)
    chosen = [few_labels(train_labels, per_class, seed + i) for i in range(subsets)]
    settings = {"per_class": per_class, "subset_sha256": subset_digest(*chosen)}
    return _over_subsets(train, train_labels, test, test_labels, chosen, seed, settings)


def linear_probe_share(train, train_labels, test, test_labels, *, share=0.01, subsets=5, seed=0):
    """`linear_probe` with a share of the labels, those that fine-tuning learns from.

    It repeats, standardises and chooses `C` as `linear_probe_few` does: everything but the
    standardisation sees the labelled images only. The first subset is the one that `finetune` takes
    with this seed, and `subset_sha256` in the protocol, one for each subset, is the same there.

    The subsets of ImageNet that papers use are data sets of their own: with
    `--mode=evaluate --dataset=imagenet2012_subset/1pct` (or `/10pct`) they are the whole train
    part, and `linear_probe` is the row to read.

    Args:
        train, train_labels, test, test_labels: as for `linear_probe`.
        share: float in (0, 1]. Share of the labels of each class; at least two labels.
        subsets: int >= 1. Subset i is `label_subset(train_labels, share, seed + i)`.
        seed: int >= 0.

    Raises:
        UserError: for features or labels that do not fit, or a share out of its range.

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


def few_labels(labels, per_class, seed=0):
    """Sorted row numbers of `per_class` images of each class; a fixed function of its arguments.

    Raises:
        UserError: if a class has fewer images than that.

    Example:

    >>> few_labels(np.array([0, 1, 0, 1]), per_class=2)
    array([0, 1, 2, 3])
    """
    labels = checked_labels(labels, labels, "train")
    classes, counts = np.unique(labels, return_counts=True)
    if not 1 <= per_class <= counts.min():
        raise UserError(
            f"per_class={per_class} does not fit: class {classes[counts.argmin()]} has "
            f"{counts.min()} train images, so use 1 to {counts.min()}."
        )
    draw = np.random.RandomState(seed)  # its stream is frozen; that of default_rng is not
    rows = [draw.permutation(np.flatnonzero(labels == c))[:per_class] for c in classes]
    return np.sort(np.concatenate(rows))


def _check_subsets(subsets):
    if subsets < 1:
        raise UserError(f"subsets={subsets} leaves nothing to fit: use 1 or more.")


def _over_subsets(train, labels, test, test_labels, chosen, seed, settings):
    """Mean and deviation over fits on some rows each; `settings` are what the protocol adds."""
    columns = scaling(train)
    fits = [
        fit_classifier(train[rows], labels[rows], columns, seed + i)
        for i, rows in enumerate(chosen)
    ]
    hits = [_hits(one, test, test_labels) for one in fits]
    scores, strengths = [_percent(one) for one in hits], tuple(one.c for one in fits)
    protocol = {**PROTOCOL, **fits[0].choice, **settings}
    protocol |= {"subsets": len(chosen), "seed": seed}
    mean, std = float(np.mean(scores)), float(np.std(scores))
    return ProbeResult(mean, protocol, std, strengths, np.stack(hits))


def _hits(classifier, test, test_labels):
    """Which test rows are right."""
    return classifier.classes[classifier.scores(test).argmax(axis=1)] == test_labels


def _percent(hits):
    return 100.0 * float(np.mean(hits))


def _checked(train, train_labels, test, test_labels):
    train, test = checked_pair(train, test)
    train_labels = checked_labels(train_labels, train, "train")
    test_labels = checked_labels(test_labels, test, "test")
    numbered_classes(train_labels, test_labels, "A linear probe")
    return train, train_labels, test, test_labels
