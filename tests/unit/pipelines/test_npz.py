import numpy as np
import pytest

from keras_ssl.core.errors import UserError
from pipelines.data.load import load
from pipelines.data.npz import check_images, load_npz

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


def test_a_validation_part_comes_first_and_is_not_pretrained_on(tmp_path):
    four = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:2], "y_test": LABELS[:2]}
    own = {"x_val": 255 - IMAGES[:3], "y_val": LABELS[:3]}
    data = load(save(tmp_path, **four, **own))
    np.testing.assert_array_equal(data.validation_rows, [0, 1, 2])
    np.testing.assert_array_equal(data.train_images, np.concatenate([own["x_val"], IMAGES]))
    np.testing.assert_array_equal(data.train_labels, [0, 1, 2, *LABELS])
    np.testing.assert_array_equal(data.pretraining_images, IMAGES)
    assert load(save(tmp_path, **four, x_val=own["x_val"])).validation_rows is None
    with pytest.raises(UserError, match="validation images are"):
        load(save(tmp_path, **four, y_val=LABELS[:3], x_val=IMAGES[:3, :4]))


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
        ({"x_train": IMAGES / 255.0 - 0.5}, "before any normalization"),
        ({"x_train": IMAGES.astype(int) * 2}, "must be in"),
        ({"x_train": IMAGES.astype(str)}, "must be numbers"),
        ({"x_train": IMAGES.astype(object)}, "cannot be read"),
        ({"x_train": IMAGES, "x_test": IMAGES[..., :1]}, "must agree"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_the_reason(tmp_path, arrays, message):
    with pytest.raises(UserError, match=message):
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
        with pytest.raises(UserError, match=message):
            load(f"npz:{file}")


def test_labeled_images_without_a_test_part_are_held_out_by_their_pixels(tmp_path):
    images = np.arange(2, 62, dtype="uint8").repeat(16).reshape(60, 4, 4)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=np.arange(60) % 2)
    np.savez(tmp_path / "b.npz", x_train=images[1:], y_train=np.arange(1, 60) % 2)
    lines = []
    data = load_npz(tmp_path / "a.npz", log=lines.append)
    test = data.test_images[:, 0, 0, 0]
    assert len(data.train_images) + len(test) == 60 and f"{len(test)} of 60 images" in lines[0]
    np.testing.assert_array_equal(data.test_labels, test % 2)
    fewer = load_npz(tmp_path / "b.npz", log=lines.append)
    np.testing.assert_array_equal(fewer.test_images[:, 0, 0, 0], test[test != 2])


FLOATS = IMAGES.astype(np.float64)


def one_value(value):
    images = FLOATS / 255
    images[2, 3, 4, 1] = value
    return images


@pytest.mark.parametrize(
    "images, expected, line",
    [
        (FLOATS / 255, IMAGES, "read as [0, 1]"),
        (one_value(1.0000001), np.rint(255 * one_value(1)), "1.0000001 are read as [0, 1]"),
        (one_value(-0.02), np.rint(255 * one_value(0)), "read as [0, 1]"),
        (FLOATS + (IMAGES == 255) * 2.5, IMAGES, "257.5 are read as [0, 255]"),
        (np.concatenate([np.tile(FLOATS, (9, 1, 1, 1)), 0 * FLOATS]), None, "read as [0, 255]"),
        ((IMAGES > 99).astype(np.int64), (IMAGES > 99) * 255, "read as [0, 1]"),
        ((IMAGES > 99).astype(np.uint8), (IMAGES > 99) * 255, "read as [0, 1]"),
        (IMAGES > 99, (IMAGES > 99) * 255, None),
        (IMAGES.astype(np.uint16), IMAGES, None),
    ],
)
def test_the_scale_is_that_of_all_images_and_is_said(images, expected, line):
    lines = []
    found = check_images(images, "x_train", lines.append)
    np.testing.assert_array_equal(found, images if expected is None else expected)
    assert line is None and not lines or line in lines[0]


def one_image_in_bytes():
    images = FLOATS / 255
    images[4] *= 255
    return images


@pytest.mark.parametrize(
    "images, message",
    [
        (FLOATS / 255 / 1000, "from 0 to 0.001.*not certain whether white is"),
        (FLOATS / 255 * 4095 / 65535, "not certain"),
        (FLOATS / 255 * 10, "from 0 to 10.*not certain"),
        (one_value(1.5), "1 of 6 images exceed 1.*not certain"),
        (one_image_in_bytes(), "1 of 6 images exceed 1.*mend the images that differ"),
        (FLOATS / 127.5 - 1, "before any normalization"),
        (IMAGES.astype(np.uint16) * 257, r"to 65535 \(uint16\).*white \* 255"),
        (np.zeros((2, 4, 4, 4), np.uint8), r"opacity: leave it out, as images\[..., :3\]"),
        (np.zeros((2, 4, 4, 5), np.uint8), "Choose one or three"),
    ],
)
def test_images_of_another_scale_or_depth_are_refused_with_what_to_do(images, message):
    with pytest.raises(UserError, match=message):
        check_images(images, "x_train")


def test_labels_with_gaps_become_classes_that_bear_them_as_names(tmp_path):
    lines = []
    save(tmp_path, x_train=IMAGES, y_train=LABELS * 500_000_000, x_test=IMAGES, y_test=LABELS * 0)
    data = load_npz(tmp_path / "data.npz", log=lines.append)
    assert data.class_names == ("0", "500000000", "1000000000") and data.num_classes == 3
    np.testing.assert_array_equal(data.train_labels, LABELS)
    assert "3 labels from 0 to 1000000000 become the classes 0 to 2" in lines[0]


def test_labels_with_gaps_stay_where_every_one_has_a_name(tmp_path):
    names = np.array(["a", "b", "c", "d", "e"])
    data = load(save(tmp_path, x_train=IMAGES, y_train=LABELS * 2, names=names))
    assert data.num_classes == 5 and set(data.train_labels) <= {0, 2, 4}


def test_test_images_of_classes_that_training_lacks_are_told_of(tmp_path):
    lines = []
    save(tmp_path, x_train=IMAGES, y_train=LABELS % 2, x_test=IMAGES, y_test=LABELS)
    data = load_npz(tmp_path / "data.npz", log=lines.append)
    assert data.num_classes == 3 and "2 test images are of classes without training" in lines[0]


@pytest.mark.parametrize("write, stay", [(np.savez, True), (np.savez_compressed, False)])
@pytest.mark.parametrize("images", [IMAGES, np.asfortranarray(IMAGES), IMAGES[..., 0]])
def test_arrays_that_are_not_compressed_stay_in_the_file_on_request(tmp_path, write, stay, images):
    write(tmp_path / "a.npz", y_train=LABELS, x_train=images)
    found = {wish: load(f"npz:{tmp_path}/a.npz", in_memory=wish) for wish in (False, None)}
    np.testing.assert_array_equal(found[False].evaluation_images, found[None].evaluation_images)
    write(tmp_path / "b.npz", x_train=images)
    whole = load(f"npz:{tmp_path}/b.npz", in_memory=False).train_images
    assert isinstance(whole, np.memmap) == stay
    np.testing.assert_array_equal(whole, images.reshape(6, 8, 8, -1))
