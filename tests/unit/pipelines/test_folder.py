import functools
import inspect
import os
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines import files
from pipelines.data import folder_index as index
from pipelines.data.encoded import EncodedImages
from pipelines.data.load import load
from pipelines.data.walk import find_parts


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("KERAS_SSL_CACHE", str(folder))
    return folder


def image(seed=0, height=12, width=10):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def write(path, pixels=None, encode=tf.io.encode_png):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(image() if pixels is None else pixels).numpy())


def read(path, **settings):
    lines = []
    return load(f"folder:{path}", log=lines.append, **settings), "\n".join(lines)


@pytest.fixture
def classes(tmp_path):
    for name in ("cat", "dog"):
        for i in range(5):
            write(tmp_path / name / f"{i}.png", image(i))
    return tmp_path


def test_subfolders_are_classes_and_some_images_are_held_out(classes):
    data, log = read(classes, image_size=8)
    assert data.class_names == ("cat", "dog")
    assert len(data.train_images) + len(data.test_images) == 10 and "held out" in log
    for labels in (data.train_labels, data.test_labels):
        assert set(labels) == {0, 1}


@pytest.mark.parametrize("in_memory", [True, False])
def test_files_that_come_and_go_move_no_other_one_between_the_parts(tmp_path, in_memory):
    for i in range(20):
        write(tmp_path / "ab"[i % 2] / f"{i}.png", image(i))

    def parts():
        data, _ = read(tmp_path, image_size=8, in_memory=in_memory)
        return [{i.tobytes() for i in of[:]} for of in (data.train_images, data.test_images)]

    train, test = parts()
    for name in ("a/0.png", "b/3.png"):
        (tmp_path / name).unlink()
    write(tmp_path / "a" / "00.png", image(100))
    new_train, new_test = parts()
    assert test and not new_test & train and not new_train & test


def test_files_alone_have_no_labels(tmp_path):
    for i in range(3):
        write(tmp_path / f"{i}.png")
    data, _ = read(tmp_path)
    assert data.train_labels is data.test_images is None and len(data.train_images) == 3


