"""The stream of training batches: shuffled, augmented, and the same from any step on."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines.data.image_array import Images, as_images
from pipelines.views.augment import crop_boxes, make_augment
from pipelines.views.policy import ViewPolicy

_BATCHES_AHEAD = 2


def train_views(
    images: np.ndarray | Images,
    *,
    policy: Sequence[ViewPolicy],
    batch_size: int,
    seed: int,
    start_step: int = 0,
    mean: Sequence[float],
    std: Sequence[float],
    image_size: int,
    local_policy: Sequence[ViewPolicy] = (),
    local_size: int | None = None,
    with_index: bool = False,
    on_device: bool = False,
    num_parallel_calls: int = tf.data.AUTOTUNE,
) -> tf.data.Dataset:
    """Infinite data set of training batches from global step `start_step` on.

    Epoch e visits the images in an order that follows from (seed, e), and the views of step s
    follow from (seed, s) and the image's place in the batch: the element of a step is bit for bit
    the same wherever the stream started and however many calls run in parallel.

    Args:
        images: uint8 array (N, height, width, channels), held in memory once, or `EncodedImages`,
            of which each is decoded at every visit, as far as its crops reach.
        policy: one `ViewPolicy` per view, as `policy_for` gives.
        batch_size: global batch; the rest of an epoch is dropped.
        seed: int, 0 <= seed < 2**31.
        start_step: the first step, counted from the start of training.
        mean, std: per channel, for values in [0, 1].
        image_size: side of the views.
        local_policy: one `ViewPolicy` per local crop; the views do not depend on it.
        local_size: side of the local crops.
        with_index: whether to say which images a batch holds.
        on_device: whether the batches are left as they are for `device_views`, which draws the
            same views where the training runs.
        num_parallel_calls: batches augmented, and images decoded, at the same time.

    Returns:
        `tf.data.Dataset` of {"global": (batch_size, len(policy), image_size, image_size, channels)
        float32}; with local crops also "local": (batch_size, len(local_policy), local_size,
        local_size, channels) float32; on request also "index": (batch_size,) int64, positions in
        `images`. With `on_device`: "raw", the images, or crops of encoded ones, as uint8; "seed"
        (batch_size, 2) and "place" (batch_size,), int32.

    Raises:
        UserError: if the batch is larger than the data set, seed or step are out of range, or local
            crops have no size.

    Example:

    >>> from pipelines.views.policies import policy_for
    >>> views = train_views(np.zeros((8, 16, 16, 1), "uint8"), policy=policy_for("digits"),
    ...                     batch_size=4, seed=0, mean=[0.5], std=[0.25], image_size=16)
    >>> next(iter(views))["global"].shape
    TensorShape([4, 2, 16, 16, 1])
    """
    batches = raw_batches(
        images,
        policy=policy,
        batch_size=batch_size,
        seed=seed,
        start_step=start_step,
        image_size=image_size,
        local_policy=local_policy,
        local_size=local_size,
        num_parallel_calls=num_parallel_calls,
    )
    draw = device_views(
        batch_size,
        policy,
        image_size=image_size,
        mean=mean,
        std=std,
        local_policy=local_policy,
        local_size=local_size,
    )

    @tf.autograph.experimental.do_not_convert
    def element(batch):
        if not with_index:
            batch = {name: value for name, value in batch.items() if name != "index"}
        return batch if on_device else draw(batch)

    batches = batches.map(element, num_parallel_calls=num_parallel_calls, deterministic=True)
    return batches.prefetch(_BATCHES_AHEAD).with_options(_untuned())


def raw_batches(
    images,
    *,
    policy: Sequence[ViewPolicy],
    batch_size: int,
    seed: int,
    start_step: int = 0,
    image_size: int,
    local_policy: Sequence[ViewPolicy] = (),
    local_size: int | None = None,
    num_images=None,
    copy=True,
    num_parallel_calls: int = tf.data.AUTOTUNE,
) -> tf.data.Dataset:
    """Infinite data set of what `device_views` draws views from: `train_views` before it draws.

    Args:
        images, policy, batch_size, seed, start_step, image_size, local_policy, local_size,
            num_parallel_calls: as for `train_views`.
        num_images: positions to visit in an epoch, at least as many as there are images; those
            beyond the last image mean that one.
        copy: whether an array is copied into the stream once; otherwise only the images of each
            batch are read, more slowly.

    Returns:
        `tf.data.Dataset` of {"raw", "seed", "place", "index"}, as described in `train_views`.

    Raises:
        UserError: as `train_views` does.
    """
    for name, value in (("seed", seed), ("start_step", start_step)):
        if not 0 <= value < 2**31:
            raise UserError(f"{name}={value} does not fit: it must be in [0, 2**31).")
    if local_policy and not local_size:
        raise UserError(f"local_size={local_size}: local crops need their side in pixels.")
    positions = num_images or len(images)
    batches = index_batches(positions, batch_size, seed=seed, start_step=start_step)
    batches = batches.enumerate(start_step).map(
        lambda step, indices: (tf.stack([seed, tf.cast(step, tf.int32)]), indices)
    )
    kinds = {"global": (policy, image_size)}
    if local_policy:
        kinds["local"] = local_policy, local_size
    crops = Crops(kinds, batch_size)
    batches = as_images(images).batches(
        batches, crops, num_parallel_calls=num_parallel_calls, copy=copy
    )

    @tf.autograph.experimental.do_not_convert
    def element(seed, positions, raw):
        seeds = tf.repeat(seed[None], batch_size, axis=0)
        positions = tf.cast(positions, tf.int64)
        return {"raw": raw, "seed": seeds, "place": tf.range(batch_size), "index": positions}

    batches = batches.map(element)
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return batches.apply(endless).with_options(_untuned())


def device_views(
    batch_size: int,
    policy: Sequence[ViewPolicy],
    *,
    image_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    local_policy: Sequence[ViewPolicy] = (),
    local_size: int | None = None,
    on_gpu: bool = False,
) -> Callable:
    """Function from an element of `train_views(..., on_device=True)` to that without it.

    It runs inside of the train step, on the device that trains, on the whole batch or on a
    replica's part of it; arguments as for `train_views`, and whether that device is a GPU.

    Example:

    >>> from pipelines.views.policies import policy_for
    >>> settings = dict(policy=policy_for("digits"), batch_size=4, image_size=16,
    ...                 mean=[0.5], std=[0.25])
    >>> raw = train_views(np.zeros((8, 16, 16, 1), "uint8"), seed=0, on_device=True, **settings)
    >>> device_views(**settings)(next(iter(raw)))["global"].shape
    TensorShape([4, 2, 16, 16, 1])
    """
    augment = make_augment(
        policy,
        image_size,
        mean,
        std,
        local_views=local_policy,
        local_size=local_size,
        on_gpu=on_gpu,
    )

    def views(batch):
        rest = {name: value for name, value in batch.items() if name == "index"}
        drawn = augment(batch["raw"], batch["seed"][0], places=batch["place"], total=batch_size)
        return {**drawn, **rest}

    return views


def steps_per_epoch(num_images: int, batch_size: int) -> int:
    """Whole batches in an epoch; what is left over waits for another epoch's order.

    Raises:
        UserError: if `batch_size` is not positive or larger than `num_images`.

    Example:

    >>> steps_per_epoch(1437, 256)
    5
    """
    if batch_size < 1:
        raise UserError(f"batch_size={batch_size}: it must be at least 1.")
    if batch_size > num_images:
        raise UserError(
            f"batch_size={batch_size} is larger than the data set of {num_images} training images: "
            f"take --batch_size={num_images} or less."
        )
    return num_images // batch_size


def index_batches(
    num_images: int, batch_size: int, *, seed: int, start_step: int
) -> tf.data.Dataset:
    """Positions of the images of each step, (batch_size,) int32, from `start_step` on."""
    steps = steps_per_epoch(num_images, batch_size)
    first_epoch, done = divmod(start_step, steps)

    @tf.autograph.experimental.do_not_convert
    def epoch(number):
        # Minus: the steps' seeds are (seed, step), and the two streams must differ.
        order_seed = tf.stack([seed, tf.cast(-1 - number, tf.int32)])
        order = tf.random.experimental.stateless_shuffle(tf.range(num_images), order_seed)
        order = tf.reshape(order[: steps * batch_size], (steps, batch_size))
        skipped = tf.where(number == first_epoch, done, 0)
        return tf.data.Dataset.from_tensor_slices(order[skipped:])

    return tf.data.Dataset.counter(first_epoch).flat_map(epoch)


@dataclasses.dataclass(frozen=True)
class Crops:
    """The crops that the views of a batch begin with, for images that are decoded only there.

    Args:
        kinds: {"global", and perhaps "local": (policies, side)}.
        batch_size: images of a batch.
    """

    kinds: dict
    batch_size: int

    @property
    def sizes(self):
        """Side of each crop of an image."""
        return [size for policies, size in self.kinds.values() for _ in policies]

    @property
    def methods(self):
        """Interpolation of each crop of an image."""
        return [policy.interpolation for policies, _ in self.kinds.values() for policy in policies]

    def boxes(self, heights, widths, seed, places):
        """Boxes (b, crops, 4) and flips (b, crops) of images of these sides, int32 (b,)."""
        draws = [
            crop_boxes(policies, kind, heights, widths, seed, places, self.batch_size)
            for kind, (policies, _) in self.kinds.items()
        ]
        return [tf.concat(parts, axis=1) for parts in zip(*draws, strict=True)]

    def by_kind(self, crops):
        """{kind: (crops, side, side, 3)} of the crops of an image."""
        found = {}
        for kind, (policies, _) in self.kinds.items():
            found[kind], crops = tf.stack(crops[: len(policies)]), crops[len(policies) :]
        return found


def _untuned():
    """Options of a stream whose parallelism stays what it is.

    The thread that tunes it sleeps for as long as the stream has run, a minute at most, and an
    iterator that ends may wait for it: up to a minute in which nothing happens after a training.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options
