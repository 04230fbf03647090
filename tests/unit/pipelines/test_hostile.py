"""Folders as they are found: every one is read or refused in words, decoded now or later."""

import os

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines.data.encoded import EncodedImages
from pipelines.data.load import load

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 10, 3)).astype(np.uint8)
PNG = tf.io.encode_png(PIXELS).numpy()
JPEG = tf.io.encode_jpeg(PIXELS, quality=95).numpy()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("KERAS_SSL_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(params=[True, False], ids=["in_memory", "encoded"])
def read(request, tmp_path):
    """Write files by name into a folder, and read it."""

    def read(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        data = load(
            f"folder:{tmp_path}", image_size=8, in_memory=request.param, log=lambda line: None
        )
        assert isinstance(data.train_images, np.ndarray if request.param else EncodedImages)
        return data

    return read


def stating(width, height):
    sides = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return PNG[:16] + sides + PNG[24:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (PNG[:20], "truncated image"),
        (PNG[: len(PNG) // 2], "truncated image"),
        (JPEG[: len(JPEG) // 2], "truncated image"),
        (b"no image at all", "not a JPEG, PNG"),
        (stating(100_000, 100_000), "100000 x 100000"),
        (stating(0, 10), "no pixels"),
    ],
)
def test_a_file_that_is_no_usable_image_is_passed_over_and_named(read, content, reason):
    data = read({"good.png": PNG, "bad.png": content})
    assert len(data.train_images[:]) == 1
    ((name, why),) = data.skipped
    assert name == "bad.png" and reason in why


@pytest.mark.parametrize("name", ["with spaces.png", "äöü/ж漢.png", "png.jpg", "none"])
def test_names_do_not_matter(read, name):
    data = read({name: PNG})
    np.testing.assert_array_equal(data.train_images[:], read({"same.png": PNG}).train_images[:1])


def test_a_single_pixel_and_a_long_strip_fill_their_squares(read):
    dot, strip = np.full((1, 1, 3), 7, np.uint8), np.full((10, 30_000, 3), 9, np.uint8)
    data = read(
        {"dot.png": tf.io.encode_png(dot).numpy(), "strip.jpg": tf.io.encode_jpeg(strip).numpy()}
    )
    first, second = data.train_images[:]
    assert (first == 7).all() and (second == 9).all()


def test_a_loop_of_links_ends(read, tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "again").symlink_to(tmp_path)
    (tmp_path / "cat" / "self.png").symlink_to(tmp_path / "cat" / "self.png")
    data = read({"cat/0.png": PNG, "dog/0.png": PNG})
    assert data.class_names == ("cat", "dog") and len(data.skipped) == 1


def lock(monkeypatch):
    """Refuse whatever has "locked" in its name, to root as well."""

    def refuse(real):
        def call(path, *arguments, **settings):
            if not isinstance(path, int) and "locked" in os.fspath(path):
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return real(path, *arguments, **settings)

        return call

    monkeypatch.setattr("builtins.open", refuse(open))
    monkeypatch.setattr("os.scandir", refuse(os.scandir))


def test_a_folder_that_may_not_be_listed_is_refused(tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    lock(monkeypatch)
    with pytest.raises(UserError, match="locked cannot be listed: Permission denied"):
        load(f"folder:{tmp_path / 'locked'}")


def test_what_may_not_be_read_is_passed_over(read, tmp_path, monkeypatch):
    files = {"cat/0.png": PNG, "cat/locked.png": PNG, "cat/locked_folder/1.png": PNG}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    lock(monkeypatch)
    data = read({})
    assert len(data.train_images) == 1
    names = {os.path.join("cat", "locked.png"), os.path.join("cat", "locked_folder")}
    assert dict(data.skipped) == dict.fromkeys(names, "Permission denied")


def test_a_folder_without_images_is_refused(read):
    with pytest.raises(UserError, match="no usable image"):
        read({"notes.txt": b"no image"})


def test_one_class_alone_gives_no_labels(read):
    data = read({f"cat/{i}.png": PNG for i in range(5)})
    assert data.class_names is data.train_labels is data.test_images is None
    assert len(data.train_images) == 5


def test_the_only_image_of_a_class_is_not_held_out(read):
    data = read({f"cat/{i}.png": PNG for i in range(5)} | {"dog/0.png": JPEG})
    assert 1 in data.train_labels and 1 not in data.test_labels


@pytest.mark.parametrize("image", [PNG, JPEG], ids=["png", "jpeg"])
def test_damage_in_the_middle_is_found_by_decoding_and_named(image, tmp_path):
    middle = image.index(b"IDAT") + 20 if image is PNG else image.index(b"\xff\xc4") + 4
    (tmp_path / "good.png").write_bytes(PNG)
    (tmp_path / "hurt ü").write_bytes(image[:middle] + b"\xff" * 40 + image[middle + 40 :])
    for in_memory in (True, False):
        settings = {"image_size": 8, "log": lambda line: None, "in_memory": in_memory}
        data = load(f"folder:{tmp_path}", **settings)
        ((name, reason),) = data.skipped
        assert name == "hurt ü" and reason.split()[-1] in ("form", "image")
        assert len(data.train_images[:]) == 1
