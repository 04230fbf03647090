"""Linear probe: multinomial logistic regression on frozen features."""

import hashlib
import warnings
from dataclasses import dataclass, field

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from keras_ssl.core.checks import UserError
from keras_ssl.evaluation.checks import check_two_of_each, checked_labels, checked_pair
from keras_ssl.evaluation.folds import stratified_folds

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
    train, test = standardize(train, test)
    chosen = [few_labels(train_labels, per_class, seed + i) for i in range(subsets)]
    fits = [
        _fit(train[rows], train_labels[rows], test, test_labels, seed + i)
        for i, rows in enumerate(chosen)
    ]
    protocol = {**PROTOCOL, "folds": fits[0][2], "per_class": per_class, "subsets": subsets}
    protocol |= {"subset_sha256": _digest(chosen), "seed": seed}
    scores = [_percent(hits) for hits, _, _ in fits]
    strengths = tuple(c for _, c, _ in fits)
    hits = np.stack([hits for hits, _, _ in fits])
    return ProbeResult(float(np.mean(scores)), protocol, float(np.std(scores)), strengths, hits)


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
    classes, counts = np.unique(train_labels, return_counts=True)
    unknown = np.setdiff1d(test_labels, classes)
    if len(unknown):
        raise UserError(f"The test labels name classes without a train image: {_some(unknown)}.")
    check_two_of_each(classes, counts)
    return train, train_labels, test, test_labels


def _some(values, most=10):
    more = ", ..." if len(values) > most else ""
    return ", ".join(str(value) for value in values[:most]) + more


def _digest(arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.asarray(array, "<i8").tobytes())
    return digest.hexdigest()[:16]
