"""Turn a batch of images into views with one compiled function, randomness from a seed."""

import itertools

import tensorflow as tf

from pipelines import ops
from pipelines.errors import DataError

_ORDERS = tuple(itertools.permutations(range(4)))
_ERASE_RATIO = (0.3, 3.3)  # torchvision's RandomErasing

# Folded into a step's seed, it makes that of the local crops; the noise of views folds in 0, 1, ...
_LOCAL = -1

# What a view draws, and how many numbers for it. All are drawn, used or not, so that changing one
# setting of a policy leaves the other draws as they were.
_DRAWS = {
    "crop": ops.CROP_DRAWS,
    "erase_box": ops.CROP_DRAWS,
    **dict.fromkeys(("rotation", "shear_y", "shear_x", "zoom", "shift_y", "shift_x"), 1),
    **dict.fromkeys(("jitter", "brightness", "contrast", "saturation", "hue", "order"), 1),
    **dict.fromkeys(("grayscale", "blur", "sigma", "solarize", "erase", "flip"), 1),
}


def make_augment(policy_views, image_size, mean, std, *, local_views=(), local_size=None):
    """Build the function that draws the views of a batch, and smaller local crops if wanted.

    The function is compiled by XLA (once per shape of the batch), holds no state, and draws every
    parameter per image and view from the seed and the place in the batch: the same arguments give
    the same bits. Local crops draw for themselves: the views are the same with and without them.
    It computes in float32.

    Args:
        policy_views: one `ViewPolicy` per view.
        image_size: side of the views.
        mean, std: per channel, for values in [0, 1]; the views are normalised with them last.
        local_views: one `ViewPolicy` per local crop.
        local_size: side of the local crops.

    Returns:
        `augment(images, seed)`: images (batch, height, width, channels), uint8 or float in [0, 1],
        seed (2,) int32 -> {"global": (batch, len(policy_views), image_size, image_size, channels)},
        and with local crops "local": (batch, len(local_views), local_size, local_size, channels).

    Raises:
        DataError: when the function meets images whose channels are not 1 or 3, or not as many as
            `mean` has.

    Example:

    >>> from pipelines.policies import policy_for
    >>> augment = make_augment(policy_for("gray"), 8, mean=[0.5], std=[0.25])
    >>> augment(tf.zeros((4, 8, 8, 1), tf.uint8), tf.constant([0, 1]))["global"].shape
    TensorShape([4, 2, 8, 8, 1])
    """
    mean, std = (tf.constant(values, tf.float32) for values in (mean, std))

    @tf.function(jit_compile=True, autograph=False)
    def augment(images, seed):
        _check_channels(images.shape, mean.shape)
        images = to_float(images)
        views = {"global": _views(images, policy_views, image_size, seed)}
        if local_views:
            local_seed = tf.random.experimental.stateless_fold_in(seed, _LOCAL, alg="philox")
            views["local"] = _views(images, local_views, local_size, local_seed)
        return {name: (view - mean) / std for name, view in views.items()}

    return augment


def to_float(images):
    """uint8 -> float32 in [0, 1]; floats become float32."""
    if images.dtype == tf.uint8:
        return tf.cast(images, tf.float32) / 255.0
    return tf.cast(images, tf.float32)


def _check_channels(shape, mean_shape):
    if shape.rank != 4 or shape[-1] not in (1, 3):
        raise DataError(f"Views are drawn from (batch, height, width, 1 or 3). Received {shape}.")
    if mean_shape != (shape[-1],):
        raise DataError(
            f"mean and std need one value per channel: {shape[-1]}. Received shape {mean_shape}."
        )


def _views(images, policies, size, seed):
    """One view per policy: (batch, views, size, size, channels)."""
    uniform = _draw(tf.shape(images)[0], len(policies), seed)
    views, first = [], 0
    for policy, same in itertools.groupby(policies):  # views of one policy share one pass
        count = len(list(same))
        draws = {name: _flat(u[..., first : first + count]) for name, u in uniform.items()}
        noise_seed = tf.random.experimental.stateless_fold_in(seed, first)
        view = _view(tf.repeat(images, count, axis=0), policy, size, draws, noise_seed)
        views.append(tf.reshape(view, (-1, count, *view.shape[1:])))
        first += count
    return tf.concat(views, axis=1)


def _draw(batch, num_views, seed):
    """Uniform numbers by name, (batch, views) or (numbers, batch, views)."""
    shape = (sum(_DRAWS.values()), batch, num_views)
    rows = tf.random.stateless_uniform(shape, seed, alg="philox")
    parts = tf.split(rows, list(_DRAWS.values()))
    return {
        name: part if count > 1 else part[0]
        for (name, count), part in zip(_DRAWS.items(), parts, strict=True)
    }


def _flat(uniform):
    """Join the axes batch and views."""
    return tf.reshape(uniform, (*uniform.shape[:-2], -1))


def _between(uniform, low, high):
    return low + (high - low) * uniform


def _view(images, policy, size, draws, noise_seed):
    """One view of each image; operators in the order of the fields, without those of no effect."""
    images = _crop(images, policy, size, draws)
    images = _warp(images, policy, draws)
    images = _jitter(images, policy, draws)
    if policy.grayscale and images.shape[-1] == 3:
        gray = ops.per_image(draws["grayscale"]) < policy.grayscale
        images = tf.where(gray, ops.luma(images), images)
    if policy.blur:
        sigma = _between(draws["sigma"], *policy.blur_sigma)
        sigma = tf.where(draws["blur"] < policy.blur, sigma, 0.0)
        images = ops.extended_box_blur(images, sigma)
    if policy.solarize:
        drawn = ops.per_image(draws["solarize"]) < policy.solarize
        images = tf.where(drawn, ops.solarize(images), images)
    if policy.noise:
        noise = tf.random.stateless_normal(tf.shape(images), noise_seed, alg="philox")
        images = ops.clip(images + policy.noise * noise)
    if policy.erase:
        images = _erase(images, policy, draws)
    return images


def _crop(images, policy, size, draws):
    """Crop, resize and flip; the flip, which commutes with the rest, comes for nothing here."""
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
    hue = amount("hue", -policy.hue, policy.hue, neutral=0.0)
    order = tf.cast(draws["order"] * len(_ORDERS), tf.int32)
    position = tf.gather(tf.constant(_ORDERS), order)
    return ops.color_jitter(images, **factors, hue=hue, position=position)


def _erase(images, policy, draws):
    height, width = images.shape[1:3]
    scale = policy.erase_scale
    boxes = ops.random_boxes(draws["erase_box"], height, width, scale=scale, ratio=_ERASE_RATIO)
    return ops.erase(images, tf.where(draws["erase"][:, None] < policy.erase, boxes, 0.0))
