"""Every way in says the same of a file: the folder, now and later, records and the server."""

import base64
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf

from export.headers import read_header
from pipelines.convert import convert
from pipelines.data.load import load
from pipelines.images.decoding import tried_square
from tests.unit.pipelines.test_decoding import fixture, gradient, jpeg, with_exif
from tests.unit.pipelines.test_headers import YCCK

SIDE = 8
PIXELS = gradient()
PNG = tf.io.encode_png(PIXELS).numpy()
JPEG = jpeg()

# 20 x 24 pixels, by `jpegtran -arithmetic`, in base64.
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEBLAEsAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsL"
    "EBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU"
    "FBQUFBQUFBQUFBQUFBQUFBQUFBT/yQARCAAYABQDAREAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/ANxd"
    "gyRKUR3V464D7WA9Ekb+TOdWkUh+lzEWjV0R+Ljt4mXjcjBLpdTJj7i6OgfN5u0AA7xgqcsORWHaRnlYrJIuTwCJQ4gh"
    "4oxiyuPkRj9EsMZ2VeAie2a2VwYD8Zzvmui9C2RsxFYSqViXIFkdgxydlD04txicdqhuN0D/2Q=="
)


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def tiff(orientation):
    return b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1" + struct.pack(">HHI", orientation, 0, 0)


def exif(orientation):
    body = b"Exif\0\0" + tiff(orientation)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def before(content, mark, extra):
    place = content.index(mark)
    return content[:place] + extra + content[place:]


def bmp(bits=24, packing=0, size=40, palette=b"", behind=b""):
    row = (5 * bits + 31) // 32 * 4
    start = 14 + size + len(palette)
    sides = struct.pack("<HH", 5, 4) if size == 12 else struct.pack("<ii", 5, 4)
    rest = struct.pack("<HH", 1, bits) + struct.pack("<I", packing)
    header = (struct.pack("<I", size) + sides + rest + bytes(size))[:size]
    head = b"BM" + struct.pack("<IHHI", start + 4 * row, 0, 0, start)
    return head + header + palette + bytes(range(1, 1 + 4 * row)) + behind


def frame(content, place, value):
    """A JPEG with another byte in the segment that tells its size."""
    place += content.index(b"\xff\xc0")
    return content[:place] + bytes([value]) + content[place + 1 :]


def png16(brightest):
    ramp = np.linspace(0, brightest, 120).reshape(12, 10, 1).astype(np.uint16)
    return tf.io.encode_png(ramp).numpy()


GRAYS = b"".join(bytes([level] * 3 + [0]) for level in range(256))
COLORS = b"".join(bytes([level, 0, 255 - level, 0]) for level in range(256))
ADOBE = YCCK.index(b"\xff\xee")
GIF = fixture("gif")
FIRST_GIF_BLOCK = 13 + 3 * 2 ** (1 + (GIF[10] & 7))

# What is read, with the orientation that it is seen in.
READ = {
    "png": (PNG, 1),
    "jpeg": (JPEG, 1),
    "progressive JPEG": (jpeg(progressive=True), 1),
    "arithmetic-coded JPEG": (ARITHMETIC, 1),
    "CMYK JPEG": (fixture("cmyk_jpeg"), 1),
    "gif": (GIF, 1),
    "webp": (fixture("webp"), 1),
    "BMP": (bmp(), 1),
    "BMP with a profile behind": (bmp(behind=b"profile"), 1),
    "gray BMP": (bmp(8, palette=GRAYS), 1),
    "PNG with alpha": (fixture("alpha_png"), 1),
    "PNG of 16 bits": (png16(65_000), 1),
    "black PNG of 16 bits": (png16(0), 1),
    "JPEG with EXIF": (with_exif(JPEG, 6), 6),
    "JPEG with EXIF behind its size": (before(JPEG, b"\xff\xc4", exif(6)), 6),
    "JPEG with EXIF in a second segment": (with_exif(before(JPEG, b"\xff\xdb", exif(6)), 1), 6),
    "JPEG with stray bytes": (before(JPEG, b"\xff\xdb", b"stray\0" * 9), 1),
    "JPEG with a film behind": (JPEG + bytes(9000), 1),
    "PNG with EXIF": (before(PNG, PNG[33:41], chunk(b"eXIf", tiff(8))), 8),
    "PNG with EXIF behind its pixels": (before(PNG, PNG[-12:], chunk(b"eXIf", tiff(8))), 8),
}
# What is refused, with a part of the reason.
REFUSED = {
    "nothing": (b"", "empty file"),
    "text": (b"no image at all", "not a JPEG, PNG, GIF, BMP or WebP image"),
    "PNG with a wrong checksum": (PNG[:50] + b"\xff" + PNG[51:], "PNG that cannot be decoded"),
    "PNG that breaks off": (PNG[:-30], "truncated image"),
    "JPEG that breaks off": (JPEG[:-40], "truncated image"),
    "JPEG with a bad table": (before(JPEG, b"\xff\xc4", b"\xff\xc4\0\3\xff"), "JPEG that cannot"),
    "JPEG of 12 bits": (frame(JPEG, 4, 12), "JPEG of 12 bits"),
    "lossless JPEG": (frame(JPEG, 1, 0xC3), "lossless JPEG"),
    "CMYK JPEG without Adobe's mark": (YCCK[:ADOBE] + YCCK[ADOBE + 16 :], "without an Adobe mark"),
    "GIF with an empty comment": (
        GIF[:FIRST_GIF_BLOCK] + b"!\xfe\0" + GIF[FIRST_GIF_BLOCK:],
        "GIF with an empty extension",
    ),
    "BMP with a palette": (bmp(8, palette=COLORS), "BMP with a palette of colors"),
    "BMP of 4 bits": (bmp(4, palette=COLORS[:64]), "BMP with a palette of 4 bits"),
    "BMP of 16 bits": (bmp(16), "BMP of 16 bits"),
    "BMP with RLE": (bmp(8, packing=1, palette=GRAYS), "BMP with run-length encoding"),
    "BMP with bit fields": (bmp(16, packing=3), "BMP with bit masks"),
    "BMP of OS/2": (bmp(24, size=12), "BMP of OS/2"),
    "BMP that breaks off": (bmp()[:-3], "truncated image"),
    "PNG of 12 bits": (png16(4095), "16-bit PNG with values of 12 bits"),
    "TIFF": (b"II*\0" + bytes(40), "TIFF, which is not read"),
    "DICOM": (bytes(128) + b"DICM" + bytes(20), "DICOM, which is not read"),
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(20), "HEIC, which is not read"),
    "AVIF": (b"\0\0\0\x18ftypavif" + bytes(20), "AVIF, which is not read"),
    "JPEG XL": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20), "JPEG XL, which is not read"),
}
FILES = {name: content for name, (content, _) in (READ | REFUSED).items()}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """For each way in: {name: square} and {name: reason} of all files."""
    folder, records = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("records")
    names = {}
    for number, (name, content) in enumerate(FILES.items()):
        names[f"{number:02d}"] = name
        (folder / f"{number:02d}").write_bytes(content)
    rows = records / "train.tfrecord"
    with tf.io.TFRecordWriter(str(rows)) as writer:
        for content in FILES.values():
            value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
            features = tf.train.Features(feature={"image": value})
            writer.write(tf.train.Example(features=features).SerializeToString())
    ways = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_SSL_CACHE", str(tmp_path_factory.mktemp("cache")))
        for in_memory in (True, False):
            for name in (f"folder:{folder}", f"tfrecord:{rows}"):
                ways[name[:6], in_memory] = read(name, in_memory, list(names.values()))
        convert(f"folder:{folder}", str(records / "copy"), log=lambda line: None)
        name = f"tfrecord:{records / 'copy'}"
        ways["convert"] = read(name, False, list(READ))
    ways["image_bytes"] = serve(FILES)
    return ways


