"""Accuracy on corrupted images of a classifier that has only seen clean ones."""

from dataclasses import dataclass

import numpy as np

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.validation import checked_labels


@dataclass(frozen=True)
class RobustnessResult:
    """Accuracies on corrupted images, in percent.

    Attributes:
        accuracy: mean over the corruptions of their means over the severities.
        by_corruption: {name: mean over its severities}.
        by_severity: {(name, severity): accuracy}.
        hits: bool (corruptions x severities, images), in the order of `by_severity`.
    """

    accuracy: float
    by_corruption: dict
    by_severity: dict
    hits: np.ndarray


def corruption_accuracy(predict, labels, corrupted):
    """Mean corruption accuracy: a hundred minus the mean of the error over all corruptions.

    Not the "mCE" of ImageNet-C, which divides each error by that of AlexNet.

    Args:
        predict: function of images -> class of each (N,) integers, such as a probe that was trained
            on clean images behind its encoder.
        labels: integers (N,).
        corrupted: iterable of (name, severity, images); taken one at a time.

    Returns:
        `RobustnessResult`.

    Raises:
        UserError: for no corruption, or one prediction per image is not what comes.

    Example:

    >>> light = lambda images: (images.mean(axis=(1, 2, 3)) > 100).astype(int)
    >>> images = np.repeat(np.array([0, 200], "uint8"), 12).reshape(2, 2, 2, 3)
    >>> pairs = [("same", 1, images), ("dark", 1, images // 4)]
    >>> corruption_accuracy(light, [0, 1], pairs).by_corruption
    {'same': 100.0, 'dark': 50.0}

    Reference: Hendrycks and Dietterich 2019, arXiv:1903.12261, section 4.1.
    """
    hits = {}
    for name, severity, images in corrupted:
        truth = checked_labels(labels, images, "test")
        classes = np.asarray(predict(images))
        if classes.shape != truth.shape:
            raise UserError(
                f"There must be one prediction per image. Received {classes.shape} for "
                f"{len(truth)} images: take the argmax of scores."
            )
        if not np.issubdtype(classes.dtype, np.integer):
            raise UserError(
                f"Predictions must be integers. Received dtype {classes.dtype}: predict the "
                "numbers of the classes, as the labels have them."
            )
        hits[name, severity] = classes == truth
    if not hits:
        raise UserError("There are no corrupted images to judge by.")
    by_severity = {key: 100.0 * float(hit.mean()) for key, hit in hits.items()}
    by_corruption = {
        name: float(np.mean([value for key, value in by_severity.items() if key[0] == name]))
        for name in dict.fromkeys(name for name, _ in hits)
    }
    mean = float(np.mean(list(by_corruption.values())))
    return RobustnessResult(mean, by_corruption, by_severity, np.stack(list(hits.values())))
