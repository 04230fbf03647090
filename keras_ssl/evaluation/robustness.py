"""Accuracy on corrupted images of a classifier that has only seen clean ones."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.results import Measurement
from keras_ssl.evaluation.validation import checked_labels


def corruption_accuracy(
    predict: Callable[[np.ndarray], np.ndarray],
    labels: ArrayLike,
    corrupted: Iterable[tuple[str, int, np.ndarray]],
) -> Measurement:
    """Mean corruption accuracy: 100 minus the error averaged over all corruptions.

    Not the "mCE" of ImageNet-C, which divides each error by that of AlexNet.

    Args:
        predict: function of images -> the class of each, integers (N,); such as an encoder with a
            probe that was trained on clean images.
        labels: integers (N,).
        corrupted: iterable of (name, severity, images); taken one at a time.

    Returns:
        `Measurement` of the `accuracy`, a mean over corruptions of means over severities. Its
        correct predictions have a row for each (name, severity), in the order of
        `details["by_severity"]`; `details["by_corruption"]` has the mean of each corruption.

    Raises:
        UserError: without any corruption, or for anything but one prediction per image.

    Example:

    >>> light = lambda images: (images.mean(axis=(1, 2, 3)) > 100).astype(int)
    >>> images = np.repeat(np.array([0, 200], "uint8"), 12).reshape(2, 2, 2, 3)
    >>> pairs = [("same", 1, images), ("dark", 1, images // 4)]
    >>> corruption_accuracy(light, [0, 1], pairs).details["by_corruption"]
    {'same': 100.0, 'dark': 50.0}

    Reference: Hendrycks and Dietterich 2019, arXiv:1903.12261, section 4.1.
    """
    correct = {}
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
        correct[name, severity] = classes == truth
    if not correct:
        raise UserError("There are no corrupted images to classify: give one corruption or more.")
    by_severity = {key: 100.0 * float(one.mean()) for key, one in correct.items()}
    by_corruption = {
        name: float(np.mean([value for key, value in by_severity.items() if key[0] == name]))
        for name in dict.fromkeys(name for name, _ in correct)
    }
    return Measurement(
        {"accuracy": float(np.mean(list(by_corruption.values())))},
        {},
        correct=np.stack(list(correct.values())),
        details={"by_corruption": by_corruption, "by_severity": by_severity},
    )
