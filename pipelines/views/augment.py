"""Turn a batch of images into views with one compiled function, randomness from a seed."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines import ops
from pipelines.views.policy import ViewPolicy
from pipelines.views.random import compiled_draw, draw, flat, noise_of, noise_seed, runs_of, seed_of
from pipelines.views.view import one_view

# Sides from which on views are drawn one by one, in pixels.
_LARGE = 96


def make_augment(
    policy_views: Sequence[ViewPolicy],
    image_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    local_views: Sequence[ViewPolicy] = (),
    local_size: int | None = None,
    on_gpu: bool = False,
) -> Callable:
    """Build the function that draws the views of a batch, and smaller local crops if wanted.

    The function is compiled by XLA (once per shape of the batch), holds no state, and draws every
    parameter per image and view from the seed and the place in the batch: the same arguments give
    the same bits. Local crops draw for themselves: the views are the same with and without them.
    It computes in float32.

    Args:
        policy_views: one `ViewPolicy` per view.
        image_size: side of the views.
        mean, std: per channel, for values in [0, 1]; the views are normalized with them last.
        local_views: one `ViewPolicy` per local crop.
        local_size: side of the local crops.
        on_gpu: whether the function will run on a GPU, which draws all views of a batch at once; a
            core of a CPU draws large ones one by one. The views are the same up to rounding.

    Returns:
        `augment(images, seed, places=None, total=None)`: images (batch, height, width, channels),
        uint8 or float in [0, 1], seed (2,) int32 -> {"global": (batch, len(policy_views),
        image_size, image_size, channels)}, and with local crops "local": (batch, len(local_views),
        local_size, local_size, channels). In the place of images there may be crops of them, cut
        out as `crop_boxes` says, in the form of the result. A part of a batch of `total` images
        gives its `places` (batch,) in it, and gets what the whole would have had there.

    Raises:
        UserError: when the function meets images whose channels are not 1 or 3, or not as many as
            `mean` has.

    Example:

    >>> from pipelines.views.policies import policy_for
    >>> augment = make_augment(policy_for("gray"), 8, mean=[0.5], std=[0.25])
    >>> augment(tf.zeros((4, 8, 8, 1), tf.uint8), tf.constant([0, 1]))["global"].shape
    TensorShape([4, 2, 8, 8, 1])
    """
    numbers = (tuple(map(float, values)) for values in (mean, std))
    kinds = (tuple(policy_views), image_size), (tuple(local_views), local_size)
    return _augment(*kinds, *numbers, on_gpu)


@functools.lru_cache(maxsize=32)  # one function for the same settings: compiling takes seconds
def _augment(views, local_crops, mean, std, on_gpu):
    mean, std = (np.array(values, "float32") for values in (mean, std))
    kinds = {"global": views}
    if local_crops[0]:
        kinds["local"] = local_crops

    @tf.function(jit_compile=True, autograph=False)
    def augment(images, seed, places=None, total=None):
        sources = images if isinstance(images, dict) else dict.fromkeys(kinds, images)
        views = {}
        for kind, (policies, size) in kinds.items():
            _check_channels(sources[kind].shape, mean.shape)
            alone = not on_gpu and _is_large(sources[kind].shape, size)
            draw = _views_one_by_one if alone else _views
            views[kind] = draw(
                sources[kind],
                policies,
                size,
                seed_of(kind, seed),
                places,
                total,
                normalize=lambda view: (view - mean) / std,
            )
        return views

    return augment


def crop_boxes(policies, kind, heights, widths, seed, places, total):
    """Where the crops of images are cut out that are too large or too many to lie in memory.

    Args:
        policies: one `ViewPolicy` per crop.
        kind: "global" or "local".
        heights, widths: (batch,) int32, in pixels.
        seed, places, total: as for the function of `make_augment`, which draws the same.

    Returns:
        boxes (batch, crops, 4) int32: top, left, height and width; and (batch, crops) bool: whether
        the crop is flipped left to right.
    """
    uniform = compiled_draw(total, len(policies), seed_of(kind, seed), places)
    sides = [tf.cast(side, tf.float32) for side in (heights, widths)]
    boxes, flips = [], []
    for view, policy in enumerate(policies):
        whole = tf.stack([tf.zeros_like(sides[0]), tf.zeros_like(sides[1]), *sides], axis=1)
        boxes.append(
            ops.random_boxes(
                uniform["crop"][..., view],
                *sides,
                scale=policy.crop_scale,
                ratio=policy.crop_ratio,
            )
            if policy.crop_scale[0] < 1.0 or policy.crop_ratio == (1.0, 1.0)
            else whole
        )
        flips.append(uniform["flip"][:, view] < policy.flip)
    return tf.cast(tf.stack(boxes, axis=1), tf.int32), tf.stack(flips, axis=1)


def to_float(images):
    """uint8 -> float32 in [0, 1]; floats become float32."""
    if images.dtype == tf.uint8:
        return tf.cast(images, tf.float32) / 255.0
    return tf.cast(images, tf.float32)


def _check_channels(shape, mean_shape):
    if shape.rank not in (4, 5) or shape[-1] not in (1, 3):
        raise UserError(f"Views are drawn from (batch, height, width, 1 or 3). Received {shape}.")
    if mean_shape != (shape[-1],):
        raise UserError(
            f"mean and std need one value per channel: {shape[-1]}. Received shape {mean_shape}."
        )


def _is_large(shape, size):
    """Whether one view of this size fills a core's cache.

    Drawn on its own, an operator that a view does not have costs nothing; a GPU would idle.
    """
    return max(*shape[-3:-1], size) >= _LARGE


def _views(images, policies, size, seed, places, total, *, normalize):
    """One view per policy: (batch, views, size, size, channels)."""
    images = to_float(images)
    total = tf.shape(images)[0] if total is None else total
    uniform = draw(total, len(policies), seed, places)
    views = []
    for policy, first, count in runs_of(policies):  # views of one policy share one pass
        draws = {name: flat(u[..., first : first + count]) for name, u in uniform.items()}
        noise = noise_of(total, count, noise_seed(seed, first), places)
        cropped = images.shape.rank == 5
        if cropped:
            each = tf.reshape(images[:, first : first + count], (-1, *images.shape[2:]))
        else:
            each = tf.repeat(images, count, axis=0)
        view = one_view(each, policy, size, draws, noise, cropped=cropped)
        views.append(tf.reshape(view, (-1, count, *view.shape[1:])))
    return normalize(tf.concat(views, axis=1))


def _views_one_by_one(images, policies, size, seed, places, total, *, normalize):
    """The same views up to rounding, one after the other."""
    count, batch = len(policies), tf.shape(images)[0]
    total = batch if total is None else total
    uniform = {name: flat(u) for name, u in draw(total, count, seed, places).items()}
    cropped = images.shape.rank == 5
    if cropped:
        images = tf.reshape(images, (-1, *images.shape[2:]))

    def drawer(policy, first, same):
        """Function from the place of a view in the batch to a view of this policy."""
        noise = None
        if policy.noise:
            seed_here = noise_seed(seed, first)
            noise = noise_of(total, same, seed_here, places)((size, size, images.shape[-1]))

        def view(place):
            image, number = place // count, place % count
            source = images[place if cropped else image]
            draws = {name: u[..., place, None] for name, u in uniform.items()}
            drawn = one_view(
                to_float(source)[None],
                policy,
                size,
                draws,
                lambda _: noise[image * same + number - first, None],
                cropped=cropped,
            )
            return normalize(drawn)[0]

        return view

    runs = runs_of(policies)
    drawers = [drawer(*run) for run in runs]
    which = tf.constant([run for run, (*_, same) in enumerate(runs) for _ in range(same)])

    def view(place):
        if len(drawers) == 1:
            return drawers[0](place)
        branches = [functools.partial(one, place) for one in drawers]
        return tf.switch_case(which[place % count], branches)

    views = tf.map_fn(view, tf.range(batch * count), fn_output_signature=tf.float32)
    return tf.reshape(views, (batch, count, *views.shape[1:]))
