"""Headers read in the graph say what `pipelines` reads of the same bytes."""

import itertools
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf

from export.headers import read_header
from export.signatures import MAX_PIXELS
from keras_ssl.core import image_files
from pipelines.images import headers as evaluation
from tests.unit.pipelines.test_decoding import FIXTURES, fixture, jpeg, with_exif

READ = tf.function(read_header, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


def read(content):
    return {name: value.numpy() for name, value in READ(content).items()}


def assert_same(content):
    """Both refuse the content, or both say the same of it."""
    found = read(content)
    try:
        wanted = evaluation.read_header(content)
        usable = True
    except evaluation.Unusable:
        usable = False
    if not usable:
        beyond = float(found["height"]) * float(found["width"]) * found["frames"]
        assert found["problem"] or not 0 < beyond <= MAX_PIXELS
        return
    assert found["problem"] == b""
    assert found["is_jpeg"] == (wanted.kind == "jpeg")
    sizes = found["height"], found["width"], found["orientation"]
    assert sizes == (wanted.height, wanted.width, wanted.orientation)


def png(width, height, *chunks):
    """A PNG without pixels: its header, then chunks (name, content)."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", size), *chunks, (b"IDAT", b""), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )


def gif(*frames, size=(5, 4)):
    """A GIF with frames (left, top, width, height) of no pixels."""
    content = b"GIF89a" + struct.pack("<HHBBB", *size, 0, 0, 0)
    for frame in frames:
        content += b"," + struct.pack("<4HB", *frame, 0) + b"\2\1\0\0"
    return content + b"!\xfe\3abc\0;"


def test_every_format_reads_as_in_evaluation():
    for name in FIXTURES:
        assert_same(fixture(name))


def test_exif_orientations_are_those_of_evaluation():
    for order, orientation in itertools.product(("little", "big"), range(10)):
        content = with_exif(jpeg(), orientation, order)
        assert_same(content)
        expected = orientation if 1 <= orientation <= 8 else 1
        assert read(content)["orientation"] == expected
        tiff = content[12 : 4 + int.from_bytes(content[4:6], "big")]
        assert_same(png(7, 5, (b"eXIf", tiff)))
        assert read(png(7, 5, (b"eXIf", tiff)))["orientation"] == expected


def test_malformed_exif_counts_as_upright():
    for settings in ({"tag": 0x0113}, {"start": 2**31}, {"start": 0}):
        content = with_exif(jpeg(), 6, **settings)
        assert_same(content)
        assert read(content)["orientation"] == 1


def test_a_webp_with_exif_is_turned():
    tiff = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0"
    chunks = b"VP8X\x0a\0\0\0\x08\0\0\0\6\0\0\4\0\0" + b"EXIF" + struct.pack("<I", 22) + tiff
    content = b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks
    assert_same(content)
    found = read(content)
    assert (found["height"], found["width"], found["orientation"]) == (7, 5, 6)
    assert read(content[:-3])["problem"] == b"truncated image"


def test_gif_frames_are_counted_and_have_to_lie_inside():
    whole = (0, 0, 5, 4)
    for content in (gif(whole), gif(whole, (1, 1, 2, 2)), gif(), gif((1, 0, 4, 4))):
        assert_same(content)
        assert_same(content[:-1])
    assert_same(gif(whole, (3, 0, 4, 4)))
    assert read(gif(*[whole] * 7))["frames"] == 7


def test_sizes_that_are_claimed_come_out_as_they_are():
    for content in (png(100_000, 100_000), png(2**32 - 1, 2**32 - 1), gif(size=(65_535, 65_535))):
        assert_same(content)
    found = read(png(2**32 - 1, 3))
    assert (found["width"], found["height"]) == (2**32 - 1, 3)


def test_other_formats_are_refused_in_the_same_words_by_their_marks():
    for place, mark, name, suffix in image_files.OTHERS:
        content = bytes(place) + mark + bytes(9)
        problem = read(content)["problem"].decode()
        with pytest.raises(evaluation.Unusable) as refused:
            evaluation.read_header(content)
        assert name in problem and str(refused.value).startswith(f"{problem}: convert it")
        assert f" IN.{suffix} OUT.png" in str(refused.value)


def test_stumps_have_a_problem_and_are_no_error():
    for content in (b"", b"\xff", b"text", b"BM", b"GIF89a", b"RIFF....WEBP"):
        assert read(content)["problem"]


@pytest.mark.parametrize("kind", ["fill", "chunks"])
def test_long_nonsense_before_the_pixels_ends_soon(kind):
    nonsense = {
        "fill": b"\xff\xd8" + b"\xff" * 10**6,
        "chunks": png(4, 4, *[(b"tEXt", b"")] * 9999),
    }
    found = read(nonsense[kind])
    if kind == "fill":
        assert found["problem"] == b"truncated image"
    else:  # the size stands before them; they are not gone through
        assert (found["problem"], found["height"], found["width"]) == (b"", 4, 4)


def test_damage_of_any_kind_is_found_or_harmless():
    rng = np.random.default_rng(0)
    contents = [with_exif(jpeg(9, 12), 6), *(fixture(name) for name in ("gif", "bmp32", "webp"))]
    for content in contents:
        for _ in range(40):
            damaged = bytearray(content)
            damaged[rng.integers(min(len(content), 80))] = rng.integers(256)
            assert_same(bytes(damaged[: rng.integers(1, len(content) + 1)]))
            assert_same(bytes(damaged))
