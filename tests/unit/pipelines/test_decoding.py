import base64

import numpy as np
import pytest
import tensorflow as tf

from pipelines.images.decoding import check_file, decode_window, square_of
from pipelines.images.headers import Unusable, read_header

# By Pillow, of `gradient()`, in base64.
FIXTURES = {
    "cmyk_jpeg": (
        "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwLCgsLDQ4SEA0O"
        "EQ4LCxAWEBETFBUVFQwPFxgWFBgSFBUU/8AAFAgADAAKBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAA"
        "AAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNC"
        "scEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6"
        "g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq"
        "8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwDxP9hv/mH/APAa+bv+GQP+nL/x2voX42/Fv/j4/fevev1Tr9Zt"
        "O/5B9r/1yX+Qo/4ZA/6cv/Ha+U7j4t/6RL++/iPf3or8mf2G/wDmH/8AAa/Xr/hWWgf8+n6j/Cq/xt8S3/8A"
        "pH731or9ZtO/5B9r/wBcl/kKP+FZaB/z6fqP8K+U7jxLf/aJf3v8R/nRX//Z"
    ),
    "gray_jpeg": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQ"
        "DQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/wAALCAAMAAoBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAEC"
        "AwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAk"
        "M2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJ"
        "ipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3"
        "+Pn6/9oACAEBAAA/APGfA/wZ/wBX+4/SvV4/gz+7X9x2HavcvA/hbTj5f7n0r1iPwvp/lr+57Cv/2Q=="
    ),
    "palette_transparent_png": (
        "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAMBAMAAACpRTGTAAAAGFBMVEW8yEZxyGomyI6jfnUmfrGjP5OjC6wm"
        "Ktmsevp/AAAAAXRSTlMAQObYZgAAADlJREFUeJw1yUERgCAABMDlhgCGspMpnaGBNMACgC/3u+UyCAcVQ3iI"
        "m1VO+xUQmllXX7Ol08X27wcsiRGCWLuGhgAAAABJRU5ErkJggg=="
    ),
    "alpha_png": (
        "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAMCAYAAABbayygAAAAIElEQVR4nGNkYPjPIMnwRYQQZmEQ/cbAwEAY"
        "jyocrAoBfXB18TJspqQAAAAASUVORK5CYII="
    ),
    "gray16_png": (
        "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAMEAAAAAAukK8/AAAAFElEQVR4nGNkYJDEAEwMWMDwEwQAs5wB2uaw"
        "dBcAAAAASUVORK5CYII="
    ),
    "webp": ("UklGRiwAAABXRUJQVlA4TB8AAAAvCcACALkKRPQ/doUvfPQ/ICQgnPB/rahPxv5HIlVmAA=="),
    "webp_alpha": (
        "UklGRjYAAABXRUJQVlA4TCkAAAAvCcACELkyRPQ/dpUvfPQ/QKRtUxP3r3bwfDImQCCQwnZ4ApD2CQP0BQA="
    ),
    "gif": (
        "R0lGODdhCgAMAIIAALzIRnHIaibIjqN+dSZ+saM/k6MLrCYq2SwAAAAACgAMAAAIQwAPCDxgoKDBgQINFkRI"
        "sIDDAggfPhRIgIDEAgMqahzAkaPGih09agwQEgABASgDkATAEmVKlSwBuFQZIKbMlzVjBgQAOw=="
    ),
    "bmp32": (
        "Qk0WAgAAAAAAADYAAAAoAAAACgAAAAwAAAABACAAAAAAAOABAADEDgAAxA4AAAAAAAAAAAAAkecA/4XnGf95"
        "5zL/bedL/2HnZP9V533/SeeW/z3nr/8x58j/Jefh/5vSAP+P0hn/g9Iy/3fSS/9r0mT/X9J9/1PSlv9H0q//"
        "O9LI/y/S4f+lvQD/mb0Z/429Mv+BvUv/db1k/2m9ff9dvZb/Ub2v/0W9yP85veH/r6gA/6OoGf+XqDL/i6hL"
        "/3+oZP9zqH3/Z6iW/1uor/9PqMj/Q6jh/7mTAP+tkxn/oZMy/5WTS/+Jk2T/fZN9/3GTlv9lk6//WZPI/02T"
        "4f/DfgD/t34Z/6t+Mv+ffkv/k35k/4d+ff97fpb/b36v/2N+yP9XfuH/zWkA/8FpGf+1aTL/qWlL/51pZP+R"
        "aX3/hWmW/3lpr/9tacj/YWnh/9dUAP/LVBn/v1Qy/7NUS/+nVGT/m1R9/49Ulv+DVK//d1TI/2tU4f/hPwD/"
        "1T8Z/8k/Mv+9P0v/sT9k/6U/ff+ZP5b/jT+v/4E/yP91P+H/6yoA/98qGf/TKjL/xypL/7sqZP+vKn3/oyqW"
        "/5cqr/+LKsj/fyrh//UVAP/pFRn/3RUy/9EVS//FFWT/uRV9/60Vlv+hFa//lRXI/4kV4f//AAD/8wAZ/+cA"
        "Mv/bAEv/zwBk/8MAff+3AJb/qwCv/58AyP+TAOH/"
    ),
    "bmp8": (
        "Qk3mAAAAAAAAAFYAAAAoAAAACgAAAAwAAAABAAgAAAAAAJAAAADEDgAAxA4AAAgAAAAIAAAARsi8AGrIcQCO"
        "yCYAdX6jALF+JgCTP6MArAujANkqJgACAgIBAQEAAAAAAAACAgIBAQEAAAAAAAACAgICAQEBAAAAAAAEAgIC"
        "AQEDAAAAAAAEBAQEAQMDAwMAAAAEBAQEBAMDAwMDAAAEBAQEBAMDAwMDAAAHBwQEBQUFBQUDAAAHBwcHBQUF"
        "BQUFAAAHBwcHBwYFBQUFAAAHBwcHBwYGBgYGAAAHBwcHBgYGBgYGAAA="
    ),
}


