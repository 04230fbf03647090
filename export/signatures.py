"""What a SavedModel serves: what each signature takes, what it refuses, and what it returns."""

from typing import NamedTuple

import keras
import tensorflow as tf

from export.headers import read_header
from keras_ssl.core import image_files
from keras_ssl.core.constants import MAX_PIXELS
from keras_ssl.core.errors import UserError
from keras_ssl.layers.codes import code_dtype
from keras_ssl.layers.necks import (
    at_temperature,
    backbone_output,
    bottleneck_of,
    code_sizes,
    codes_of,
    simplices_of,
)

MAX_IMAGES = 10_000  # of a request: bounds what the network takes for small ones
_DECODED_AT_ONCE = 4  # images of a request: bounds its memory
_LUMA = (19595, 38470, 7471)  # Pillow's, in 1/65536


class Signature(NamedTuple):
    """A signature that can be exported.

    Args:
        function: tensor -> {name: tensor}; runs in graphs.
        spec: `tf.TensorSpec` of its input.
        outputs: names of its outputs.
    """

    function: object
    spec: tf.TensorSpec
    outputs: tuple


def readouts_of(encoder, downstream_temperature, one_hot=False):
    """One model with a named output for everything that is served, sharing all weights.

    Returns:
        `keras.Model`: `features`; with a neck also `codes`, and `simplices` at
        `downstream_temperature` or, from necks other than SEM, `embedding`; `one_hot` if asked.

    Raises:
        UserError: for one-hot codes of an encoder without a neck.
    """
    outputs = {"features": backbone_output(encoder)}
    if bottleneck_of(encoder) is None:
        if one_hot:
            raise UserError(f"Encoder '{encoder.name}' has no neck, so no codes to serve one-hot.")
        return keras.Model(encoder.input, outputs)
    groups, size = code_sizes(encoder)
    outputs["codes"] = codes_of(encoder).output
    if simplices_of(encoder) is None:
        outputs["embedding"] = encoder.output
    else:
        outputs["simplices"] = at_temperature(encoder, downstream_temperature).output
    if one_hot:
        hard = keras.ops.one_hot(outputs["codes"], size, dtype="uint8")
        outputs["one_hot"] = keras.ops.reshape(hard, (-1, groups * size))
    outputs["codes"] = keras.ops.cast(outputs["codes"], code_dtype(size).name)
    return keras.Model(encoder.input, outputs)


def make_signatures(readouts, preprocess, *, decode=None, max_pixels=MAX_PIXELS):
    """The signatures of a model made by `readouts_of`.

    `serving_default` takes `images`, uint8 (batch, height, width, channels), and returns all that
    the model has but one-hot codes; `features`, `codes` and `one_hot` take the same and return
    that alone. `image_bytes` takes a batch of encoded images instead. A batch has from 0 to
    `MAX_IMAGES` images.

    Args:
        readouts: `keras.Model`, float images -> {name: tensor}.
        preprocess: function, uint8 images of any size -> what `readouts` takes.
        decode: function of an encoded image, scalar string, of what its header states (`is_jpeg`,
            `orientation`, `height` and `width`) -> uint8 (side, side, 3) as evaluation reads it,
            and a scalar string, why it cannot be decoded, or empty. It runs in graphs and fails for
            no content; None omits `image_bytes`.
        max_pixels: int > 0. Limit on the pixels of an encoded image; of all `images` of a request,
            as they come; and of all images of any request, as the model takes them.

    Returns:
        {name: `Signature`}.
    """
    images_spec = tf.TensorSpec((None, None, None, readouts.input_shape[-1]), tf.uint8, "images")
    shape = preprocessed_shape(preprocess, images_spec)
    names = tuple(name for name in readouts.output if name != "one_hot")

    def serve(images, wanted):
        images = _within_limits(images, shape, max_pixels)
        count = tf.shape(images)[0]
        # Convolutions fail on no images: one that is empty stands for them.
        images = tf.pad(images, [[0, tf.cast(count == 0, tf.int32)], [0, 0], [0, 0], [0, 0]])
        outputs = readouts(preprocess(images), training=False)
        return {name: _served(outputs[name])[:count] for name in wanted}

    def serve_bytes(image_bytes):
        count = tf.size(image_bytes)
        checks = [_check_count(count), _check_pixels(_pixels(count, shape), max_pixels)]
        with tf.control_dependencies(checks):
            contents = tf.identity(image_bytes)
        return serve(_decode_all(contents, decode, shape, max_pixels), names)

    def signature(*wanted):
        return Signature(lambda images: serve(images, wanted), images_spec, wanted)

    signatures = {"serving_default": signature(*names)}
    for name in ("features", "codes", "one_hot"):
        if name in readouts.output:
            signatures[name] = signature(name)
    if decode is not None:
        bytes_spec = tf.TensorSpec((None,), tf.string, "image_bytes")
        signatures["image_bytes"] = Signature(serve_bytes, bytes_spec, names)
    return signatures


