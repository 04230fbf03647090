"""Further test sets of the same classes, scored by classifiers of the run's own train features."""

import functools
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from keras_ssl.core.checks import UserError
from keras_ssl.evaluation.knn import knn_scores
from keras_ssl.evaluation.linear_probe import PROTOCOL, ProbeResult, linear_probe, standardize
from keras_ssl.evaluation.rows_of import accuracy_rows
from keras_ssl.recipes.datasets import PREFIXES, from_anywhere
from pipelines.datasets import load_test_part
from pipelines.errors import DataError

_BLOCK = 4096  # images whose features are held in memory at a time


def shifted_rows(readings, train, test, recipe, inputs):
    """Rows of k-NN and logistic regression on every data set of `evaluation.shifted`.

    Both are those of the run's table: they see no image of the shifted sets before they are scored,
    and the strength of the regression is chosen on the train features. They answer with one of the
    classes that occur in the shifted set, as published figures of ImageNet-A and -R do, which have
    200 of the 1,000: of the regression the logits of other classes are left out, of the k-NN the
    train images of other classes.

    Args:
        readings: `Readings`.
        train, test: float32 (N, E), what `readings` gives for the run's own images.
        recipe: `Recipe`.
        inputs: `Inputs` of the run's own data.

    Returns:
        `(pairs, left_out)`: list of (`Row`, bool (1, test images) which of them are right), and for
        each thing that could not be done a sentence that tells why.

    Reference: Hendrycks et al. 2021, arXiv:1907.07174 (ImageNet-A), section 4; and
    arXiv:2006.16241 (ImageNet-R).
    """
    pairs, left_out, classifiers = [], [], {}
    for name in readings.names if recipe.evaluation.shifted else ():
        found, missing = fitted(name, readings.read(name, train), recipe, inputs.data.train_labels)
        classifiers |= found
        left_out += missing
    for dataset in recipe.evaluation.shifted:
        try:
            part = shifted_part(dataset, recipe.data.data_dir, inputs.data)
            pairs += scored(part, readings, classifiers)
        except (UserError, DataError, OSError) as error:
            left_out.append(f"{title_of(dataset)}: {error}")
    return pairs, left_out


def title_of(dataset):
    """What to call a data set in a heading.

    Example:

    >>> title_of("npz:/data/cifar10.npz"), title_of("imagenet_v2/matched-frequency")
    ('cifar10', 'imagenet_v2/matched-frequency')
    """
    return Path(dataset.partition(":")[2]).stem if dataset.startswith(PREFIXES) else dataset


def in_channels(images, channels, name):
    """Images with so many channels: gray ones are repeated, without a copy.

    Raises:
        UserError: for colours that would have to become gray.
    """
    if images.shape[-1] == channels:
        return images
    if images.shape[-1] > channels:
        raise UserError(
            f"The encoder takes gray images, and '{name}' has {images.shape[-1]} channels: make it "
            "gray first."
        )
    return np.broadcast_to(images, (*images.shape[:-1], channels))


def shifted_part(dataset, data_dir, data):
    """The test part of `dataset`, in the size, the channels and the class numbers of `data`.

    Raises:
        UserError: if it has no labels, or classes that the train labels of `data` lack.
        DataError: if it cannot be had.
    """
    part = _loaded(from_anywhere("data.dataset", dataset), data_dir, data.image_size)
    if part.labels is None:
        raise UserError(f"'{part.name}' has no labels for its test images.")
    images = in_channels(part.images, data.channels, part.name)
    return replace(part, images=images, labels=labels_in(data, part))


@functools.cache
def _loaded(dataset, data_dir, image_size):
    """Read once for all representations."""
    return load_test_part(dataset, data_dir=data_dir, image_size=image_size)


def labels_in(data, part):
    """The labels of `part` as the classes of `data` are numbered: by name where both have names.

    Raises:
        UserError: for classes that the train labels of `data` lack.
    """
    labels, names = part.labels, part.class_names
    if _named(names) and _named(data.class_names):
        number = {name: label for label, name in enumerate(data.class_names)}
        labels = np.array([number.get(name, -1) for name in names])[labels]
    unknown = ~np.isin(labels, data.train_labels)
    if unknown.any():
        some = [names[label] if names else label for label in np.unique(part.labels[unknown])]
        more = ", ..." if len(some) > 5 else ""
        raise UserError(
            f"'{part.name}' has classes that '{data.name}' has no train image of: "
            f"{', '.join(map(str, some[:5]))}{more}. Classes are matched by their names where both "
            "data sets have names, otherwise by their numbers."
        )
    return labels


def _named(names):
    """Whether names say more than the numbers of the classes."""
    return names is not None and any(name != str(label) for label, name in enumerate(names))


def fitted(name, train, recipe, labels):
    """Classifiers of the train features of one representation.

    Returns:
        ({(name, task): (function of features and classes -> class of each, protocol)}, sentences on
        what could not be fitted).
    """
    wanted = recipe.evaluation
    found = {(name, "knn"): nearest(train, labels, wanted.knn_neighbours, wanted.knn_temperature)}
    try:
        found[name, "linear"] = linear(train, labels)
    except UserError as error:
        return found, [f"linear: {error}"]
    return found, []


def nearest(train, labels, k, temperature):
    """A k-NN classifier among given classes, and its protocol."""

    def predict(features, classes):
        rows = np.isin(labels, classes)
        scores = knn_scores(
            train if rows.all() else train[rows],
            labels[rows],
            features,
            k=min(k, np.count_nonzero(rows)),
            temperature=temperature,
            num_classes=int(labels.max()) + 1,
        )
        return scores.argmax(axis=1)

    settings = {"k": k, "metric": "cosine", "temperature": temperature}
    return predict, {"classifier": "weighted knn", **settings, "train_images": len(train)}


def linear(train, labels, seed=0):
    """The classifier of `linear_probe`, among given classes, and its protocol.

    Raises:
        UserError: if a class has too few images.
    """
    chosen = linear_probe(train, labels, train, labels, seed=seed)
    model = LogisticRegression(
        C=chosen.c[0], tol=PROTOCOL["tolerance"], max_iter=PROTOCOL["max_iterations"]
    )
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as in `linear_probe`
        model.fit(standardize(train)[0], labels)

    def predict(features, classes):
        logits = model.decision_function(standardize(train, features)[1])
        if logits.ndim == 1:  # of two classes scikit-learn gives the second
            logits = np.stack([-logits, logits], axis=1)
        among = np.isin(model.classes_, classes)
        return model.classes_[among][logits[:, among].argmax(axis=1)]

    return predict, chosen.protocol


def scored(part, readings, classifiers):
    """A row for each classifier, with its hits."""
    classes, hits = np.unique(part.labels), {key: [] for key in classifiers}
    for start in range(0, len(part.images), _BLOCK):
        rows = slice(start, start + _BLOCK)
        features = readings.extract(part.images[rows])
        for (name, task), (predict, _) in classifiers.items():
            predicted = predict(readings.read(name, features), classes)
            hits[name, task].append(predicted == part.labels[rows])
    pairs = []
    for (name, task), (_, protocol) in classifiers.items():
        right = np.concatenate(hits[name, task])[None]
        protocol = {**protocol, "among_classes": len(classes)}
        result = ProbeResult(100.0 * float(right.mean()), protocol, hits=right)
        pairs += accuracy_rows(result, name, f"{task}, {title_of(part.name)}", part.name)
    return pairs
