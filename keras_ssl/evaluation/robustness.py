"""Accuracy on corrupted images of a classifier that has only seen clean ones."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.results import Measurement
from keras_ssl.evaluation.validation import checked_labels

# Error of AlexNet on ImageNet-C, percent, means over the severities, by which mCE divides.
# Hendrycks and Dietterich 2019, with the digits of their code (github.com/hendrycks/robustness).
ALEXNET_ERRORS = {
    "gaussian_noise": 88.6428,
    "shot_noise": 89.4468,
    "impulse_noise": 92.2640,
    "defocus_blur": 81.9880,
    "glass_blur": 82.6268,
    "motion_blur": 78.5948,
    "zoom_blur": 79.8360,
    "snow": 86.6816,
    "frost": 82.6572,
    "fog": 81.9324,
    "brightness": 56.4592,
    "contrast": 85.3204,
    "elastic_transform": 64.6056,
    "pixelate": 71.7840,
    "jpeg_compression": 60.6500,
}


def corruption_accuracy(
    predict: Callable[[np.ndarray], np.ndarray],
    labels: ArrayLike,
    corrupted: Iterable[tuple[str, int, np.ndarray]],
) -> Measurement:
    """Mean corruption accuracy: 100 minus the error averaged over all corruptions.

    Not the "mCE" of ImageNet-C, which divides each error by that of AlexNet (`over_corruptions`).

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
        correct[name, severity] = (classes == truth)[None]
    if not correct:
        raise UserError("There are no corrupted images to classify: give one corruption or more.")
    return over_corruptions(correct)


def over_corruptions(
    correct: Mapping[tuple[str, int], np.ndarray],
    errors: Mapping[str, float] | None = None,
    protocol: Mapping | None = None,
) -> Measurement:
    """Means over corruptions of means over severities.

    Args:
        correct: {(name, severity): bool (1 or 2, images)}, whether the class is predicted; and
            whether it is among the five most likely.
        errors: {name: percent}, errors of another classifier on the same images, such as
            `ALEXNET_ERRORS`; or None.
        protocol: of the `Measurement`.

    Returns:
        `Measurement` of the `accuracy`, as of `corruption_accuracy`; of `top5` where that is known;
        and with `errors` of `mce`, the mean over corruptions of the ratio of the errors, percent,
        which is lower the better.

    Example:

    >>> right = {("fog", 1): np.array([[True, False]]), ("fog", 2): np.array([[True, True]])}
    >>> over_corruptions(right, {"fog": 50.0}).metrics
    {'accuracy': 75.0, 'mce': 50.0}

    Reference: Hendrycks and Dietterich 2019, arXiv:1903.12261, section 4.1.
    """
    names = list(dict.fromkeys(name for name, _ in correct))
    metrics, found = {}, []
    for row, metric in enumerate(("accuracy", "top5")[: len(next(iter(correct.values())))]):
        by_severity = {key: 100.0 * float(one[row].mean()) for key, one in correct.items()}
        by_corruption = {
            name: float(np.mean([value for key, value in by_severity.items() if key[0] == name]))
            for name in names
        }
        metrics[metric] = float(np.mean(list(by_corruption.values())))
        found.append((by_corruption, by_severity))
    by_corruption, by_severity = found[0]
    if errors is not None:
        ratios = [(100.0 - value) / errors[name] for name, value in by_corruption.items()]
        metrics["mce"] = 100.0 * float(np.mean(ratios))
    return Measurement(
        metrics,
        dict(protocol or {}),
        correct=np.stack([one[0] for one in correct.values()]),
        details={"by_corruption": by_corruption, "by_severity": by_severity},
    )
