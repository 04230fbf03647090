import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf

from pipelines.data.fingerprint import changes, fingerprint
from pipelines.data.image_data import ImageData
from pipelines.data.load import load

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1)).astype(np.uint8)
LABELS = np.array([0, 1, 0, 1, 0, 1])
DATA = ImageData("npz:a.npz", IMAGES[:4], LABELS[:4], IMAGES[4:], LABELS[4:])


def changed(**parts):
    return changes(fingerprint(DATA), fingerprint(dataclasses.replace(DATA, **parts)))


def test_the_same_arrays_have_not_changed():
    assert changed(train_images=IMAGES[:4].copy()) == ""


@pytest.mark.parametrize(
    "parts, words",
    [
        ({"train_images": IMAGES[:3], "train_labels": LABELS[:3]}, "of 6 images 1 gone"),
        ({"train_images": np.concatenate([IMAGES[:3], 255 - IMAGES[3:4]])}, "1 gone, 1 new"),
        ({"test_images": np.concatenate([IMAGES[4:], IMAGES[4:]])}, "of 6 images 2 new"),
        ({"train_images": IMAGES[3::-1]}, "the order of the images"),
        ({"train_labels": LABELS[1:5]}, "the labels"),
    ],
)
def test_what_changed_in_arrays_is_counted(parts, words):
    assert words in changed(**parts)


@pytest.fixture(params=[True, False], ids=["in_memory", "encoded"])
def folder(request, tmp_path, monkeypatch):
    """Path of eight images in two classes, and a function that gives the folder's fingerprint."""
    monkeypatch.setenv("KERAS_SSL_CACHE", str(tmp_path / "cache"))
    settings = {"image_size": 8, "in_memory": request.param, "log": lambda line: None}
    for i in range(8):
        write(tmp_path / "set" / "ab"[i % 2] / f"{i}.png", i)
    return tmp_path / "set", lambda: fingerprint(load(f"folder:{tmp_path}/set", **settings))


def write(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    path.write_bytes(tf.io.encode_png(pixels).numpy())


def test_files_that_came_went_or_changed_are_named(folder):
    root, now = folder
    before = now()
    assert changes(before, now()) == ""
    (root / "a" / "0.png").unlink()
    write(root / "a" / "new.png", 20)
    size = (root / "b" / "1.png").stat().st_size
    write(root / "b" / "1.png", 21)
    assert (root / "b" / "1.png").stat().st_size == size  # as field reports have it
    said = changes(before, now())
    for words in (f"1 gone ({root}/a/0.png)", f"1 new ({root}/a/new.png)", "1 changed"):
        assert words in said
    assert said.startswith("of 8 images") and os.path.join("b", "1.png") in said


def test_a_folder_renamed_changes_every_file_of_it(folder):
    root, now = folder
    before = now()
    (root / "b").rename(root / "c")
    said = changes(before, now())
    assert "4 gone" in said and "4 new" in said and ", ...)" in said
