"""Which folders are taken for parts, which for classes, and what is said where neither is sure."""

import os

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines.data import folder as module
from pipelines.data.load import load
from pipelines.data.walk import find_parts


def found(root, files):
    """[(class names, files below the root)] of the parts, and all that was said."""
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    lines = []
    parts = find_parts(root, lines.append)
    names = [[os.path.relpath(path, root) for path in part.paths] for part in parts]
    return [(p.class_names, of) for p, of in zip(parts, names, strict=True)], "\n".join(lines)


def two(folder):
    return [f"{folder}/a/0.jpg", f"{folder}/b/0.jpg"]


@pytest.mark.parametrize(
    "train, test",
    [
        ("train", "test"),
        ("Train", "TEST"),
        ("training", "testing"),
        ("Training_Set", "test-set"),
        ("train_images", "val_images"),
        ("train2017", "val2017"),
        ("trainset", "Validation"),
        ("seg_train", "seg_test"),
        ("data_train", "data_val"),
        ("TrainSplit", "TestSplit"),
        ("train (1)", "Test (1)"),
    ],
)
def test_usual_names_of_parts_are_parts_in_any_case(tmp_path, train, test):
    parts, said = found(tmp_path, two(train) + two(test))
    assert parts == [(("a", "b"), two(train)), (("a", "b"), two(test))]
    assert f"{train} is the training part, {test} the test part" in said


def test_what_is_not_read_other_the_parts_is_said(tmp_path):
    files = two("train") + two("test") + two("val") + ["unlabeled/0.jpg", "docs/a.txt"]
    parts, said = found(tmp_path, files)
    assert [of for _, of in parts] == [two("train"), two("test")]
    assert sorted(said.rpartition("Not read: ")[2].strip(".").split(", ")) == [
        "docs",
        "unlabeled",
        "val",
    ]


def test_an_empty_test_folder_makes_way_for_val(tmp_path):
    (tmp_path / "test" / "a").mkdir(parents=True)
    parts, said = found(tmp_path, two("train") + two("val"))
    assert [of for _, of in parts] == [two("train"), two("val")] and "val the test part" in said


@pytest.mark.parametrize("wrap", ["dataset", "one/two", "images"])
def test_a_folder_that_is_all_there_is_is_looked_into(tmp_path, wrap):
    parts, said = found(tmp_path, two(wrap))
    assert parts == [(("a", "b"), two(wrap))] and f"read from {tmp_path}/{wrap}" in said


def test_parts_are_found_in_a_folder_that_is_all_there_is(tmp_path):
    parts, _ = found(tmp_path, two("x/Train") + two("x/Test"))
    assert [of for _, of in parts] == [two("x/Train"), two("x/Test")]


def test_images_in_one_folder_have_no_labels_whatever_it_is_called(tmp_path):
    parts, said = found(tmp_path, ["images/0.jpg", "images/1.jpg", "labels.csv"])
    assert parts == [((), ["images/0.jpg", "images/1.jpg"])]
    assert f"Not read: {tmp_path}/labels.csv. Labels come from folders" in said


def test_a_part_within_a_folder_of_its_own_name_is_read(tmp_path):
    train, test = two("seg_train/seg_train"), two("seg_test/seg_test")
    parts, said = found(tmp_path, train + test + ["seg_pred/seg_pred/0.jpg"])
    assert parts == [(("a", "b"), train), (("a", "b"), test)] and "Not read: seg_pred" in said


def test_classes_named_after_parts_are_classes_without_a_sibling(tmp_path):
    files = ["blood_test/0.jpg", "steam_train/0.jpg", "trainer/0.jpg"]
    parts, _ = found(tmp_path, files)
    assert parts == [(("blood_test", "steam_train", "trainer"), files)]


@pytest.mark.parametrize("other", ["docs/a.txt", "depth/0.png", "unlabeled/0.jpg"])
def test_images_other_masks_are_read_alone_whatever_else_lies_there(tmp_path, other):
    parts, said = found(tmp_path, ["images/0.jpg", "masks/0.png", other, "cover.png"])
    assert parts == [((), ["images/0.jpg"])]
    assert {"masks", os.path.dirname(other), "cover.png"} == set(
        said.partition("Not read: ")[2].partition(".\n")[0].split(", ")
    )


@pytest.mark.parametrize("other", ["docs/a.txt", "docs/README", "unlabeled/0.jpg"])
def test_a_folder_that_alone_has_images_is_looked_into(tmp_path, other):
    parts, said = found(tmp_path, two("dataset/train") + two("dataset/test") + [other])
    assert [of for _, of in parts] == [two("dataset/train"), two("dataset/test")]
    assert f"read from dataset. Not read: {os.path.dirname(other)}." in said


def test_an_image_is_known_by_its_content_where_its_name_does_not_tell(tmp_path):
    png(tmp_path / "b" / "0")
    parts, _ = found(tmp_path, ["a/x/0.jpg", "a/y/0.jpg"])
    assert parts[0][0] == ("a", "b")


def test_masks_other_images_are_no_class(tmp_path):
    parts, said = found(tmp_path, ["images/0.jpg", "masks/0.png", "labels/0.txt"])
    assert parts == [((), ["images/0.jpg"])] and "Not read: labels, masks" in said
    files = [f"{part}/{kind}/0.png" for part in ("train", "test") for kind in ("Images", "Masks")]
    parts, _ = found(tmp_path / "parts", files)
    assert [of for _, of in parts] == [["train/Images/0.png"], ["test/Images/0.png"]]


