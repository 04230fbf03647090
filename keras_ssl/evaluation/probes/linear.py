"""Linear probe: multinomial logistic regression on frozen features, by scikit-learn."""

import warnings
from dataclasses import dataclass, field

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from keras_ssl.core.constants import LABELS_PER_CLASS
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.splits import (
    few_labels,
    label_subset,
    noted_alone,
    stratified_parts,
    subset_digest,
)
from keras_ssl.evaluation.validation import (
    checked_features,
    checked_labels,
    checked_pair,
    numbered_classes,
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


def linear_probe_few(
    train, train_labels, test, test_labels, *, per_class=LABELS_PER_CLASS, subsets=5, seed=0
):
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
class LinearClassifier:
    """The classifier of a probe: it takes features as they come, and holds none of them.

    Attributes:
        model: fitted `LogisticRegression`.
        columns: mean of the columns and what they are multiplied by, (E,) each.
        basis: float (E, train rows) of the train rows, where these are fewer than columns; or None.
        c: float. The inverse regularisation strength that was chosen.
        choice: dict. What the protocol says of the parts of the train rows that chose it.
    """

    model: LogisticRegression
    columns: tuple
    basis: np.ndarray | None
    c: float
    choice: dict

    @property
    def classes(self):
        """The labels (K,) that it knows, sorted."""
        return self.model.classes_

    def scores(self, features):
        """Scores (N, K) of the classes for features (N, E): the highest is the answer.

        Raises:
            UserError: for features that are no finite matrix.
        """
        rows = _scaled(checked_features(features, "test"), self.columns)
        with threadpool_limits(1):
            logits = self.model.decision_function(_in_basis(rows, self.basis))
        # Of two classes scikit-learn gives the second.
        return logits if logits.ndim == 2 else np.stack([-logits, logits], axis=1)


def classifier_protocol(classifier, train_images, seed=0):
    """Every setting that a `LinearClassifier` of so many images depends on."""
    return {**PROTOCOL, **classifier.choice, "train_images": train_images, "seed": seed}


def fit_classifier(train, labels, columns, seed):
    """The `LinearClassifier` of features that are scaled by `columns` first."""
    train = _scaled(train, columns)
    # One thread: products this narrow lose more to waiting than they gain, and the bits then do
    # not depend on the number of cores.
    with threadpool_limits(1):
        basis = _row_basis(train)
        train = _in_basis(train, basis)
        c, folds = _choose_c(train, labels, seed)
        choice = {"folds": folds, **noted_alone(labels)}
        model = _quiet_fit(_regression().set_params(C=c), train, labels)
    return LinearClassifier(model, columns, basis, c, choice)


def standardize(train, *others):
    """Subtract the mean of `train` and divide by its standard deviation; constant columns become 0.

    Example:

    >>> standardize(np.array([[0.0, 5.0], [2.0, 5.0]]))[0]
    array([[-1.,  0.],
           [ 1.,  0.]])
    """
    columns = scaling(train)
    return [_scaled(part, columns) for part in (train, *others)]


def scaling(train):
    """What is subtracted from each column, and what it is multiplied by then: (columns,) each."""
    mean = train.mean(axis=0, dtype="float64")
    std = train.std(axis=0, dtype="float64")
    # Below this a float32 column varies by rounding only, which must not be blown up to size 1.
    constant = std <= 1e-6 * np.abs(mean)
    scale = np.where(constant, 0, 1 / np.where(constant, 1, std))
    return mean.astype(train.dtype), scale.astype(train.dtype)


def _scaled(part, columns):
    mean, scale = columns
    return (part - mean) * scale


def _row_basis(train):
    """Basis of fewer rows than columns; exact, as the L2 solution lies in their span; or None."""
    return None if train.shape[1] <= len(train) else np.linalg.qr(train.T).Q


def _in_basis(part, basis):
    return part if basis is None else part @ basis


def _choose_c(train, labels, seed):
    parts = stratified_parts(labels, seed)
    if len(train) >= _HOLD_OUT_FROM:
        parts = parts[:1]
    parts = [(train[a], labels[a], train[b], labels[b]) for a, b in parts]
    models = [_regression() for _ in parts]  # each goes on from its solution for the C before
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


def _regression():
    return LogisticRegression(
        tol=PROTOCOL["tolerance"], max_iter=PROTOCOL["max_iterations"], warm_start=True
    )


def _quiet_fit(model, features, labels):
    with warnings.catch_warnings():
        # Stopping at max_iterations is part of the protocol, and so are few images of each class.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="The number of unique classes")
        return model.fit(features, labels)
