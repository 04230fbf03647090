"""The classifier of linear probes: multinomial logistic regression whose strength is chosen."""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from keras_ssl.evaluation.checks import checked_features
from keras_ssl.evaluation.folds import noted_alone, stratified_parts

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
