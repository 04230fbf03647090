import hashlib
import os

import numpy as np
import pytest

from keras_ssl.core.errors import UserError
from pipelines.data.fingerprint import key_of
from pipelines.data.image_data import check_memory, common_side, held_out
from pipelines.data.load import ImageData, load
from pipelines.data.names import check_exists, check_name


def test_digits_are_split_once_and_for_all():
    data = load("digits")
    assert data.train_images.shape == (1437, 16, 16, 1) and data.train_images.dtype == np.uint8
    assert data.test_images.shape == (360, 16, 16, 1) and data.test_labels.dtype == np.int64
    assert (data.image_size, data.channels, data.num_classes) == (16, 1, 10)
    again = load("digits")
    np.testing.assert_array_equal(data.test_images, again.test_images)
    assert np.ptp(np.bincount(data.test_labels)) <= 2


def test_digits_keep_the_test_images_that_the_documents_are_about():
    part = hashlib.sha256(load("digits").test_images.tobytes()).hexdigest()
    assert part.startswith("18bf0379526ecaee")


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
    with pytest.raises(UserError, match="image_size=0"):
        load("digits", image_size=0)


@pytest.mark.parametrize(
    "name, message",
    [
        ("digts", "Did you mean 'digits'"),
        ("cifar-10", "Did you mean 'cifar10'"),
        ("npy:x", "Did you mean 'npz:'"),
        ("nzp:some.npz", "Did you mean 'npz:'"),
        ("npz", "Did you mean 'npz:'"),
        ("npz:", "npz:PATH"),
        ("", "Unknown data set"),
        ("some.npz", "Did you mean 'npz:some.npz'"),
        (__file__, "Did you mean 'npz:/"),
        (os.path.dirname(__file__), "Did you mean 'folder:/"),
    ],
)
def test_a_wrong_name_is_refused_before_anything_is_read(name, message):
    with pytest.raises(UserError, match=message):
        check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "digits",
        "cifar10",
        "cifar10:3.0.2",
        "imagenet_resized/32x32:0.*.*",
        "a_set_of_next_year",
        "npz:no/such/file.npz",
        "folder:no/such/folder",
    ],
)
def test_what_may_be_a_name_passes_the_check(name):
    check_name(name)


@pytest.mark.parametrize("name", ["npz:/no/such/file.npz", "folder:/no/such/folder"])
def test_a_path_that_does_not_exist_is_named(name):
    with pytest.raises(UserError, match=f"{name.split(':')[1]} does not exist"):
        load(name)
    with pytest.raises(UserError, match=f"{name.split(':')[1]} does not exist"):
        check_exists(name)


def test_paths_that_may_be_there_are_left_to_those_who_read(tmp_path):
    for name in ("digits", "cifar10", f"folder:{tmp_path}", "npz:gs://bucket/images.npz"):
        check_exists(name)


def test_the_number_of_classes_counts_names_or_labels():
    images = np.zeros((3, 4, 4, 1), np.uint8)
    assert ImageData("x", images).num_classes is None
    assert ImageData("x", images, np.array([0, 4, 1])).num_classes == 5
    assert ImageData("x", images, np.array([0, 1, 1]), class_names=("a", "b", "c")).num_classes == 3


def test_validation_rows_may_lie_anywhere_among_the_training_images():
    images = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1)
    data = ImageData("x", images, np.arange(5), validation_rows=np.array([1, 3]))
    assert data.pretraining_images.ravel().tolist() == data.fitting_labels.tolist() == [0, 2, 4]
    assert len(data.train_images) == 5


def keys(count):
    return np.array([key_of(f"{number}.png".encode()) for number in range(count)], np.uint64)


def test_about_a_fifth_of_every_class_is_held_out():
    labels = np.arange(4000) % 4
    counts = np.bincount(labels[held_out(labels, keys(4000))], minlength=4)
    np.testing.assert_allclose(counts, 200, atol=40)


def test_images_that_come_or_go_move_no_other_one_into_the_test_part():
    labels, names = np.arange(200) % 5, keys(200)
    mask = held_out(labels, names)
    for gone in range(200):
        rest = np.delete(np.arange(200), gone)
        np.testing.assert_array_equal(held_out(labels[rest], names[rest]), mask[rest])


def test_a_class_is_never_held_out_whole():
    labels, low = np.array([0, 0, 1, 2, 2]), np.uint64(5)
    mask = held_out(labels, np.array([low, 2**63, low, low, low], np.uint64))
    np.testing.assert_array_equal(mask, [True, False, False, False, False])


def test_the_common_side_is_one_that_half_of_the_images_have():
    assert common_side([100, 70, 65, 20]) == 64
    assert common_side([5]) == 32
    assert common_side([5000]) == 224


def test_too_much_memory_is_refused_with_the_size_that_fits():
    check_memory(50_000, 32, 3, "x")
    with pytest.raises(UserError, match="image_size=47"):
        check_memory(1_281_167, 224, 3, "x")
