"""What is said of an image file before it is decoded."""

import base64

import numpy as np
import pytest
import tensorflow as tf

from pipelines.data.load import load
from pipelines.images.decoding import check_file, read_file, square_of
from pipelines.images.headers import MAX_BYTES, Unusable, read_header

# `gradient()` in the colors YCCK, by Pillow, in base64: a CMYK JPEG of the levels of the inverted
# image in YCbCr, with no black, in which the Adobe mark then says that they are that.
YCCK = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAC/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcG"
    "BggLCAkKCgoKCgYICwwLCgwJCgoK/8AAFAgADAAKBEMRAE0RAFkRAEsRAP/EABgAAQEBAQEAAAAAAAAAAAAAAAgJ"
    "AAMH/8QALhAAAAIFCgUFAAAAAAAAAAAAAAEEBgcIJAIDBRElQUJDUWEUFSFS0RITMzRx/9oADgRDAE0AWQBLAAA/"
    "AEo298z5qqV16+sDV0VyXojWR25Y6P7O2/dgO7CL+A9pL5cniJy1sZ49w3UFySCmbIypODYTdpJ220UiAz5eHcxg"
    "VW3NSXI/erpLW4/I9ndFZQpVaNZml5eBfp/ZRVbjYLuvLwMD2ktTXIkmcLmOM7j1/Q3UBk6k8DMWZkyby0LYTdpJ"
    "RVb5ikQWfLvLU9hh/9k="
)


def gradient():
    y, x = np.mgrid[0:12, 0:10]
    pixels = np.stack([x * 25, y * 21, 255 - x * 12 - y * 10], axis=-1)
    return pixels.clip(0, 255).astype(np.uint8)


def test_a_ycck_jpeg_has_its_colors():
    wrong = np.abs(square_of(read_header(YCCK), YCCK, 10).astype(int) - gradient()[1:11])
    assert wrong.max() <= 12 and wrong.mean() <= 4  # of the quality 95; inverted inks give 100


def test_a_cmyk_jpeg_that_does_not_say_how_its_inks_are_stored_is_refused_by_name():
    start = YCCK.index(b"\xff\xee")
    plain = YCCK[:start] + YCCK[start + 16 :]
    with pytest.raises(Unusable, match="CMYK JPEG without an Adobe mark"):
        read_header(plain)


def images():
    """The same picture in the formats that TensorFlow writes, and in the one above."""
    pixels = gradient()
    yield tf.io.encode_png(pixels).numpy()
    yield tf.io.encode_jpeg(pixels, quality=95).numpy()
    yield tf.io.encode_jpeg(pixels, quality=95, progressive=True).numpy()
    yield tf.io.encode_png(pixels.astype(np.uint16) * 257).numpy()
    yield YCCK


@pytest.mark.parametrize("number", range(5))
def test_no_beginning_of_an_image_passes_for_one_and_no_bytes_raise_anything_else(number):
    content = list(images())[number]
    assert read_header(content).height == 12
    for length in range(len(content) - 2):
        with pytest.raises(Unusable):
            read_header(content[:length])
    rng = np.random.default_rng(number)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.integers(min(len(content), 200))] = rng.integers(256)
        try:
            read_header(bytes(damaged))
        except Unusable as reason:
            assert str(reason)


def test_what_follows_an_image_is_no_harm():
    for content in images():
        assert read_header(content + bytes(10_000)) == read_header(content)


def test_a_file_that_is_too_large_is_refused_by_name_before_it_is_read(tmp_path, monkeypatch):
    size = MAX_BYTES + 1
    with open(tmp_path / "large.png", "wb") as file:
        file.write(next(images()))
        file.truncate(size)  # a hole: it takes no disk
    (tmp_path / "good.png").write_bytes(next(images()))
    monkeypatch.setenv("KERAS_SSL_CACHE", str(tmp_path / ".cache"))
    for read in (read_file, check_file):
        with pytest.raises(Unusable, match=f"{size:,} bytes, more than"):
            read(tmp_path / "large.png")
    for in_memory in (True, False):
        settings = {"image_size": 8, "in_memory": in_memory, "log": lambda line: None}
        data = load(f"folder:{tmp_path}", **settings)
        ((name, reason),) = data.skipped
        assert name == "large.png" and "268,435,457 bytes" in reason