def gradient():
    y, x = np.mgrid[0:12, 0:10]
    pixels = np.stack([x * 25, y * 21, 255 - x * 12 - y * 10], axis=-1)
    return pixels.clip(0, 255).astype(np.uint8)


def fixture(name):
    return base64.b64decode(FIXTURES[name])


def whole(name):
    content = fixture(name)
    header = read_header(content)
    box = [0, 0, header.height, header.width]
    return decode_window(content, header.kind == "jpeg", header.orientation, box).numpy()


def jpeg(height=37, width=45, progressive=False):
    """A 4:2:0 JPEG of noise over coarse colors."""
    rng = np.random.default_rng(0)
    coarse = tf.image.resize(rng.integers(0, 256, (5, 7, 3)).astype(np.float32), (height, width))
    pixels = np.clip(coarse + rng.normal(0, 10, (height, width, 3)), 0, 255).astype(np.uint8)
    return tf.io.encode_jpeg(pixels, chroma_downsampling=True, progressive=progressive).numpy()


def with_exif(content, orientation, order="little", tag=0x0112, start=8):
    mark = {"little": b"II*\0", "big": b"MM\0*"}[order]
    numbers = [(start, 4), (1, 2), (tag, 2), (3, 2), (1, 4), (orientation, 2), (0, 6)]
    tiff = mark + b"".join(number.to_bytes(size, order) for number, size in numbers)
    segment = b"Exif\0\0" + tiff
    length = (len(segment) + 2).to_bytes(2, "big")
    return content[:2] + b"\xff\xe1" + length + segment + content[2:]


