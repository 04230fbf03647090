"""Further test sets of the same classes, scored by classifiers of the run's own train features."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_ssl.core.constants import DATASET_PREFIXES
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.knn import knn_scores
from keras_ssl.evaluation.probes.linear import classifier_protocol, linear_classifier
from keras_ssl.evaluation.results import Measurement
from keras_ssl.evaluation.rows_of import accuracy_rows
from pipelines.data.image_array import as_images
from pipelines.data.load import load_test_part
from pipelines.data.names import EMBEDDED
from stages.errors import LeftOut, translate_tf_errors
from stages.inputs import in_memory

_HELD = 2**26  # numbers of features of a shifted set that are held in memory at a time, 256 MiB


def shifted_rows(readings, train, test, recipe, inputs):
    """Rows of k-NN and logistic regression on every data set of `evaluation.shifted`.

    Both are those of the run's table: they see no image of the shifted sets before they are scored,
    and the strength of the regression is chosen on the train features. They answer with one of the
    classes that occur in the shifted set, as published figures of ImageNet-A and -R do, which have
    200 of the 1,000: of the regression the logits of other classes are left out, of the k-NN the
    train images of other classes.

    One representation of the train images is held at a time, and two shifted sets at most.

    Args:
        readings: `Readings`.
        train, test: float32 (N, E), what `readings.features` gives for the run's own images.
        recipe: `Recipe`.
        inputs: `Inputs` of the run's own data.

    Returns:
        `(pairs, left_out)`: list of (`Row`, bool (1, test images) which of them are right), and a
        `LeftOut` for each thing that could not be done.

    Reference: Hendrycks et al. 2021, arXiv:1907.07174 (ImageNet-A), section 4; and
    arXiv:2006.16241 (ImageNet-R).
    """
    if not recipe.evaluation.shifted:
        return [], []
    labels = inputs.data.train_labels
    regressions, left_out = fitted(readings, train, labels)
    classifiers = Classifiers(readings, train, labels, regressions, recipe.evaluation)
    pairs = []
    for dataset in recipe.evaluation.shifted:
        what = title_of(dataset)
        try:
            with translate_tf_errors():
                part = shifted_part(dataset, recipe.data, inputs.data)
                what = f"{', '.join(readings.names)}, {what}"
                if readings.model is None:
                    check_pixels(part, inputs.data)
                more, missing = scored(part, classifiers)
        except (UserError, OSError) as error:
            more, missing = [], [LeftOut.by(what, error)]
        pairs += more
        left_out += missing
    return pairs, left_out


def title_of(dataset):
    """What to call a data set in a heading.

    Example:

    >>> title_of("npz:/data/cifar10.npz"), title_of("imagenet_v2/matched-frequency")
    ('cifar10', 'imagenet_v2/matched-frequency')
    """
    return Path(dataset.partition(":")[2]).stem if dataset.startswith(DATASET_PREFIXES) else dataset


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


def keeps_its_size(dataset):
    """Whether a data set is arrays, which can be read in their own size, whatever that is."""
    return dataset == EMBEDDED or dataset.startswith("npz:")


def shifted_part(dataset, settings, data):
    """The test part of `dataset`, in the size, the channels and the class numbers of `data`.

    Arrays stay in their own size where the images of `data` are not square.

    Args:
        dataset: str.
        settings: the section `data` of the recipe.
        data: `ImageData` of the run.

    Raises:
        UserError: if it has no labels, or classes that the train labels of `data` lack.
        UserError: if it cannot be had.
    """
    height, width = data.train_images.shape[1:3]
    size = None if height != width and keeps_its_size(dataset) else height
    part = _loaded(dataset, settings.data_dir, size, in_memory(settings))
    if part.labels is None:
        raise UserError(f"'{part.name}' has no labels for its test images.")
    images = in_channels(part.images, data.channels, part.name)
    return replace(part, images=images, labels=labels_in(data, part))


@functools.lru_cache(maxsize=2)
def _loaded(dataset, data_dir, image_size, in_memory):
    """Read once for all representations, where there are no more than two sets."""
    settings = {"image_size": image_size, "in_memory": in_memory}
    return load_test_part(dataset, data_dir=data_dir, **settings)


def labels_in(data, part):
    """The labels of `part` as the classes of `data` are numbered: by name where both have names.

    Raises:
        UserError: for classes that the train labels of `data` lack.
    """
    labels, names = part.labels, part.class_names
    number = {name: label for label, name in enumerate(data.class_names or ())}
    if _named(names) and _named(data.class_names):
        labels = np.array([number.get(name, -1) for name in names])[labels]
    elif _named(data.class_names) and _are_numbers(data.class_names):
        labels = np.array([number.get(str(label), -1) for label in labels.tolist()])
    elif _named(names) and _are_numbers(names):
        labels = np.array([int(name) for name in names])[labels]
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


def _are_numbers(names):
    """Whether the names are the labels that a file had, which were numbered anew."""
    return all(name.isdigit() for name in names)


def fitted(readings, train, labels):
    """The regression of the table, of each representation.

    Returns:
        ({name: `LinearClassifier`}, a `LeftOut` for each that could not be fitted).
    """
    found, left_out = {}, []
    for name in readings.names:
        try:
            found[name] = linear_classifier(readings.read(name, train), labels)
        except UserError as error:
            left_out.append(LeftOut.by(f"{name}, linear, shifted", error))
    return found, left_out


def check_pixels(part, data):
    """Refuse pixels that cannot be compared with those of `data`, as there are more or fewer.

    Raises:
        UserError: with both sizes.
    """
    sizes = [" x ".join(map(str, one.shape[1:3])) for one in (part.images, data.train_images)]
    if sizes[0] != sizes[1]:
        raise UserError(f"The images are {sizes[0]}, those of '{data.name}' {sizes[1]}.")


@dataclass(frozen=True)
class Classifiers:
    """The k-NN and the regressions of a run's own train features.

    Attributes:
        readings: `Readings`.
        train: float32 (N, E), what these give for the train images.
        labels: int (N,).
        regressions: {name: `LinearClassifier`} of the representations that have one.
        wanted: the section `evaluation` of the recipe.
    """

    readings: object
    train: np.ndarray
    labels: np.ndarray
    regressions: dict
    wanted: object

    def answers(self, name, features, classes):
        """What each says of features (M, E), among some classes.

        Returns:
            {task: (class of each, protocol), or in words why there is none}.
        """
        features, answers = self.readings.read(name, features), {}
        tasks = {"knn": self.nearest} | (
            {"linear": self.likeliest} if name in self.regressions else {}
        )
        for task, answer in tasks.items():
            try:
                answers[task] = answer(name, features, classes)
            except UserError as error:
                answers[task] = str(error)
        return answers

    def nearest(self, name, features, classes):
        """The answers of the k-NN, which searches the train images of these classes."""
        train, rows = self.readings.read(name, self.train), np.isin(self.labels, classes)
        train, labels = train if rows.all() else train[rows], self.labels[rows]
        k, temperature = min(self.wanted.knn_neighbours, len(train)), self.wanted.knn_temperature
        settings = {"k": k, "metric": "cosine", "temperature": temperature}
        classes, numbers = np.unique(labels, return_inverse=True)
        scores = knn_scores(train, numbers, features, num_classes=len(classes), **settings)
        protocol = {"classifier": "weighted knn", **settings, "train_images": len(train)}
        return classes[scores.argmax(axis=1)], protocol

    def likeliest(self, name, features, classes):
        """The answers of the regression, without the logits of other classes."""
        model = self.regressions[name]
        among = np.isin(model.classes, classes)
        answers = model.classes[among][model.scores(features)[:, among].argmax(axis=1)]
        return answers, classifier_protocol(model, len(self.train))


def scored(part, classifiers):
    """A row with its hits for each representation and classifier, and what was left out."""
    readings, classes, answers = classifiers.readings, np.unique(part.labels), {}
    count = max(1, _HELD * len(part.images) // readings.width(part.images))
    for start in range(0, len(part.images), count):
        features = readings.extract(as_images(part.images).take(slice(start, start + count)))
        for name in readings.names:
            for task, answer in classifiers.answers(name, features, classes).items():
                answers.setdefault((name, task), []).append(answer)
    pairs, left_out = [], []
    for (name, task), blocks in answers.items():
        what = f"{task}, {title_of(part.name)}"
        why = next((block for block in blocks if isinstance(block, str)), None)
        if why is not None:
            left_out.append(LeftOut(f"{name}, {what}: {why}"))
            continue
        right = np.concatenate([block[0] for block in blocks]) == part.labels
        protocol = {**blocks[0][1], "among_classes": len(classes)}
        accuracy = {"accuracy": 100.0 * float(right.mean())}
        result = Measurement(accuracy, protocol, correct=right[None])
        pairs += accuracy_rows(result, name, what, part.name)
    return pairs, left_out
