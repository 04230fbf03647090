import numpy as np
import pytest

from pipelines.datasets import NAMES, ImageData, check_name, load
from pipelines.errors import DataError
from pipelines.image_data import check_memory, common_side, held_out


def test_digits_are_split_once_and_for_all():
    data = load("digits")
    assert data.train_images.shape == (1437, 16, 16, 1) and data.train_images.dtype == np.uint8
    assert data.test_images.shape == (360, 16, 16, 1) and data.test_labels.dtype == np.int64
    assert (data.image_size, data.channels, data.num_classes) == (16, 1, 10)
    again = load("digits")
    np.testing.assert_array_equal(data.test_images, again.test_images)
    assert np.ptp(np.bincount(data.test_labels)) <= 2


def test_digits_are_the_originals_at_twice_their_size():
    from sklearn.datasets import load_digits

    data = load("digits")
    labels = np.concatenate([data.train_labels, data.test_labels])
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(load_digits().target))
    assert data.train_images.min() == 0 and data.train_images.max() == 255
    images = np.concatenate([data.train_images, data.test_images]).astype(float)
    assert abs(images.mean() / 255 - load_digits().images.mean() / 16) < 1e-3


def test_image_size_brings_images_to_that_size():
    assert load("digits", image_size=8).train_images.shape == (1437, 8, 8, 1)
    with pytest.raises(DataError, match="image_size=0"):
        load("digits", image_size=0)


@pytest.mark.parametrize(
    "name, message",
    [
        ("digts", "Did you mean 'digits'"),
        ("npy:x", "Did you mean 'npz'"),
        ("npz:", "does not exist"),
        ("npz:/no/such/file.npz", "/no/such/file.npz does not exist"),
        ("folder:/no/such/folder", "/no/such/folder does not exist"),
        (__file__, "is a path"),
    ],
)
def test_a_wrong_name_is_refused_before_anything_is_read(name, message):
    with pytest.raises(DataError, match=message):
        check_name(name)


def test_known_names_pass_the_check():
    for name in NAMES:
        if ":" not in name:
            check_name(name)
    check_name("cifar10:3.0.2")


def test_the_number_of_classes_counts_names_or_labels():
    images = np.zeros((3, 4, 4, 1), np.uint8)
    assert ImageData("x", images).num_classes is None
    assert ImageData("x", images, np.array([0, 4, 1])).num_classes == 5
    assert ImageData("x", images, np.array([0, 1, 1]), class_names=("a", "b", "c")).num_classes == 3


def test_a_fifth_of_every_class_is_held_out():
    labels = np.repeat(np.arange(4), [50, 5, 10, 35])
    counts = np.bincount(labels[held_out(labels)], minlength=4)
    np.testing.assert_array_equal(counts, [10, 1, 2, 7])


def test_the_only_image_of_a_class_is_never_held_out():
    labels = np.array([0] * 9 + [1, 2, 3])
    assert not held_out(labels)[9:].any()


def test_the_common_side_is_one_that_half_of_the_images_have():
    assert common_side([100, 70, 65, 20]) == 64
    assert common_side([5]) == 32
    assert common_side([5000]) == 224


def test_too_much_memory_is_refused_with_the_size_that_fits():
    check_memory(50_000, 32, 3, "x")
    with pytest.raises(DataError, match="image_size=47"):
        check_memory(1_281_167, 224, 3, "x")