# What EXIF 2.32 says of each orientation, in the words of NumPy.
SEEN = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: np.swapaxes(stored, 0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(np.swapaxes(stored, 0, 1), 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", SEEN)
def test_a_window_of_a_jpeg_is_a_slice_of_the_whole_as_it_is_seen(orientation):
    content = with_exif(jpeg(), orientation)
    header = read_header(content)
    seen = SEEN[orientation](tf.io.decode_image(content, channels=3).numpy())
    assert (header.height, header.width, header.orientation) == (*seen.shape[:2], orientation)
    in_graph = tf.function(lambda box: decode_window(content, True, orientation, box))
    rng = np.random.default_rng(orientation)
    for _ in range(5):
        top, left = (int(rng.integers(side)) for side in seen.shape[:2])
        height = int(rng.integers(1, seen.shape[0] - top + 1))
        width = int(rng.integers(1, seen.shape[1] - left + 1))
        box = [top, left, height, width]
        expected = seen[top : top + height, left : left + width]
        eager = decode_window(content, True, orientation, box)
        np.testing.assert_array_equal(eager, expected)
        np.testing.assert_array_equal(in_graph(tf.constant(box)), expected)


@pytest.mark.parametrize("progressive", [False, True])
def test_windows_that_begin_or_end_at_a_block_are_exact(progressive):
    content = jpeg(progressive=progressive)
    expected = tf.io.decode_image(content, channels=3).numpy()
    for left in (14, 15, 16, 17, 18, 30, 31, 32, 33):
        for width in (1, 2, 3, 12):
            window = decode_window(content, True, 1, [15, left, 17, width])
            np.testing.assert_array_equal(window, expected[15:32, left : left + width])


def test_in_a_dataset_the_kind_and_orientation_may_differ_by_image():
    png = tf.io.encode_png(gradient()).numpy()
    contents = tf.constant([with_exif(jpeg(), 6), png, png, fixture("webp")])
    columns = (contents, [True, False, False, False], np.array([6, 1, 3, 1], np.uint8))
    data = tf.data.Dataset.from_tensor_slices(columns)
    images = list(data.map(lambda *row: decode_window(*row, [1, 2, 3, 4])).as_numpy_iterator())
    turned = np.rot90(tf.io.decode_image(contents[0].numpy()).numpy(), -1)
    np.testing.assert_array_equal(images[0], turned[1:4, 2:6])
    np.testing.assert_array_equal(images[1], gradient()[1:4, 2:6])
    np.testing.assert_array_equal(images[2], np.rot90(gradient(), 2)[1:4, 2:6])
    np.testing.assert_array_equal(images[3], gradient()[1:4, 2:6])


@pytest.mark.parametrize("name", ["alpha_png", "webp", "bmp32"])
def test_alpha_is_dropped_and_colors_stay(name):
    np.testing.assert_array_equal(whole(name), gradient())


def test_a_webp_with_alpha_keeps_the_colors_that_are_seen():
    pixels = whole("webp_alpha")
    np.testing.assert_array_equal(pixels[:, 1:], gradient()[:, 1:])  # the first column is clear


def test_a_cmyk_jpeg_has_its_colors():
    assert np.abs(whole("cmyk_jpeg").astype(int) - gradient()).max() <= 3


def test_a_gray_jpeg_is_gray_in_three_channels():
    luma = gradient() @ [0.299, 0.587, 0.114]
    pixels = whole("gray_jpeg").astype(int)
    assert np.abs(pixels - luma[..., None]).max() <= 4


@pytest.mark.parametrize("name", ["palette_transparent_png", "gif"])
def test_palettes_are_looked_up(name):
    assert np.abs(whole(name).astype(int) - gradient()).mean() < 25  # eight colors


def test_of_16_bits_the_higher_8_are_taken():
    expected = np.broadcast_to(np.arange(10)[:, None] * 25, (12, 10, 3))
    np.testing.assert_array_equal(whole("gray16_png"), expected)


def test_a_bmp_with_colored_palette_is_refused_by_name():
    with pytest.raises(Unusable, match="BMP with a palette"):
        read_header(fixture("bmp8"))


def test_exif_of_either_byte_order_is_read():
    for order in ("little", "big"):
        assert read_header(with_exif(jpeg(), 8, order)).orientation == 8


@pytest.mark.parametrize(
    "settings",
    [
        {"orientation": 0},
        {"orientation": 9},
        {"orientation": 6, "tag": 0x0113},
        {"orientation": 6, "start": 2**31},
        {"orientation": 6, "start": 0},
    ],
)
def test_malformed_exif_counts_as_upright(settings):
    assert read_header(with_exif(jpeg(), **settings)).orientation == 1


def test_the_square_in_memory_is_turned_as_well():
    content = jpeg(8, 12)
    stored = tf.io.decode_image(content).numpy()[:, 2:10]
    turned = with_exif(content, 6)
    square = square_of(read_header(turned), turned, 8)
    np.testing.assert_array_equal(square, np.rot90(stored, -1))


def test_a_window_beyond_the_image_is_an_error():
    for content, is_jpeg in ((jpeg(), True), (fixture("webp"), False)):
        for box in ([0, 0, 99, 4], [0, 0, 4, 99], [30, 40, 30, 30]):
            with pytest.raises(tf.errors.OpError):
                decode_window(content, is_jpeg, 1, box)


@pytest.mark.parametrize("name", ["cmyk_jpeg", "alpha_png", "gif", "bmp32", "webp"])
def test_truncated_files_are_found(tmp_path, name):
    content, path = fixture(name), tmp_path / "image"
    path.write_bytes(content)
    assert check_file(path) == read_header(content)
    for length in (len(content) // 2, len(content) - 8):
        path.write_bytes(content[:length])
        with pytest.raises(Unusable):
            check_file(path)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image(tmp_path):
    segment = b"\xff\xe1\x00\x06\xff\xd8\xff\xd9"
    content = jpeg()
    content = content[:2] + segment + content[2:]
    (tmp_path / "whole").write_bytes(content + bytes(10_000))
    (tmp_path / "cut").write_bytes(content[:-40])
    assert check_file(tmp_path / "whole").kind == "jpeg"
    with pytest.raises(Unusable, match="truncated"):
        check_file(tmp_path / "cut")
