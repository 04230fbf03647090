"""Linear probe: multinomial logistic regression on frozen features."""

import warnings
from dataclasses import dataclass, field

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from keras_ssl.core.checks import UserError
from keras_ssl.evaluation.checks import checked_labels, checked_pair, numbered_classes
from keras_ssl.evaluation.folds import stratified_folds
from keras_ssl.evaluation.label_subsets import label_subset, subset_digest

PROTOCOL = {
    "classifier": "multinomial logistic regression, L2, L-BFGS (scikit-learn)",
    "standardize": "mean and standard deviation of all train features",
    "c_grid": [10.0**power for power in range(-5, 3)],
    "c_rule": "first minimum of the held-out log loss, from small to large",
    "tolerance": 1e-4,
    "max_iterations": 200,
}
_HOLD_OUT_FROM = 2000  # train images from which one fold is enough to choose C by


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
        train_labels, test_labels: integers (rows,); every test class must occur in training, at
            least twice.
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
    train, test = standardize(train, test)
    hits, c, folds = _fit(train, train_labels, test, test_labels, seed)
    protocol = {**PROTOCOL, "folds": folds, "train_images": len(train), "seed": seed}
    return ProbeResult(_percent(hits), protocol, c=(c,), hits=hits[None])


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


def standardize(train, *others):
    """Subtract the mean of `train` and divide by its standard deviation; constant columns become 0.

    Example:

    >>> standardize(np.array([[0.0, 5.0], [2.0, 5.0]]))[0]
    array([[-1.,  0.],
           [ 1.,  0.]])
    """
    mean = train.mean(axis=0, dtype="float64")
    std = train.std(axis=0, dtype="float64")
    # Below this a float32 column varies by rounding only, which must not be blown up to size 1.
    constant = std <= 1e-6 * np.abs(mean)
    scale = np.where(constant, 0, 1 / np.where(constant, 1, std)).astype(train.dtype)
    return [(part - mean.astype(train.dtype)) * scale for part in (train, *others)]


def _check_subsets(subsets):
    if subsets < 1:
        raise UserError(f"subsets={subsets} leaves nothing to fit: use 1 or more.")


def _over_subsets(train, labels, test, test_labels, chosen, seed, settings):
    """Mean and deviation over fits on some rows each; `settings` are what the protocol adds."""
    train, test = standardize(train, test)
    fits = [
        _fit(train[rows], labels[rows], test, test_labels, seed + i)
        for i, rows in enumerate(chosen)
    ]
    hits, strengths, folds = zip(*fits, strict=True)
    scores = [_percent(one) for one in hits]
    protocol = {**PROTOCOL, "folds": folds[0], **settings, "subsets": len(chosen), "seed": seed}
    mean, std = float(np.mean(scores)), float(np.std(scores))
    return ProbeResult(mean, protocol, std, strengths, np.stack(hits))


def _fit(train, labels, test, test_labels, seed):
    """Which test rows are right, the C that it was reached with, the folds that chose C."""
    # One thread: products this narrow lose more to waiting than they gain, and the bits then do
    # not depend on the number of cores.
    with threadpool_limits(1):
        train, test = _without_null_space(train, test)
        c, folds = _choose_c(train, labels, seed)
        model = _quiet_fit(_classifier().set_params(C=c), train, labels)
        return model.predict(test) == test_labels, c, folds


def _percent(hits):
    return 100.0 * float(np.mean(hits))


def _without_null_space(train, test):
    """Both parts in a basis of the train rows; exact, as the L2 solution lies in their span."""
    if train.shape[1] <= len(train):
        return train, test
    basis = np.linalg.qr(train.T).Q
    return train @ basis, test @ basis


def _choose_c(train, labels, seed):
    parts = list(stratified_folds(labels, seed).split(train, labels))
    if len(train) >= _HOLD_OUT_FROM:
        parts = parts[:1]
    parts = [(train[a], labels[a], train[b], labels[b]) for a, b in parts]
    models = [_classifier() for _ in parts]  # each goes on from its solution for the C before
    best, lowest = None, np.inf
    for c in PROTOCOL["c_grid"]:
        pairs = zip(models, parts, strict=True)
        loss = np.mean([_held_out_loss(model.set_params(C=c), *part) for model, part in pairs])
        if loss >= lowest:
            break
        best, lowest = c, loss
    return best, len(parts)


def _held_out_loss(model, train, labels, held, held_labels):
    probabilities = _quiet_fit(model, train, labels).predict_proba(held)
    return log_loss(held_labels, probabilities, labels=model.classes_)


def _classifier():
    return LogisticRegression(
        tol=PROTOCOL["tolerance"], max_iter=PROTOCOL["max_iterations"], warm_start=True
    )


def _quiet_fit(model, features, labels):
    with warnings.catch_warnings():
        # Stopping at max_iterations is part of the protocol.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, labels)


def _checked(train, train_labels, test, test_labels):
    train, test = checked_pair(train, test)
    train_labels = checked_labels(train_labels, train, "train")
    test_labels = checked_labels(test_labels, test, "test")
    numbered_classes(train_labels, test_labels, "A linear probe")
    return train, train_labels, test, test_labels
