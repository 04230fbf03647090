"""Golden case of the image operators."""

import numpy as np
import tensorflow as tf

from pipelines import ops
from tests import image_oracles as oracles

_ADJUST = {
    "brightness": ops.adjust_brightness,
    "contrast": ops.adjust_contrast,
    "saturation": ops.adjust_saturation,
    "hue": ops.adjust_hue,
}


def augment_ops(inputs):
    """Every array of augment_ops.npz: float operators on image / 255, and their 8-bit twins."""
    image = tf.constant(inputs["image"][None] / 255.0, tf.float32)
    found = {}
    for name, adjust in _ADJUST.items():
        factor = _column(inputs[f"{name}_factor"])
        images = tf.repeat(image, len(factor), axis=0)
        found[name] = adjust(images, factor)
        eight_bit = oracles.pil_hue if name == "hue" else adjust
        found[f"{name}_pil"] = _levels(eight_bit(images, factor))
    found |= _pointwise(image) | _blurs(image, _column(inputs["blur_sigma"]))
    found |= _crops(image, _column(inputs["crop_box"])[None], int(inputs["crop_out"]))
    found |= _jitters(image, inputs)
    return {name: np.asarray(value) for name, value in found.items()}


def _column(values):
    return tf.constant(np.atleast_1d(values), tf.float32)


def _levels(images):
    return 255.0 * oracles.quantize(images)


def _pointwise(image):
    gray, solarized = ops.grayscale(image), ops.solarize(image)
    return {
        "grayscale": gray[0],
        "grayscale_pil": _levels(gray)[0],
        "solarize": solarized[0],
        "solarize_pil": _levels(solarized)[0],
    }


def _blurs(image, sigma):
    images = tf.repeat(image, len(sigma), axis=0)
    return {
        "blur_k5": oracles.gaussian_blur(images, sigma, kernel_size=5),
        "blur_pil": _levels(oracles.pil_blur(images, sigma)),
    }


def _crops(image, box, size):
    crops = {
        "crop_bicubic": ops.crop_resize(image, box, size, interpolation="bicubic"),
        "crop_bicubic_noantialias": oracles.torch_bicubic(image, box, size),
    }
    for kind in ("bicubic", "bilinear"):
        eight_bit = oracles.pil_crop_resize(image, box, size, interpolation=kind)
        crops[f"crop_{kind}_pil"] = _levels(eight_bit)
    return {name: crop[0] for name, crop in crops.items()}


def _jitters(image, inputs):
    factors = {name: _column(inputs[f"{name}_factor"])[:1] for name in _ADJUST}
    orders = {"jitter_bcsh": [[0, 1, 2, 3]], "jitter_hscb": [[3, 2, 1, 0]]}
    return {
        name: ops.color_jitter(image, **factors, position=tf.constant(order))[0]
        for name, order in orders.items()
    }


CASES = {"augment_ops": augment_ops}
