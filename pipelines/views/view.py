"""One view of each image of a batch: the operators of a policy, in order, with given draws."""

import functools
import itertools
from collections.abc import Callable

import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines import ops
from pipelines.views.policy import ViewPolicy

_ORDERS = tuple(itertools.permutations(range(4)))
_ERASE_RATIO = (0.3, 3.3)  # torchvision's RandomErasing

_JITTERS = {
    "torchvision": ops.color_jitter,
    "tensorflow": ops.tf_color_jitter,
    "tensorflow_scaled": functools.partial(ops.tf_color_jitter, scaled=True),
}


def one_view(
    images: tf.Tensor,
    policy: ViewPolicy,
    size: int,
    draws: dict,
    noise: Callable,
    *,
    cropped: bool = False,
) -> tf.Tensor:
    """A view of each image: the operators in the order of the policy's fields.

    Operators without effect are omitted from the graph.

    Args:
        images: (batch, height, width, channels) float in [0, 1].
        policy: a `ViewPolicy`.
        size: side of the views.
        draws: uniform numbers by name, see `random.DRAWS`: (batch,), or (numbers, batch).
        noise: function from the shape of an image to normal numbers for all images.
        cropped: whether the images are cut out, resized and flipped already.

    Returns:
        (batch, size, size, channels) float in [0, 1].

    Raises:
        UserError: if the images are cut out already and the policy wants the crop last.
    """
    if policy.crop_last and cropped:
        raise UserError(
            "Augmentation: crop_last=True needs whole images, but these are cut out already when "
            "they come from their files. Take images that lie in memory, or crop_last=False."
        )
    if policy.crop_last:
        images = _colors(images, policy, draws)
    if not cropped:
        images = _crop(images, policy, size, draws)
    images = _warp(images, policy, draws)
    if policy.quarter_turn:
        quarters = 1 + tf.cast(3.0 * draws["quarters"], tf.int32)
        drawn = draws["quarter_turn"] < policy.quarter_turn
        images = ops.quarter_turns(images, tf.where(drawn, quarters, 0))
    if not policy.crop_last:
        images = _colors(images, policy, draws)
    return _filters(images, policy, draws, noise)


def _colors(images, policy, draws):
    images = _jitter(images, policy, draws)
    if policy.grayscale and images.shape[-1] == 3:
        drawn = draws["grayscale"] < policy.grayscale
        images = _where(drawn, images, ops.grayscale)
    if policy.channel_drop and images.shape[-1] == 3:
        channel = tf.cast(3.0 * draws["channel"], tf.int32)
        drawn = draws["channel_drop"] < policy.channel_drop
        images = ops.keep_channel(images, tf.where(drawn, channel, -1))
    return images


def _filters(images, policy, draws, noise):
    if policy.blur:
        drawn = draws["blur"] < policy.blur
        sigma = tf.where(drawn, _between(draws["sigma"], *policy.blur_sigma), 0.0)
        blur = functools.partial(ops.extended_box_blur, sigma=sigma, largest=policy.blur_sigma[1])
        images = ops.if_drawn(images, drawn, blur)
    if policy.sobel:
        images = _where(draws["sobel"] < policy.sobel, images, ops.sobel)
    if policy.solarize:
        images = _where(draws["solarize"] < policy.solarize, images, ops.solarize)
    if policy.noise:
        images = ops.clip(images + policy.noise * noise(images.shape[1:]))
    if policy.cutout:
        boxes = ops.cutout_boxes(draws["cutout_place"], *images.shape[1:3], policy.cutout_size)
        images = _erase(images, boxes, draws["cutout"] < policy.cutout)
    if policy.erase:
        places, scale = draws["erase_box"], policy.erase_scale
        boxes = ops.random_boxes(places, *images.shape[1:3], scale=scale, ratio=_ERASE_RATIO)
        images = _erase(images, boxes, draws["erase"] < policy.erase)
    return images


def _crop(images, policy, size, draws):
    """Crop, resize and flip; the flip, which commutes with the rest, is free here."""
    height, width = images.shape[1:3]
    mirror = draws["flip"] < policy.flip if policy.flip else None
    if policy.crop_scale[0] < 1.0:
        scale, ratio = policy.crop_scale, policy.crop_ratio
        boxes = ops.random_boxes(draws["crop"], height, width, scale=scale, ratio=ratio)
    elif (height, width) == (size, size) and mirror is None:
        return images
    else:
        whole = tf.constant([[0.0, 0.0, height, width]])
        boxes = tf.repeat(whole, tf.shape(images)[0], axis=0)
    images = ops.crop_resize(images, boxes, size, interpolation=policy.interpolation, mirror=mirror)
    return ops.clip(images) if policy.interpolation == "bicubic" else images


def _warp(images, policy, draws):
    still = not (policy.rotation or policy.shear or policy.translate)
    if still and tuple(policy.zoom) == (1.0, 1.0):
        return images

    def either_way(name, largest):
        return _between(draws[name], -largest, largest)

    matrix = ops.affine_matrix(
        rotation=either_way("rotation", policy.rotation),
        shear_y=either_way("shear_y", policy.shear),
        shear_x=either_way("shear_x", policy.shear),
        zoom=_between(draws["zoom"], *policy.zoom),
    )
    reach = policy.translate * images.shape[1]
    shift = tf.stack([either_way("shift_y", reach), either_way("shift_x", reach)], axis=1)
    return ops.affine(images, matrix, shift)


def _jitter(images, policy, draws):
    if not policy.jitter_probability:
        return images
    drawn = draws["jitter"] < policy.jitter_probability

    def amount(name, low, high, neutral):
        if low == high:
            return None
        return tf.where(drawn, _between(draws[name], low, high), neutral)

    strengths = {name: getattr(policy, name) for name in ("brightness", "contrast", "saturation")}
    factors = {
        name: amount(name, max(0.0, 1.0 - strength), 1.0 + strength, neutral=1.0)
        for name, strength in strengths.items()
    }
    if policy.arithmetic == "tensorflow":
        factors["brightness"] = amount("brightness", -policy.brightness, policy.brightness, 0.0)
    hue = amount("hue", -policy.hue, policy.hue, neutral=0.0)
    order = tf.cast(draws["order"] * len(_ORDERS), tf.int32)
    position = tf.gather(tf.constant(_ORDERS), order)
    jitter = functools.partial(_JITTERS[policy.arithmetic], **factors, hue=hue, position=position)
    return ops.if_drawn(images, drawn, jitter)


def _where(drawn, images, operator):
    """The operator on the images that are drawn."""

    def change(images):
        return tf.where(ops.per_image(drawn), operator(images), images)

    return ops.if_drawn(images, drawn, change)


def _erase(images, boxes, drawn):
    return ops.erase(images, tf.where(drawn[:, None], boxes, 0.0))


def _between(uniform, low, high):
    return low + (high - low) * uniform
