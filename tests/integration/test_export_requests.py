"""What a SavedModel answers to requests, good and hostile, by both of TensorFlow's loaders."""

import functools
import struct

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from export.saved_model import write_saved_model
from export.signatures import make_signatures, readouts_of
from pipelines.images.decoding import square_of
from pipelines.images.headers import read_header
from pipelines.preprocessing import make_preprocess
from stages.inputs import Preprocessing
from tests.unit.export.test_headers import gif, png
from tests.unit.pipelines.test_decoding import FIXTURES, fixture, gradient, jpeg, with_exif

SIDE = 8
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]
PREPROCESS = {count: make_preprocess(SIDE, count, MEAN[:count], STD[:count]) for count in (1, 3)}
UPRIGHT = jpeg(24, 20)


@pytest.fixture(autouse=True)
def fresh_state():
    """Set no seed, as all others do: nothing here is drawn, and TensorFlow would compile anew."""


def pixels_as_features(channels):
    """An encoder whose features are what it is given, so that any difference shows."""
    images = keras.Input((SIDE, SIDE, channels))
    return keras.Model(images, keras.layers.Flatten()(images))


def saved_model(folder, channels):
    readouts = readouts_of(pixels_as_features(channels), 0.1)
    decode = Preprocessing(SIDE, channels, MEAN[:channels], STD[:channels]).decode
    signatures = make_signatures(readouts, PREPROCESS[channels], decode=decode)
    write_saved_model(readouts, signatures, folder)
    return str(folder)


def by_saved_model(path):
    signatures = tf.saved_model.load(path).signatures

    def ask(name, value):
        (key,) = signatures[name].structured_input_signature[1]
        dtype = None if isinstance(value, np.ndarray) else tf.string
        return signatures[name](**{key: tf.constant(value, dtype)})["features"].numpy()

    return ask


def by_tf1(path):
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], path)

    def ask(name, value):
        signature = meta.signature_def[name]
        ((_, info),) = signature.inputs.items()
        if not isinstance(value, np.ndarray):
            value = np.array(value, dtype=object)
        return session.run(signature.outputs["features"].name, {info.name: value})

    return ask


@pytest.fixture(scope="module")
def color(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("color") / "1", 3)


@pytest.fixture(scope="module", params=[by_saved_model, by_tf1])
def ask(request, color):
    """Function (signature, what to send) -> features."""
    return request.param(color)


def square(content):
    """An encoded image as evaluation reads it."""
    return square_of(read_header(content), content, SIDE)


@functools.cache
def evaluated(content):
    """Features of an encoded image as the evaluation pipeline reads it."""
    pixels = square(content)
    return PREPROCESS[3](pixels[None]).numpy().reshape(1, -1)


@functools.cache
def files():
    """Every kind of file that evaluation takes: {name: content}."""
    contents = {name: fixture(name) for name in FIXTURES if name != "bmp8"}
    contents |= {f"exif_{turn}": with_exif(UPRIGHT, turn) for turn in range(1, 9)}
    contents["gray_png"] = tf.io.encode_png(gradient()[..., :1]).numpy()
    contents["gray_alpha_png"] = tf.io.encode_png(gradient()[..., :2]).numpy()
    contents["right_size"] = tf.io.encode_png(gradient()[:SIDE, :SIDE]).numpy()
    contents["progressive_jpeg"] = jpeg(progressive=True)
    return contents


@pytest.mark.parametrize("name", files())
def test_files_give_what_the_evaluation_pipeline_gives(name, ask):
    content = files()[name]
    np.testing.assert_array_equal(ask("image_bytes", [content]), evaluated(content))


def test_files_of_all_kinds_go_in_one_request(ask):
    contents = list(files().values())
    expected = np.concatenate([evaluated(content) for content in contents])
    np.testing.assert_array_equal(ask("image_bytes", contents), expected)


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (3, 9, 14, 3), (2, 40, 11, 3), (2, 1, 3, 3)])
def test_images_of_any_size_give_what_the_evaluation_pipeline_gives(shape, ask):
    images = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    expected = PREPROCESS[3](images).numpy().reshape(len(images), -1)
    for name in ("serving_default", "features"):
        np.testing.assert_array_equal(ask(name, images), expected)


def test_gray_encoders_read_gray_files_exactly_and_colors_by_their_luma(tmp_path):
    ask = by_saved_model(saved_model(tmp_path / "1", 1))
    for name in ("gray_png", "gray_jpeg"):
        content = files()[name]
        expected = PREPROCESS[1](square(content)[None, ..., :1])
        np.testing.assert_array_equal(ask("image_bytes", [content])[0], np.ravel(expected))
    pixels = square(fixture("alpha_png"))
    luma = np.round(pixels @ [0.299, 0.587, 0.114])[..., None].astype("uint8")
    found = ask("image_bytes", [fixture("alpha_png")])[0]
    np.testing.assert_allclose(found, np.ravel(PREPROCESS[1](luma[None])), atol=1.01 / 255 / 0.2)


