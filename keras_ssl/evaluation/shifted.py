"""Corrupted images and further test sets, scored by classifiers of the run's train features."""

import numpy as np

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.classifiers import answered, fitted
from keras_ssl.evaluation.results import Measurement
from keras_ssl.evaluation.robustness import ALEXNET_ERRORS, over_corruptions
from keras_ssl.evaluation.tables import SEVERITY, task_name, title_of
from keras_ssl.ops.rows import some_rows

# Collections of corrupted images of which another classifier's errors are published.
_PUBLISHED = {"imagenet2012_corrupted/*": ALEXNET_ERRORS}


def other_images(evaluation, representations, train, _):
    """Yield what the classifiers of the run's table reach on images that are not its test images.

    They are the k-NN, the logistic regression and, where `evaluation.probe` trains one, the
    gradient probe. They see none of these images before, and what is chosen is chosen on the train
    features.

    Args:
        evaluation: `Evaluation`.
        representations: list of `Representation` of the same features.
        train: float32 (N, E), those features of the train images.
    """
    settings = evaluation.settings
    if not (settings.corrupted_images or settings.shifted):
        return
    classifiers = fitted(evaluation, representations, train)
    if settings.corrupted_images:
        yield from corrupted(evaluation, classifiers)
    for dataset in settings.shifted:
        members = evaluation.members(dataset) if evaluation.members else {}
        if members:
            yield from collection(evaluation, classifiers, dataset, members)
        else:
            yield from shifted(evaluation, classifiers, dataset)


def corrupted(evaluation, classifiers):
    """Yield means over the corruptions of `evaluation.corruptions` of some test images."""
    data, memory = evaluation.data, {}
    rows = some_rows(len(data.test_images), evaluation.settings.corrupted_images)
    images, labels = data.test_images[rows], data.test_labels[rows]
    kinds, protocol = evaluation.corruptions(images)
    protocol = {**protocol, "seed": 0, "images": len(rows), "drawn": "at random, by the seed"}
    names = {"knn": "corrupted", "linear": "corrupted linear", "probe": "corrupted probe"}
    found = answered(
        evaluation,
        classifiers,
        (((name, severity), images, labels) for name, severity, images in kinds),
        np.unique(data.train_labels),
        lambda one, name: f"{one.name}, {task_name(names[name], memory)}",
    )
    for (one, name), (correct, own) in found.items():
        if name == "knn":
            own = {key: own[key] for key in ("classifier", "k", "temperature")}
        measured = over_corruptions(correct, protocol={**own, **protocol})
        yield from evaluation.found(measured, one, names[name], metrics=evaluation.shown)


def shifted(evaluation, classifiers, dataset):
    """Yield what classifiers reach on the test part of one data set of the same classes.

    They answer with one of the classes that occur in it, as published figures of ImageNet-A and -R
    do, which have 200 of the 1,000: logits of other classes are left out, and the k-NN searches the
    train images of these classes only.

    Reference: Hendrycks et al. 2021, arXiv:1907.07174 (ImageNet-A), section 4; and
    arXiv:2006.16241 (ImageNet-R).
    """
    for one, task, measured in _measured(evaluation, classifiers, dataset):
        yield from evaluation.found(
            measured, one, f"shifted {task}", dataset, metrics=evaluation.shown
        )


def collection(evaluation, classifiers, dataset, members):
    """Yield what classifiers reach on each of many corrupted sets, and the means over all.

    Args:
        evaluation, classifiers: as for `shifted`.
        dataset: str. The name that stands for the sets, such as "cifar10_corrupted/*".
        members: {(corruption, severity): name of a data set}; one is in memory at a time. The
            first that cannot be had is the last.
    """
    correct, protocols = {}, {}
    for read, (key, name) in enumerate(members.items()):
        measured = list(_measured(evaluation, classifiers, name))
        if not measured:
            with evaluation.skipped(title_of(dataset)):
                raise UserError(f"The mean needs all {len(members)}; {read} were read.")
            return
        for one, task, each in measured:
            yield from evaluation.found(each, one, SEVERITY + task, name, metrics=evaluation.shown)
            right = np.stack([each.correct[0], each.details["top5"]])
            correct.setdefault((one, task), {})[key] = right
            protocols[one, task] = each.protocol
    sizes = {
        "corruptions": len({c for c, _ in members}),
        "severities": len({s for _, s in members}),
    }
    for (one, task), each in correct.items():
        if len(each) == len(members):
            protocol = {**protocols[one, task], **sizes}
            mean = over_corruptions(each, _PUBLISHED.get(dataset), protocol)
            shown = (*evaluation.shown, "mce")
            yield from evaluation.found(mean, one, f"shifted {task}", dataset, metrics=shown)


def _measured(evaluation, classifiers, dataset):
    """Yield (representation, name of the classifier, `Measurement`) on the test part of a set."""
    part = None
    with evaluation.skipped(title_of(dataset)):
        part = evaluation.shifted_part(dataset)
    if part is None:
        return
    names = [by.representation.name for by in classifiers]
    with evaluation.skipped(f"{', '.join(names)}, {title_of(dataset)}"):
        if classifiers[0].representation.features.model is None:
            check_pixels(part, evaluation.data)
        yield from _scored(evaluation, classifiers, part)


def _scored(evaluation, classifiers, part):
    classes = np.unique(part.labels)
    found = answered(
        evaluation,
        classifiers,
        [(None, part.images, part.labels)],
        classes,
        lambda one, name: f"{one.name}, {task_name(f'shifted {name}', {}, part.name)}",
    )
    for (one, name), (correct, protocol) in found.items():
        best, top5 = correct[None]
        metrics = {"accuracy": 100.0 * float(best.mean()), "top5": 100.0 * float(top5.mean())}
        protocol = {**protocol, "among_classes": len(classes)}
        found = Measurement(metrics, protocol, correct=best[None], details={"top5": top5})
        yield one, name, found


def check_pixels(part, data):
    """Refuse pixels that cannot be compared with those of `data`, as there are more or fewer.

    Raises:
        UserError: with both sizes.
    """
    sizes = [" x ".join(map(str, one.shape[1:3])) for one in (part.images, data.train_images)]
    if sizes[0] != sizes[1]:
        raise UserError(f"The images are {sizes[0]}, those of '{data.name}' {sizes[1]}.")
