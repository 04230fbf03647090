"""Usage of codes, their information on the class, images that are typical of a vertex."""

import numpy as np
import pytest

from keras_ssl.analysis.usage import code_information, code_usage, typical_images
from keras_ssl.core.errors import UserError


def test_usage_of_balanced_and_of_collapsed_codes():
    balanced = code_usage(np.arange(12).reshape(12, 1) % 3, 3)
    assert balanced.effective == pytest.approx([3.0]) and balanced.distinct == 3
    collapsed = code_usage(np.zeros((12, 2), np.uint8), 3)
    assert collapsed.effective.tolist() == [1.0, 1.0] and collapsed.distinct == 1
    assert collapsed.dead == 4 and collapsed.constant == 2


def test_information_is_the_entropy_of_the_classes_where_the_code_names_them():
    labels = np.random.default_rng(0).integers(0, 3, 3000)
    codes = np.stack([2 - labels, np.zeros(3000, int), labels // 2], axis=1)
    share = np.bincount(labels) / 3000
    information = code_information(codes, 3, labels)
    assert information[0] == pytest.approx(-(share * np.log(share)).sum(), abs=2e-3)
    assert information[1] == 0.0 < information[2] < information[0]


def test_information_of_independent_codes_is_about_zero():
    """Uncorrected, it would be (V - 1)(C - 1) / 2N = 0.04."""
    random = np.random.default_rng(0)
    information = code_information(
        random.integers(0, 5, (1000, 50)), 5, random.integers(0, 21, 1000)
    )
    assert information.mean() < 0.01


def test_typical_images_choose_the_vertex_most_surely():
    z = np.array([[5.0, 4.0, 0.0], [3.0, 0.0, 0.0], [0.0, 9.0, 0.0]])
    assert typical_images(z, 0, 5).tolist() == [1, 0] and not len(typical_images(z, 2, 5))


def test_codes_out_of_range_are_refused():
    with pytest.raises(UserError, match="0 to 2"):
        code_usage([[3]], 3)
