"""Further test sets of the same classes, scored by classifiers of the run's own train features."""

from dataclasses import dataclass

import numpy as np

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.knn import knn_scores
from keras_ssl.evaluation.probes.linear import classifier_protocol, linear_classifier
from keras_ssl.evaluation.results import Measurement
from keras_ssl.evaluation.tables import task_name, title_of

_HELD = 2**26  # numbers of features of a shifted set that are held in memory at a time, 256 MiB


def shifted(evaluation, representations, train, _):
    """Yield the k-NN and the logistic regression on every data set of `evaluation.shifted`.

    Both are those of the run's table: they see no image of the shifted sets before they are scored,
    and the strength of the regression is chosen on the train features. They answer with one of the
    classes that occur in the shifted set, as published figures of ImageNet-A and -R do, which have
    200 of the 1,000: of the regression the logits of other classes are left out, of the k-NN the
    train images of other classes.

    One representation of the train images is held at a time, and as many test parts as
    `shifted_part` keeps.

    Args:
        evaluation: `Evaluation`.
        representations: list of `Representation` of the same features.
        train: float32 (N, E), those features of the train images.

    Reference: Hendrycks et al. 2021, arXiv:1907.07174 (ImageNet-A), section 4; and
    arXiv:2006.16241 (ImageNet-R).
    """
    if not evaluation.settings.shifted:
        return
    labels, names = evaluation.data.train_labels, [one.name for one in representations]
    classifiers = []
    for one in representations:
        regression = None
        with evaluation.skipped(f"{one.name}, linear, shifted"):
            regression = linear_classifier(one.rows(train, evaluation.memory), labels)
        rows = one.rows(train, evaluation.memory)
        classifiers.append(Classifiers(one, rows, labels, regression, evaluation.settings))
    for dataset in evaluation.settings.shifted:
        part = None
        with evaluation.skipped(title_of(dataset)):
            part = evaluation.shifted_part(dataset)
        if part is not None:
            with evaluation.skipped(f"{', '.join(names)}, {title_of(dataset)}"):
                yield from scored(evaluation, classifiers, part)


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
    """The k-NN and the regression of one representation of a run's own train images.

    Attributes:
        representation: `Representation`.
        train: `Rows` of the representation (N, F).
        labels: int (N,).
        regression: `LinearClassifier`, or None if there is none.
        settings: the section `evaluation` of the recipe.
    """

    representation: object
    train: object
    labels: np.ndarray
    regression: object
    settings: object

    def tasks(self):
        """{task: function of features (M, E) and of classes -> (class of each, protocol)}."""
        tasks = {"shifted knn": self.nearest}
        if self.regression is not None:
            tasks["shifted linear"] = self.most_likely
        return tasks

    def nearest(self, features, classes):
        """The answers of the k-NN, which searches the train images of these classes."""
        rows = np.isin(self.labels, classes)
        train = self.train if rows.all() else self.train.take(np.flatnonzero(rows))
        labels = self.labels[rows]
        k, temperature = (
            min(self.settings.knn_neighbours, len(train)),
            self.settings.knn_temperature,
        )
        settings = {"k": k, "metric": "cosine", "temperature": temperature}
        classes, numbers = np.unique(labels, return_inverse=True)
        scores = knn_scores(train, numbers, features, num_classes=len(classes), **settings)
        protocol = {"classifier": "weighted knn", **settings, "train_images": len(train)}
        return classes[scores.argmax(axis=1)], protocol

    def most_likely(self, features, classes):
        """The answers of the regression, without the logits of other classes."""
        model = self.regression
        among = np.isin(model.classes, classes)
        answers = model.classes[among][model.scores(features)[:, among].argmax(axis=1)]
        return answers, classifier_protocol(model, len(self.train))


def scored(evaluation, classifiers, part):
    """Yield the results of every classifier on one test part.

    Raises:
        UserError: for pixels of another size.
    """
    features, classes = classifiers[0].representation.features, np.unique(part.labels)
    if features.model is None:
        check_pixels(part, evaluation.data)
    count, answers = max(1, _HELD * len(part.images) // features.size(part.images)), {}
    for start in range(0, len(part.images), count):
        read = features.extract(_taken(part.images, slice(start, start + count)))
        for by in classifiers:
            seen = by.representation.rows(read)
            for task, answer in by.tasks().items():
                blocks = answers.setdefault((by.representation, task), [])
                if blocks is None:  # it failed before
                    continue
                answers[by.representation, task] = None
                with evaluation.skipped(
                    f"{by.representation.name}, {task_name(task, {}, part.name)}"
                ):
                    answers[by.representation, task] = [*blocks, answer(seen, classes)]
    for (one, task), blocks in answers.items():
        if blocks is not None:
            right = np.concatenate([block[0] for block in blocks]) == part.labels
            protocol = {**blocks[0][1], "among_classes": len(classes)}
            accuracy = {"accuracy": 100.0 * float(right.mean())}
            found = Measurement(accuracy, protocol, correct=right[None])
            yield from evaluation.found(found, one, task, part.name)


def _taken(images, rows):
    """The images of a slice, which stay encoded until they are read, if they are."""
    return images.take(rows) if hasattr(images, "digest") else images[rows]
