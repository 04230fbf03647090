import io
import json
import os
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines import convert as module
from pipelines.convert import convert, main
from pipelines.data.load import load
from pipelines.data.records import index_records


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SSL_CACHE", str(tmp_path / "cache"))


def silent(line):
    pass


@pytest.fixture
def npz(tmp_path):
    """Five gray training and three test images of 6 x 6 pixels in an .npz file; the arrays."""
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (5, 6, 6, 1)).astype(np.uint8),
        "y_train": np.array([0, 1, 2, 1, 0]),
        "x_test": rng.integers(0, 256, (3, 6, 6, 1)).astype(np.uint8),
        "y_test": np.array([2, 1, 0]),
        "names": np.array(["a", "b", "c d"]),
    }
    np.savez(tmp_path / "some.npz", **arrays)
    return arrays


def test_arrays_come_back_as_they_were(npz, tmp_path):
    convert(f"npz:{tmp_path}/some.npz", tmp_path / "out", shards=2, log=silent)
    assert sorted(os.listdir(tmp_path / "out")) == [
        "classes.txt",
        "info.json",
        "test-00000-of-00001.tfrecord",
        "train-00000-of-00002.tfrecord",
        "train-00001-of-00002.tfrecord",
    ]
    data = load(f"tfrecord:{tmp_path}/out", log=silent)
    for name, wanted in list(npz.items())[:4]:
        part = {"x": "images", "y": "labels"}[name[0]]
        np.testing.assert_array_equal(getattr(data, f"{name[2:]}_{part}"), wanted)
    assert data.class_names == ("a", "b", "c d")
    info = json.loads((tmp_path / "out" / "info.json").read_text())
    assert info["images"] == {"train": 5, "test": 3} and info["shards"] == {"train": 2, "test": 1}


def test_a_validation_part_comes_back_as_one(npz, tmp_path):
    own = {"x_val": npz["x_test"], "y_val": npz["y_test"]}
    np.savez(tmp_path / "some.npz", **npz, **own)
    convert(f"npz:{tmp_path}/some.npz", tmp_path / "out", shards=2, log=silent)
    info = json.loads((tmp_path / "out" / "info.json").read_text())
    assert info["images"] == {"validation": 3, "train": 5, "test": 3}
    data = load(f"tfrecord:{tmp_path}/out", log=silent)
    np.testing.assert_array_equal(data.train_images[data.validation_rows], own["x_val"])
    np.testing.assert_array_equal(data.train_labels[data.validation_rows], own["y_val"])
    np.testing.assert_array_equal(data.pretraining_images, npz["x_train"])


@pytest.fixture
def folder(tmp_path):
    """A folder of five training JPEG images of two classes and a test image; all their bytes."""
    contents = []
    for number in range(6):
        part = "train" if number < 5 else "test"
        path = tmp_path / "images" / part / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (9 + number, 12, 3))
        contents.append(tf.io.encode_jpeg(pixels.astype(np.uint8)).numpy())
        path.write_bytes(contents[-1])
    return contents


def test_files_of_a_folder_are_copied_byte_by_byte(folder, tmp_path):
    lines = []
    convert(f"folder:{tmp_path}/images", tmp_path / "out", shard_size=2, log=lines.append)
    assert not any("resized" in line for line in lines)
    data = load(f"tfrecord:{tmp_path}/out", in_memory=False, log=silent)
    assert len(list((tmp_path / "out").glob("train-*-of-00003.tfrecord"))) == 3
    store, places = data.train_images.store, data.train_images.places
    read = [store.read(tf.constant(place)).numpy() for place in places]
    assert read == folder[:5:2] + folder[1:5:2]
    np.testing.assert_array_equal(data.train_labels, [0, 0, 0, 1, 1])
    assert data.class_names == ("a", "b")


def test_an_image_size_gives_squares_of_that_side(folder, tmp_path):
    convert(f"folder:{tmp_path}/images", tmp_path / "out", image_size=7, log=silent)
    data = load(f"tfrecord:{tmp_path}/out", log=silent)
    squares = load(f"folder:{tmp_path}/images", in_memory=False, image_size=7, log=silent)
    np.testing.assert_array_equal(data.train_images, squares.train_images[:])


def test_images_without_labels_become_a_part_of_their_own(npz, tmp_path, monkeypatch):
    import dataclasses

    import pipelines.data.load

    data = load(f"npz:{tmp_path}/some.npz")
    both = np.concatenate([data.train_images, data.test_images])
    data = dataclasses.replace(data, with_unlabeled=both)
    monkeypatch.setattr(pipelines.data.load, "load", lambda *args, **settings: data)
    convert("any", tmp_path / "out", log=silent)
    monkeypatch.undo()
    monkeypatch.setenv("KERAS_SSL_CACHE", str(tmp_path / "cache"))
    again = load(f"tfrecord:{tmp_path}/out", log=silent)
    np.testing.assert_array_equal(again.pretraining_images, both)
    assert len(again.train_images) == 5


def test_nothing_is_overwritten(npz, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="out exists already"):
        convert(f"npz:{tmp_path}/some.npz", tmp_path / "out")
    assert not os.listdir(tmp_path / "out")


@pytest.mark.parametrize(
    "error, reason",
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (tf.errors.ResourceExhaustedError(None, None, "x; No space left\nmore"), "No space left$"),
    ],
)
def test_a_full_disk_ends_in_a_line_and_leaves_nothing(npz, tmp_path, monkeypatch, error, reason):
    class Full(tf.io.TFRecordWriter):
        def write(self, record):
            raise error

    monkeypatch.setattr(tf.io, "TFRecordWriter", Full)
    with pytest.raises(UserError, match=f"out could not be written, nothing is kept: .*{reason}"):
        convert(f"npz:{tmp_path}/some.npz", tmp_path / "out")
    assert os.listdir(tmp_path) == ["some.npz"]


def test_what_a_killed_conversion_leaves_is_under_another_name(npz, tmp_path, monkeypatch):
    def kill(*arguments):
        names = os.listdir(tmp_path)
        assert "out" not in names and any(name.startswith(".writing-") for name in names)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_write_notes", kill)
    with pytest.raises(KeyboardInterrupt):
        convert(f"npz:{tmp_path}/some.npz", tmp_path / "out")
    assert os.listdir(tmp_path) == ["some.npz"]


def test_the_command_line_converts_and_ends_mistakes_with_status_two(npz, tmp_path, capsys):
    main([f"npz:{tmp_path}/some.npz", f"{tmp_path}/out", "--shards=5"])
    assert "5 train, 3 test" in capsys.readouterr().out
    shards = sorted((tmp_path / "out").glob("train*"))
    assert [len(index_records([shard]).columns["label"]) for shard in shards] == [1] * 5
    for arguments in (["npz:/no.npz", "x"], ["digts", "x"], ["digits", "x", "--shards=0"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2 and capsys.readouterr().err.count("\n") < 6


def test_a_name_that_the_terminal_cannot_print_ends_nothing(npz, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    main([f"npz:{tmp_path}/some.npz", f"{tmp_path}/\u00e4"])
    sys.stdout.flush()
    assert b"/?: 5 train, 3 test" in sys.stdout.buffer.getvalue()