def test_an_empty_batch_gives_an_empty_answer(ask):
    assert ask("image_bytes", []).shape == (0, SIDE * SIDE * 3)
    for side in (SIDE, 20):
        images = np.zeros((0, side, side, 3), "uint8")
        assert ask("serving_default", images).shape == (0, SIDE * SIDE * 3)


@pytest.mark.parametrize("side", [8, 32])
def test_an_empty_batch_goes_through_convolutions(side, tmp_path):
    backbone = keras_ssl.create_backbone("resnet14", (side, side, 3), width=4)
    readouts = readouts_of(backbone, 0.1)
    preprocess = make_preprocess(side, 3, MEAN, STD)
    write_saved_model(readouts, make_signatures(readouts, preprocess), tmp_path / "1")
    serve = tf.saved_model.load(tmp_path / "1").signatures["serving_default"]
    found = serve(images=tf.zeros((0, side, side, 3), tf.uint8))["features"]
    assert found.shape == (0, backbone.output_shape[-1])


def bmp(width, height):
    sizes = struct.pack("<IiiHHI", 40, width, height, 1, 24, 0)
    return b"BM" + bytes(8) + struct.pack("<I", 54) + sizes + bytes(24)


def claiming(content, height, width):
    """A JPEG whose header says another size."""
    place = content.index(b"\xff\xc0") + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]


def webp(side):
    chunk = b"VP8X\x0a\0\0\0\0\0\0\0" + 2 * (side - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


HOSTILE_FILES = {
    "nothing": (b"", "empty file"),
    "text": (b"GET / HTTP/1.1", "not a JPEG, PNG, GIF, BMP or WebP image"),
    "truncated JPEG": (UPRIGHT[: len(UPRIGHT) // 2], "truncated image"),
    "JPEG that ends in its header": (UPRIGHT[:40], "truncated image|JPEG that cannot"),
    "truncated PNG": (fixture("alpha_png")[:60], "truncated image"),
    "JPEG": (claiming(UPRIGHT, 65_535, 65_535), "has 65535 x 65535 x 1"),
    "WebP": (webp(100_000), "has 100000 x 100000 x 1"),
    "PNG": (png(100_000, 100_000), "has 100000 x 100000 x 1 pixels"),
    "BMP": (bmp(100_000, 100_000), "has 100000 x 100000|truncated image"),
    "GIF": (gif((0, 0, 65_535, 65_535), size=(65_535, 65_535)), "has 65535 x 65535 x 1"),
    "many frames": (gif(*[(0, 0, 5_000, 5_000)] * 5, size=(5_000, 5_000)), "5000 x 5000 x 5"),
    "no pixels": (png(0, 7), "has no pixels"),
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_a_hostile_file_is_refused_by_name_and_the_next_request_answered(name, ask):
    content, reason = HOSTILE_FILES[name]
    good = fixture("alpha_png")
    with pytest.raises(tf.errors.InvalidArgumentError, match=reason):
        ask("image_bytes", [good, content])
    np.testing.assert_array_equal(ask("image_bytes", [good]), evaluated(good))


def test_the_file_that_is_refused_is_told_by_its_place_and_the_reason(ask):
    checksum = fixture("alpha_png")
    checksum = checksum[:50] + b"\xff" + checksum[51:]
    for bad, reason in ((b"", "empty file"), (checksum, "PNG that cannot be decoded")):
        message = f"image 1 of the request: {reason}"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            ask("image_bytes", [fixture("webp"), bad, fixture("webp")])


HOSTILE_IMAGES = {
    "no height": (np.zeros((2, 0, 5, 3), "uint8"), "without pixels"),
    "a strip": (np.zeros((1, 1, 2_000_000, 3), "uint8"), "pixels in a request"),
    "many dots": (np.zeros((2_000_000, 1, 1, 3), "uint8"), "in a request"),
    "many images": (np.zeros((10_001, 2, 2, 3), "uint8"), "10001.*images in a request"),
    "gray": (np.zeros((2, 8, 8, 1), "uint8"), "8,8,1|channels|shape|Shape"),
    "one image alone": (np.zeros((8, 8, 3), "uint8"), "shape|Shape|dimension|rank"),
}


@pytest.mark.parametrize("name", HOSTILE_IMAGES)
def test_hostile_images_are_refused_and_the_next_request_answered(name, ask):
    images, reason = HOSTILE_IMAGES[name]
    with pytest.raises((tf.errors.OpError, ValueError, TypeError), match=reason):
        ask("serving_default", images)
    good = gradient()[None]
    np.testing.assert_array_equal(ask("features", good)[0], np.ravel(PREPROCESS[3](good)))


def test_floats_and_with_them_nan_are_refused_by_type(color):
    ask = by_saved_model(color)
    for value in (np.nan, np.inf, 0.5):
        with pytest.raises((tf.errors.InvalidArgumentError, TypeError), match="uint8"):
            ask("serving_default", np.full((1, 8, 8, 3), value, "float32"))
    assert np.isfinite(ask("serving_default", gradient()[None])).all()