@pytest.mark.parametrize("test_name", ["test", "val"])
def test_train_and_test_folders_are_the_parts(tmp_path, test_name):
    for part, count in (("train", 3), (test_name, 2)):
        for name in ("a", "b"):
            for i in range(count):
                write(tmp_path / part / name / f"{i}.png")
    data, _ = read(tmp_path, image_size=8)
    np.testing.assert_array_equal(data.train_labels, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(data.test_labels, [0, 0, 1, 1])


def test_a_class_that_only_the_test_part_has_is_refused(tmp_path):
    for path in ("train/a/0.png", "train/c/0.png", "test/b/0.png"):
        write(tmp_path / path)
    with pytest.raises(UserError, match="lacks: b"):
        read(tmp_path)


def test_the_formats_give_the_middle_square(tmp_path):
    pixels = image(height=8, width=12)
    write(tmp_path / "a.png", pixels)
    write(tmp_path / "b.jpg", pixels, lambda x: tf.io.encode_jpeg(x, quality=100))
    (tmp_path / "c.bmp").write_bytes(bitmap(pixels))
    write(tmp_path / "gray.png", pixels[..., :1])
    data, _ = read(tmp_path, image_size=8)
    png, jpeg, bmp, gray = data.train_images.astype(int)
    np.testing.assert_array_equal(png, pixels[:, 2:10])
    np.testing.assert_array_equal(bmp, png)
    assert np.corrcoef(jpeg.ravel(), png.ravel())[0, 1] > 0.5  # noise suffers from JPEG
    np.testing.assert_array_equal(gray, np.repeat(png[..., :1], 3, axis=-1))


def bitmap(pixels):
    """24-bit BMP: header, then rows from the bottom, blue first; widths of a multiple of four."""
    height, width, _ = pixels.shape
    body = pixels[::-1, :, ::-1].tobytes()
    numbers = (40, width, height, 1 | 24 << 16, 0, len(body), 0, 0, 0, 0)
    info = b"".join(number.to_bytes(4, "little") for number in numbers)
    sizes = b"".join(number.to_bytes(4, "little") for number in (54 + len(body), 0, 54))
    return b"BM" + sizes + info + body


GIF = bytes.fromhex(
    "47494638396101000100800000ff000000000021f90400000000002c00000000010001000002024401003b"
)


def test_a_gif_of_one_pixel_fills_the_square(tmp_path):
    (tmp_path / "dot.gif").write_bytes(GIF)
    data, log = read(tmp_path)
    assert data.train_images.shape == (1, 32, 32, 3) and "32 x 32" in log
    assert data.train_images[0, 5, 5].tolist() == [255, 0, 0]


def test_unusable_files_are_passed_over_counted_and_named(classes):
    good = (classes / "cat" / "0.png").read_bytes()
    (classes / "cat" / "empty.png").touch()
    (classes / "cat" / "cut.png").write_bytes(good[: len(good) // 2])
    (classes / "cat" / "notes with spaces ü.txt").write_text("no image")
    (classes / "dog" / "no_header.png").write_bytes(good[:12])
    (classes / "dog" / "png_named.jpg").write_bytes(good)
    (classes / "loose.png").write_bytes(good)
    (classes / "dog" / "gone.png").symlink_to(classes / "nowhere")
    os.mkfifo(classes / "dog" / "pipe.png")
    data, log = read(classes, image_size=8)
    assert len(data.train_images) + len(data.test_images) == 11
    assert len(data.skipped) == 7 and "skipped 7 of 18 files" in log
    reasons = dict(data.skipped)
    assert reasons[os.path.join("cat", "empty.png")] == "empty file"
    assert reasons[os.path.join("cat", "cut.png")] == "truncated image"
    assert "not a JPEG" in reasons[os.path.join("cat", "notes with spaces ü.txt")]
    assert reasons["loose.png"] == "outside of the class folders"


def test_a_header_that_claims_too_much_is_refused_before_decoding(tmp_path):
    write(tmp_path / "good.png")
    bomb = bytearray((tmp_path / "good.png").read_bytes())
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    (tmp_path / "bomb.png").write_bytes(bomb)
    data, _ = read(tmp_path)
    assert len(data.train_images) == 1 and "60000 x 60000" in data.skipped[0][1]


def test_a_very_long_strip_is_no_trouble(tmp_path):
    write(tmp_path / "strip.png", np.zeros((10, 30_000, 3), np.uint8))
    assert read(tmp_path, image_size=8)[0].train_images.shape == (1, 8, 8, 3)


def test_loops_of_links_end_and_linked_classes_are_read_once(classes, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere / "0.png")
    (classes / "cat" / "loop").symlink_to(classes)
    (classes / "emu").symlink_to(elsewhere)
    (classes / "fox").symlink_to(elsewhere)
    data, _ = read(classes, image_size=8)
    assert data.class_names == ("cat", "dog", "emu")


def test_the_size_follows_the_median_unless_given(tmp_path):
    for i, side in enumerate((40, 70, 70)):
        write(tmp_path / f"{i}.png", image(height=side, width=90))
    data, log = read(tmp_path)
    assert data.image_size == 64 and "64 x 64" in log and "70" in log


def test_folders_without_a_usable_image_are_refused(tmp_path):
    with pytest.raises(UserError, match="no files"):
        read(tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"no usable image.*notes.txt"):
        read(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        read(tmp_path / "notes.txt")


def test_too_many_images_for_the_memory_are_refused(classes):
    with pytest.raises(UserError, match="GiB"):
        read(classes, image_size=20_000, in_memory=True)


def test_encoded_images_have_the_same_squares_parts_and_labels(classes):
    write(classes / "cat" / "wide.png", image(9, 8, 20))
    arrays, _ = read(classes, image_size=8, in_memory=True)
    encoded, log = read(classes, image_size=8, in_memory=False)
    assert isinstance(encoded.train_images, EncodedImages) and "held out" in log
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        np.testing.assert_array_equal(getattr(encoded, name)[:], getattr(arrays, name))


def test_large_images_stay_encoded_unless_told_otherwise(classes):
    for in_memory, kind in ((None, EncodedImages), (True, np.ndarray)):
        data, _ = read(classes, image_size=128, in_memory=in_memory)
        assert isinstance(data.train_images, kind)


def files_checked(path, monkeypatch):
    """How many files are decoded to see whether they can be."""
    opened = []
    check = index.check_file
    with monkeypatch.context() as patch:
        patch.setattr(index, "check_file", lambda file: opened.append(file) or check(file))
        read(path, image_size=8, in_memory=False)
    return len(opened)


def test_a_file_is_checked_once_and_again_when_it_is_new_or_has_another_name(classes, monkeypatch):
    assert files_checked(classes, monkeypatch) == 10
    assert files_checked(classes, monkeypatch) == 0
    write(classes / "cat" / "new.png")
    assert files_checked(classes, monkeypatch) == 1
    (classes / "dog" / "0.png").unlink()
    assert files_checked(classes, monkeypatch) == 0
    (classes / "dog" / "1.png").rename(classes / "dog" / "one.png")
    assert files_checked(classes, monkeypatch) == 1
    assert files_checked(classes, monkeypatch) == 0


def test_an_unusable_file_mended_in_place_is_noticed(classes, monkeypatch):
    (classes / "cat" / "0.png").write_bytes(b"")
    assert files_checked(classes, monkeypatch) == 10
    assert files_checked(classes, monkeypatch) == 0
    write(classes / "cat" / "0.png")
    assert files_checked(classes, monkeypatch) == 1
    assert read(classes, image_size=8, in_memory=False)[0].skipped == ()


def test_a_kept_index_gives_the_same_data(classes):
    (classes / "dog" / "bad.png").write_bytes(b"")
    first, second = (read(classes, image_size=8, in_memory=False)[0] for _ in range(2))
    assert first.skipped == second.skipped == ((os.path.join("dog", "bad.png"), "empty file"),)
    np.testing.assert_array_equal(first.train_images[:], second.train_images[:])


@pytest.mark.parametrize("damage", [lambda c: b"", lambda c: b"PK", lambda c: c[: len(c) // 2]])
def test_a_damaged_index_is_made_anew(classes, own_cache, monkeypatch, damage):
    files_checked(classes, monkeypatch)
    (kept,) = own_cache.rglob("*.npz")
    kept.write_bytes(damage(kept.read_bytes()))
    assert files_checked(classes, monkeypatch) == 10
    assert files_checked(classes, monkeypatch) == 0


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_long_reading_is_shown_in_the_same_words_either_way(classes, monkeypatch, in_memory):
    monkeypatch.setattr(files, "_LOGGED", {"delay": 1e-9, "mininterval": 0.0})
    _, log = read(classes, image_size=8, in_memory=in_memory)
    what = "Reading" if in_memory else "Checking"
    assert f"Listing {classes}: 1 files" in log and f"{what} {classes}: 1 of 10 files" in log


def test_a_test_part_without_the_class_folders_of_the_training_part_is_refused(tmp_path):
    for path in ("train/a/0.png", "train/b/0.png", "test/0.png"):
        write(tmp_path / path)
    with pytest.raises(UserError, match="test part has no class folders"):
        read(tmp_path)


def test_files_and_folders_of_a_class_come_in_the_order_of_their_names(tmp_path):
    for name in ("c/b.png", "c/b/1.png", "c/a.png", "c/b-1.png", "c/bb.png", "d/0.png"):
        write(tmp_path / name)
    (part,) = find_parts(tmp_path)
    found = [os.path.relpath(path, tmp_path) for path in part.paths]
    assert found == ["c/a.png", "c/b/1.png", "c/b-1.png", "c/b.png", "c/bb.png", "d/0.png"]
    assert part.labels.tolist() == [0, 0, 0, 0, 0, 1] and part.class_names == ("c", "d")


def test_folders_may_lie_deeper_than_functions_may_call_each_other(tmp_path, request):
    deep = tmp_path.joinpath(*100 * ["a"])
    write(deep / "0.png")
    request.addfinalizer(functools.partial(sys.setrecursionlimit, sys.getrecursionlimit()))
    sys.setrecursionlimit(len(inspect.stack()) + 60)
    (part,) = find_parts(str(tmp_path))
    assert list(part.paths) == [str(deep / "0.png")] and part.class_names == ()
