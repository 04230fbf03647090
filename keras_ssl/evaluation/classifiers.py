"""Classifiers of a run's own train features, and what they answer on other images."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.knn import among_best, knn_scores
from keras_ssl.evaluation.probes.linear import classifier_protocol, linear_classifier

_HELD = 2**26  # numbers of features and of scores that are held in memory at a time, 256 MiB


@dataclass(frozen=True)
class Classifiers:
    """The classifiers of one representation of a run's own train images.

    Attributes:
        representation: `Representation`, as it is reported.
        train: `Rows` of the representation (N, F); None without a k-NN.
        labels: int (N,).
        regression: `LinearClassifier`, or None if there is none.
        settings: the section `evaluation` of the recipe.
        probe: `Measurement` of a gradient probe that has its `classifier`, or None.
        read_as: `Representation` that images are read as, where that is another: simplices at the
            tau_d that was chosen.
    """

    representation: object
    train: object
    labels: np.ndarray
    regression: object
    settings: object
    probe: object = None
    read_as: object = None

    def rows(self, features):
        """The representation (M, F) of features of images."""
        return (self.read_as or self.representation).rows(features)

    def answers(self) -> dict:
        """{name: function of `Rows` (M, F) and of classes -> (scores (M, K), K classes, protocol)}.

        The scores are of those of the classes that have train images, and of no other.
        """
        answers = {} if self.train is None else {"knn": self.nearest}
        if self.regression is not None:
            answers["linear"] = self.most_likely
        if self.probe is not None:
            answers["probe"] = self.probed
        return answers

    def nearest(self, features, classes):
        """Votes of the k-NN, which searches the train images of these classes."""
        rows = np.isin(self.labels, classes)
        train = self._among(rows)
        k = min(self.settings.knn_neighbours, len(train))
        settings = {"k": k, "metric": "cosine", "temperature": self.settings.knn_temperature}
        classes, numbers = np.unique(self.labels[rows], return_inverse=True)
        scores = knn_scores(train, numbers, features, num_classes=len(classes), **settings)
        protocol = {"classifier": "weighted knn", **settings, "train_images": len(train)}
        return scores, classes, protocol

    def _among(self, rows):
        """The train images of some classes, kept for the batches that ask for the same."""
        if rows.all():
            return self.train
        if not np.array_equal(self._taken.get("rows"), rows):
            self._taken.clear()  # before others are copied
            self._taken.update(rows=rows, train=self.train.take(np.flatnonzero(rows)))
        return self._taken["train"]

    @functools.cached_property
    def _taken(self):
        return {}

    def most_likely(self, features, classes):
        """Logits of the regression, without those of other classes."""
        model = self.regression
        among = np.isin(model.classes, classes)
        protocol = classifier_protocol(model, len(self.train))
        return model.scores(features)[:, among], model.classes[among], protocol

    def probed(self, features, classes):
        """Logits of the gradient probe, without those of other classes."""
        own = np.unique(self.labels)
        among = np.isin(own, classes)
        weights, biases = (x[among] for x in self.probe.classifier)
        scores = [block.numpy() @ weights.T + biases for _, block in features.blocks()]
        return np.concatenate(scores), own[among], self.probe.protocol


def fitted(evaluation, representations: list, train: np.ndarray) -> list[Classifiers]:
    """The `Classifiers` of each representation; the regressions are fitted here, once.

    Args:
        evaluation: `Evaluation`, whose `probes` are taken where they have a `classifier`.
        representations: list of `Representation` of the same features.
        train: float (N, E), those features of the train images.
    """
    labels, found = evaluation.data.train_labels, []
    for one in representations:
        rows, regression = one.rows(train, evaluation.memory), None
        with evaluation.skipped(f"{one.name}, linear, shifted"):
            regression = linear_classifier(rows, labels)
        probe = _kept(evaluation, one)
        found.append(Classifiers(one, rows, labels, regression, evaluation.settings, probe))
    above = next((one for one in representations if one.sizes), None)
    chosen = above and replace(above, readout="simplices", tau=None)
    probe = chosen and _kept(evaluation, chosen)
    if probe:
        best = replace(chosen, tau=probe.details["tau"])
        found.append(Classifiers(chosen, None, labels, None, evaluation.settings, probe, best))
    return found


def _kept(evaluation, representation):
    """The `Measurement` of its gradient probe, if it was trained and has its classifier."""
    probe = evaluation.probes.get(representation.name)
    if probe is None or probe.classifier is not None:
        return probe
    with evaluation.skipped(f"{representation.name}, probe, corrupted or shifted"):
        raise UserError(
            "Its classifier and those trained beside it take more than a quarter of the memory: "
            "set a larger evaluation.memory."
        )
    return None


def answered(
    evaluation, classifiers: list, parts: Iterable, classes: np.ndarray, title: Callable
) -> dict:
    """Which answers of every classifier on some images are correct.

    Images are read as they come, a few at a time; one representation of them is held at a time.

    Args:
        evaluation: `Evaluation`.
        classifiers: list of `Classifiers`, of representations of the same features.
        parts: iterable of (key, images, labels).
        classes: that are answered with.
        title: function of a `Representation` and the name of an answer -> what "Left out" calls
            it where it fails; it is then not tried again.

    Returns:
        {(representation, name): ({key: bool (2, images)}, protocol)}; a label is the most likely,
        and among the five most likely.
    """
    found, failed = {}, set()
    features = classifiers[0].representation.features
    for batch in _batches(features, parts, len(classes)):
        read = np.concatenate([one for _, one, _ in batch])
        for by in classifiers:
            seen = by.rows(read)
            for name, answer in by.answers().items():
                task = by.representation, name
                if task in failed:
                    continue
                failed.add(task)
                with evaluation.skipped(title(*task)):
                    scores, among, protocol = answer(seen, classes)
                    _add(found.setdefault(task, ({}, protocol))[0], batch, scores, among)
                    failed.remove(task)
    return {
        task: ({key: np.concatenate(each, axis=1) for key, each in correct.items()}, protocol)
        for task, (correct, protocol) in found.items()
        if task not in failed
    }


def _batches(features, parts, classes):
    """Lists of (key, features, labels) of about `_HELD` numbers of features or of scores."""
    batch, held = [], 0
    for key, images, labels in parts:
        width = max(1, features.size(images) // len(images), classes)
        most = max(1, _HELD // width)
        for start in range(0, len(images), most):
            rows = slice(start, start + most)
            if batch and held + len(labels[rows]) * width > _HELD:
                yield batch
                batch, held = [], 0
            batch.append((key, features.extract(_taken(images, rows)), labels[rows]))
            held += len(labels[rows]) * width
    if batch:
        yield batch


def _taken(images, rows):
    """The images of a slice, which stay encoded until they are read, if they are."""
    return images.take(rows) if hasattr(images, "digest") else images[rows]


def _add(found, batch, scores, classes):
    """Append to the lists of `found` which labels of a batch are best by their scores."""
    start = 0
    for key, _, labels in batch:
        some = scores[start : start + len(labels)]
        place = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
        correct = among_best(some, place, 1, 5) & (classes[place] == labels)
        found.setdefault(key, []).append(correct)
        start += len(labels)
