import numpy as np
import pytest

from pipelines.datasets import load
from pipelines.errors import DataError
from pipelines.sources.npz import load_npz

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def save(path, **arrays):
    np.savez(path / "data.npz", **arrays)
    return f"npz:{path / 'data.npz'}"


def test_the_four_arrays_are_read(tmp_path):
    data = load(
        save(
            tmp_path, x_train=IMAGES, y_train=LABELS[:, None], x_test=IMAGES[:2], y_test=LABELS[:2]
        )
    )
    np.testing.assert_array_equal(data.train_images, IMAGES)
    np.testing.assert_array_equal(data.train_labels, LABELS)
    assert data.train_labels.dtype == np.int64 and len(data.test_images) == 2
    assert data.num_classes == 3


def test_the_other_naming_brings_class_names(tmp_path):
    arrays = {f"{part}_images": IMAGES for part in ("train", "test")}
    labels = {f"{part}_fine": LABELS for part in ("train", "test")}
    data = load(save(tmp_path, **arrays, **labels, fine_names=np.array(["a", "b", "c"])))
    assert data.class_names == ("a", "b", "c")
    np.testing.assert_array_equal(data.test_labels, LABELS)


def test_training_images_alone_are_enough(tmp_path):
    data = load(save(tmp_path, x_train=IMAGES))
    assert data.train_labels is data.test_images is data.test_labels is data.num_classes is None


def test_gray_images_gain_a_channel(tmp_path):
    assert load(save(tmp_path, x_train=IMAGES[..., 0])).train_images.shape == (6, 8, 8, 1)


@pytest.mark.parametrize("scale, kind", [(255.0, np.float32), (1.0, np.float64), (1, np.int64)])
def test_floats_and_whole_numbers_become_the_same_bytes(tmp_path, scale, kind):
    data = load(save(tmp_path, x_train=(IMAGES / scale).astype(kind)))
    np.testing.assert_array_equal(data.train_images, IMAGES)


def test_names_that_do_not_cover_the_labels_are_left_out(tmp_path):
    data = load(save(tmp_path, x_train=IMAGES, y_train=LABELS, names=np.array(["a"])))
    assert data.class_names is None and data.num_classes == 3


def with_nan():
    images = IMAGES.astype(np.float32) / 255
    images[1, 2, 3, 0] = np.nan
    return images


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"images": IMAGES}, "no training images; it has images"),
        ({"x_train": IMAGES, "y_train": LABELS[:4]}, "4 labels for 6 images"),
        ({"x_train": IMAGES, "y_train": np.eye(6)}, "one number each"),
        ({"x_train": IMAGES, "y_train": LABELS + 0.5}, "whole numbers"),
        ({"x_train": IMAGES, "y_train": np.where(LABELS, LABELS, np.inf)}, "whole numbers"),
        ({"x_train": IMAGES, "y_train": LABELS.astype(str)}, "whole numbers"),
        ({"x_train": IMAGES, "y_train": LABELS - 1}, "below 0"),
        ({"x_train": IMAGES.reshape(6, -1)}, "has shape"),
        ({"x_train": IMAGES[..., [0, 1]]}, "1 or 3"),
        ({"x_train": IMAGES.transpose(0, 3, 1, 2)}, "Channels seem to come first"),
        ({"x_train": IMAGES[:0]}, "no images"),
        ({"x_train": with_nan()}, "1 values that are NaN"),
        ({"x_train": IMAGES / 255.0 - 0.5}, "before any normalisation"),
        ({"x_train": IMAGES.astype(int) * 2}, "must be in"),
        ({"x_train": IMAGES.astype(str)}, "must be numbers"),
        ({"x_train": IMAGES.astype(object)}, "cannot be read"),
        ({"x_train": IMAGES, "x_test": IMAGES[..., :1]}, "must agree"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_the_reason(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        load(save(tmp_path, **arrays))


def test_files_that_are_no_archives_are_refused(tmp_path):
    text, single, cut = (tmp_path / name for name in ("text.npz", "single.npy", "cut.npz"))
    text.write_text("not an archive")
    np.save(single, IMAGES)
    np.savez_compressed(cut, x_train=IMAGES)
    cut.write_bytes(cut.read_bytes()[:-40])
    (tmp_path / "empty.npz").touch()
    for file, message in [
        (text, "not a readable"),
        (single, "single array"),
        (cut, "not a readable"),
        (tmp_path / "empty.npz", "not a readable"),
        (tmp_path, "is not a file"),
    ]:
        with pytest.raises(DataError, match=message):
            load(f"npz:{file}")


def test_labelled_images_without_a_test_part_are_split_as_those_of_a_folder(tmp_path):
    images = np.arange(20, dtype="uint8").repeat(16).reshape(20, 4, 4)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=np.arange(20) % 2)
    lines = []
    data = load_npz(tmp_path / "a.npz", log=lines.append)
    assert (len(data.train_images), len(data.test_images)) == (16, 4)
    np.testing.assert_array_equal(data.test_labels, data.test_images[:, 0, 0, 0] % 2)
    assert lines == ["No test part: 4 of 20 images are held out, the same ones each time."]