def preprocessed_shape(preprocess, spec):
    """What `preprocess` makes of images, (height, width, channels), None where that varies."""
    traced = tf.function(preprocess, autograph=False).get_concrete_function(spec)
    return tuple(traced.output_shapes[1:])


def _served(output):
    return tf.cast(output, tf.float32) if output.dtype.is_floating else output


def _within_limits(images, shape, max_pixels):
    """The images, refused where there are too many pixels of them, or none."""
    count, height, width = tf.unstack(tf.cast(tf.shape(images), tf.float64)[:3])
    shorter, longer = tf.minimum(height, width), tf.maximum(height, width)
    resized = _pixels(longer / tf.maximum(shorter, 1.0), shape)  # before the middle is cut out
    pixels = count * tf.maximum(height * width, resized)
    empty = tf.debugging.Assert(shorter > 0, ["images without pixels, of shape", tf.shape(images)])
    checks = [empty, _check_count(tf.shape(images)[0]), _check_pixels(pixels, max_pixels)]
    with tf.control_dependencies(checks):
        return tf.identity(images)


def _check_count(count):
    text = f"images in a request; the limit is {MAX_IMAGES:,}"
    return tf.debugging.Assert(count <= MAX_IMAGES, [count, text])


def _check_pixels(pixels, max_pixels):
    text = f"pixels in a request, as they come or resized; the limit is {max_pixels:,}"
    return tf.debugging.Assert(pixels <= max_pixels, [tf.cast(pixels, tf.int64), text])


def _pixels(images, shape):
    """Of a number of images as the model takes them; 0 where it takes any size."""
    height, width = (side or 0 for side in shape[:2])
    return _product(images, height, width)


def _product(*sides):
    """In float64: what headers state overflows 64 bits."""
    return tf.reduce_prod(tf.stack([tf.cast(side, tf.float64) for side in sides]))


def _decode_all(contents, decode, shape, max_pixels):
    def decode_one(item):
        index, content = item
        header = read_header(content)
        content = _usable(index, content, header, max_pixels)
        with tf.control_dependencies([content]):  # what is refused has sides of no use
            sides = [tf.cast(header[name], tf.int32) for name in ("height", "width")]
        image, problem = decode(content, header["is_jpeg"], header["orientation"], *sides)
        with tf.control_dependencies([_check_usable(index, problem)]):
            image = tf.identity(image)
        return tf.ensure_shape(_gray(image) if shape[-1] == 1 else image, shape)

    return tf.map_fn(
        decode_one,
        (tf.range(tf.size(contents)), contents),
        fn_output_signature=tf.TensorSpec(shape, tf.uint8),
        parallel_iterations=_DECODED_AT_ONCE,
    )


def _usable(index, content, header, max_pixels):
    """The content, to be decoded once its header has been found acceptable."""
    sides = (header["width"], header["height"], header["frames"])
    pixels = _product(*sides)
    size = tf.strings.join([tf.as_string(side) for side in sides], " x ")
    too_many = tf.strings.join(
        ["has ", size, f" pixels (width x height x frames); the limit is {max_pixels:,}"]
    )
    problem = tf.where(pixels < 1, image_files.NO_PIXELS, "")
    problem = tf.where(pixels > max_pixels, too_many, problem)
    problem = tf.where(header["problem"] == "", problem, header["problem"])
    with tf.control_dependencies([_check_usable(index, problem)]):
        return tf.identity(content)


def _check_usable(index, problem):
    message = tf.strings.join(["image ", tf.as_string(index), " of the request: ", problem])
    return tf.debugging.Assert(problem == "", [message])


def _gray(image):
    """The luma of an RGB image; gray ones stay exactly what they are."""
    weighted = tf.reduce_sum(tf.cast(image, tf.int32) * _LUMA, axis=-1, keepdims=True)
    return tf.cast((weighted + 2**15) // 2**16, tf.uint8)