def test_a_class_may_be_called_mask(tmp_path):
    parts, _ = found(tmp_path, ["mask/0.jpg", "no_mask/0.jpg"])
    assert parts[0][0] == ("mask", "no_mask")


def test_an_unlabeled_folder_is_no_class_and_is_told_of(tmp_path):
    parts, said = found(tmp_path, two(".") + ["Unlabeled/0.jpg"])
    assert parts[0][0] == ("a", "b") and f"Not read: {tmp_path}/Unlabeled" in said


def test_what_archives_of_macos_add_is_no_class(tmp_path):
    parts, _ = found(tmp_path, ["d/a/0.jpg", "d/b/0.jpg", "__MACOSX/d/a/0.jpg", "d/a/._0.jpg"])
    assert parts == [(("a", "b"), two("d"))]


@pytest.mark.parametrize(
    "files, message",
    [
        (two("test"), "folder test, which would be a test part, but no folder train"),
        (["val/0.jpg", "a/0.jpg"], "no folder train.*another name"),
        (two("train") + two("Training"), "Training and train: each could be the training part"),
        (two("train") + two("Test") + two("testing"), "each could be the test part"),
        (["train/0.jpg", "bus/0.jpg", "car/0.jpg"], "next to bus, car with images. If these are"),
        (two("trainsplit") + two("testsplit"), "testsplit and trainsplit, which could be parts or"),
        (two("a_train") + two("b_train") + two("a_test") + two("b_test"), "each could be the"),
        (two("nut/train") + two("nut/test") + two("bolt/train"), "nut has train and test, but"),
        (two("set/train") + two("set/test") + ["cover.png"], "Give that folder itself"),
        (two("train/train") + two("train/test"), "train has train and test, but lies where"),
        (["images/0.jpg", "photos/0.jpg", "masks/0.png"], "images and photos next to annotations"),
    ],
)
def test_what_is_not_certain_is_refused_with_what_to_do(tmp_path, files, message):
    with pytest.raises(UserError, match=message):
        found(tmp_path, files)


def test_a_folder_that_cannot_be_listed_is_still_there(tmp_path, monkeypatch):
    scan = os.scandir

    def denied(folder):
        if str(folder).endswith("/b"):
            raise PermissionError(13, "Permission denied", folder)
        return scan(folder)

    monkeypatch.setattr(module.os, "scandir", denied)
    files = [*two("."), "c/0.jpg"]
    parts, _ = found(tmp_path, files)
    assert parts[0] == (("a", "c"), ["a/0.jpg", "c/0.jpg"])


def png(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    path.write_bytes(tf.io.encode_png(pixels).numpy())


def read(root, in_memory=True):
    lines = []
    data = load(f"folder:{root}", image_size=8, in_memory=in_memory, log=lines.append)
    return data, "\n".join(lines)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("KERAS_SSL_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_classes_that_only_the_test_part_has_say_why_there_are_no_labels(tmp_path):
    png(tmp_path / "train" / "0.png")
    png(tmp_path / "test" / "a" / "0.png")
    data, said = read(tmp_path)
    assert data.train_labels is None and "train has no class folders, so that there are" in said


@pytest.mark.parametrize("in_memory", [True, False])
def test_an_empty_test_part_is_none_and_images_are_held_out(tmp_path, in_memory):
    for i in range(20):
        png(tmp_path / "train" / "ab"[i % 2] / f"{i}.png", i)
    (tmp_path / "test" / "a").mkdir(parents=True)
    (tmp_path / "test" / "a" / "notes.txt").write_text("no image")
    data, said = read(tmp_path, in_memory)
    assert "test has no usable image: it is no test part" in said and "held out" in said
    assert len(data.test_images) + len(data.train_images) == 20 and data.held_out


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_class_without_a_usable_image_does_not_count(tmp_path, in_memory):
    for i in range(20):
        png(tmp_path / "ac"[i % 2] / f"{i}.png", i)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "0.tif").write_bytes(b"II*\0 and so on")
    data, said = read(tmp_path, in_memory)
    assert data.class_names == ("a", "c") and set(data.train_labels) == {0, 1}
    assert "no usable image in b: 2 classes remain" in said


def test_odd_names_are_read_and_can_be_printed(tmp_path):
    names = ["a b", "ünï", "-dash", "100%", "st*r", "[br]", "new\nline", "emo😀ji", "quo'te\""]
    names.append(os.fsdecode(b"bad\xff\xfe"))
    for i, name in enumerate(names):
        png(tmp_path / name / f"{name} (1).PNG", i)
    (tmp_path / "st*r" / ".DS_Store").touch()
    for in_memory in (True, False):
        data, _ = read(tmp_path, in_memory)
        assert len(data.class_names) == len(names) and data.skipped == ()
        assert all(name.encode("utf-8") for name in data.class_names)


def test_classes_of_no_one_and_two_images_stand_other_a_large_one(tmp_path):
    for name, count in (("none", 0), ("one", 1), ("two", 2), ("many", 60)):
        (tmp_path / name).mkdir()
        for i in range(count):
            png(tmp_path / name / f"{i}.png", i)
    data, _ = read(tmp_path)
    assert data.class_names == ("many", "one", "two")
    assert set(data.train_labels) == {0, 1, 2} and 1 not in data.test_labels