def read(name, in_memory, names):
    data = load(name, image_size=SIDE, in_memory=in_memory, log=lambda line: None)
    squares = data.train_images[:]
    if name.startswith("folder"):
        reasons = {names[int(file)]: reason for file, reason in data.skipped}
    else:
        left = [name for name in names if name in REFUSED]
        reasons = dict(zip(left, [reason for _, reason in data.skipped], strict=False))
    good = [name for name in names if name not in reasons]
    return dict(zip(good, squares, strict=True)), reasons


def serve(files):
    @tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
    def ask(content):
        header = read_header(content)
        names = ("is_jpeg", "orientation", "height", "width")
        claims = [header[name] for name in names]
        nothing = tf.zeros((SIDE, SIDE, 3), tf.uint8), header["problem"]
        return tf.cond(
            header["problem"] == "", lambda: tried_square(content, *claims, SIDE), lambda: nothing
        )

    answers = {name: [value.numpy() for value in ask(content)] for name, content in files.items()}
    reasons = {name: why.decode() for name, (_, why) in answers.items() if why}
    return {name: square for name, (square, why) in answers.items() if not why}, reasons


def test_all_ways_read_and_refuse_the_same_files(found):
    copied = found["folder", True][0]
    for way, (squares, reasons) in found.items():
        assert sorted(squares) == sorted(READ), way
        assert sorted(reasons) == ([] if way == "convert" else sorted(REFUSED)), way
        for name, square in squares.items():
            np.testing.assert_array_equal(square, copied[name], err_msg=f"{name}, {way}")
        for name, reason in reasons.items():
            assert REFUSED[name][1] in reason, (way, name, reason)


def test_each_file_is_seen_as_it_lies(found):
    squares, _ = found["folder", True]
    turn = {1: lambda pixels: pixels, 6: lambda pixels: np.rot90(pixels, -1), 8: np.rot90}
    for name in ("JPEG with EXIF behind its size", "JPEG with EXIF in a second segment"):
        np.testing.assert_array_equal(squares[name], squares["JPEG with EXIF"])
    assert not np.array_equal(squares["JPEG with EXIF"], squares["jpeg"])
    expected = turn[8](squares["png"]).astype(int)
    for name in ("PNG with EXIF", "PNG with EXIF behind its pixels"):
        assert np.abs(squares[name] - expected).max() <= 1
    np.testing.assert_array_equal(squares["JPEG with stray bytes"], squares["jpeg"])
    np.testing.assert_array_equal(squares["BMP with a profile behind"], squares["BMP"])


def test_other_formats_are_named_once_with_a_command_that_converts_them(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SSL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "good.png").write_bytes(PNG)
    for number in range(7):
        (tmp_path / "images" / f"{number}.tif").write_bytes(FILES["TIFF"])
    lines = []
    load(f"folder:{tmp_path / 'images'}", image_size=SIDE, log=lines.append)
    told = "\n".join(lines)
    assert "skipped 7 of 8 files. TIFF, which is not read: convert it" in told
    assert told.count("TIFF") == 1 and "magick" in told and "4.tif, and 2 more." in told
