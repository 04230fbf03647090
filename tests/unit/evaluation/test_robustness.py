import numpy as np
import pytest

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.robustness import (
    ALEXNET_ERRORS,
    corruption_accuracy,
    over_corruptions,
)

IMAGES = np.zeros((4, 2, 2, 1), "uint8")


def _from(answers):
    """A classifier that gives the next of the answers each time."""
    rest = iter(answers)
    return lambda images: np.array(next(rest))


def test_corruptions_count_alike_whatever_their_number_of_severities():
    pairs = [("fog", 1, IMAGES), ("fog", 5, IMAGES), ("snow", 1, IMAGES)]
    answers = [[0, 0, 1, 1], [1, 1, 0, 0], [0, 0, 1, 0]]
    result = corruption_accuracy(_from(answers), [0, 0, 1, 1], pairs)
    assert result.details["by_severity"] == {("fog", 1): 100, ("fog", 5): 0, ("snow", 1): 75}
    assert result.details["by_corruption"] == {"fog": 50, "snow": 75}
    assert result.accuracy == 62.5
    assert result.correct.mean(axis=1).tolist() == [1, 0, 0.75]


def test_mce_is_the_mean_of_ratios_and_not_the_ratio_of_means():
    share = {"fog": (0.25, 0.75), "snow": (1.0, 0.5)}
    right = {
        (name, severity): np.stack([np.arange(4) < 4 * part, np.ones(4, bool)])
        for name, parts in share.items()
        for severity, part in enumerate(parts, 1)
    }
    found = over_corruptions(right, {"fog": 40.0, "snow": 80.0}).metrics
    assert found == {"accuracy": 62.5, "top5": 100, "mce": 100 * (50 / 40 + 25 / 80) / 2}


def test_alexnet_itself_has_an_mce_of_one_hundred_and_its_published_mean_error():
    # Hendrycks and Dietterich 2019, table 1: 43.5 clean; mCE 100.
    errors = {
        (name, 1): (np.arange(10**6) >= round(error * 10**4))[None]
        for name, error in ALEXNET_ERRORS.items()
    }
    assert over_corruptions(errors, ALEXNET_ERRORS).metrics["mce"] == pytest.approx(100)


def test_predictions_are_in_the_order_of_the_severities():
    pairs = [("snow", 5, IMAGES), ("fog", 3, IMAGES), ("snow", 1, IMAGES)]
    result = corruption_accuracy(_from([[0] * 4, [1] * 4, [0, 1, 1, 1]]), [0] * 4, pairs)
    assert list(result.details["by_severity"]) == [("snow", 5), ("fog", 3), ("snow", 1)]
    accuracies = (100 * result.correct.mean(axis=1)).tolist()
    assert accuracies == list(result.details["by_severity"].values()) == [100, 0, 25]


def test_images_are_taken_one_corruption_at_a_time():
    taken = []

    def corrupted():
        for severity in (1, 2):
            taken.append(severity)
            yield "fog", severity, IMAGES

    def predict(images):
        assert taken == list(range(1, len(taken) + 1))
        return np.full(4, len(taken))

    assert corruption_accuracy(predict, [1, 1, 2, 2], corrupted()).accuracy == 50


@pytest.mark.parametrize(
    "predict, labels, pairs, message",
    [
        (_from([]), [0] * 4, [], "no corrupted images"),
        (_from([np.zeros((4, 2))]), [0] * 4, [("fog", 1, IMAGES)], "one prediction per image"),
        (_from([[0] * 4]), [0] * 3, [("fog", 1, IMAGES)], "one test label per image"),
        (_from([[0] * 4]), [0.0] * 4, [("fog", 1, IMAGES)], "must be integers"),
    ],
)
def test_a_mistake_is_answered_by_what_came(predict, labels, pairs, message):
    with pytest.raises(UserError, match=message):
        corruption_accuracy(predict, labels, pairs)
