"""The stream of training batches: shuffled, augmented, and the same from any step on."""

import tensorflow as tf

from pipelines.data.encoded import EncodedImages
from pipelines.errors import DataError
from pipelines.views.augment import make_augment
from pipelines.views.batches import cut_out, gathered, index_batches, places_of, steps_per_epoch

__all__ = ["device_views", "steps_per_epoch", "train_views"]


_BATCHES_AHEAD = 2


def _untuned():
    """Options of a stream whose parallelism stays what it is.

    The thread that tunes it sleeps for as long as the stream has run, a minute at most, and an
    iterator that ends may wait for it: up to a minute in which nothing happens after a training.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def train_views(
    images,
    *,
    policy,
    batch_size,
    seed,
    start_step=0,
    mean,
    std,
    image_size,
    local_policy=(),
    local_size=None,
    with_index=False,
    shard=(0, 1),
    on_device=False,
    num_parallel_calls=tf.data.AUTOTUNE,
):
    """Infinite data set of training batches from global step `start_step` on.

    Epoch e visits the images in an order that follows from (seed, e), and the views of step s
    follow from (seed, s) and the image's place in the batch: the element of a step is bit for bit
    the same wherever the stream started, however many calls run in parallel, and whether one
    worker makes it or several make their parts of it.

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
        shard: (worker, workers); each of several workers gets its part of every batch.
        on_device: whether the batches are left as they are for `device_views`, which draws the
            same views where the training runs.
        num_parallel_calls: batches augmented, and images decoded, at the same time.

    Returns:
        `tf.data.Dataset` of {"global": (b, len(policy), image_size, image_size, channels)
        float32}, b = batch_size / workers; with local crops also "local": (b, len(local_policy),
        local_size, local_size, channels) float32; on request also "index": (b,) int64, positions in
        `images`. With `on_device`: "raw", the images, or crops of encoded ones, as uint8; "seed"
        (b, 2) and "place" (b,), int32.

    Raises:
        DataError: if the batch is larger than the data set or does not divide over the workers,
            seed or step are out of range, or local crops have no size.

    Example:

    >>> import numpy as np
    >>> from pipelines.views.policies import policy_for
    >>> views = train_views(np.zeros((8, 16, 16, 1), "uint8"), policy=policy_for("digits"),
    ...                     batch_size=4, seed=0, mean=[0.5], std=[0.25], image_size=16)
    >>> next(iter(views))["global"].shape
    TensorShape([4, 2, 16, 16, 1])
    """
    for name, value in (("seed", seed), ("start_step", start_step)):
        if not 0 <= value < 2**31:
            raise DataError(f"{name}={value} does not fit: it must be in [0, 2**31).")
    if local_policy and not local_size:
        raise DataError(f"local_size={local_size}: local crops need their side in pixels.")
    places = places_of(batch_size, shard)
    batches = index_batches(len(images), batch_size, seed=seed, start_step=start_step)
    batches = batches.enumerate(start_step).map(_seed_and_part(seed, places))
    kinds = {"global": (policy, image_size), "local": (local_policy, local_size)}
    read = cut_out if isinstance(images, EncodedImages) else gathered
    batches = read(
        images,
        batches,
        kinds={kind: (views, size) for kind, (views, size) in kinds.items() if views},
        places=places,
        total=batch_size,
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
    def element(seed, indices, raw):
        seeds = tf.repeat(seed[None], len(places), axis=0)
        batch = {"raw": raw, "seed": seeds, "place": tf.constant(places)}
        if with_index:
            batch["index"] = tf.cast(indices, tf.int64)
        return batch if on_device else draw(batch)

    batches = batches.map(element, num_parallel_calls=num_parallel_calls, deterministic=True)
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return batches.apply(endless).prefetch(_BATCHES_AHEAD).with_options(_untuned())


def device_views(
    batch_size,
    policy,
    *,
    image_size,
    mean,
    std,
    local_policy=(),
    local_size=None,
    on_gpu=False,
):
    """Function from an element of `train_views(..., on_device=True)` to that without it.

    It runs inside of the train step, on the device that trains, on the whole batch or on a
    replica's part of it; arguments as for `train_views`, and whether that device is a GPU.

    Example:

    >>> import numpy as np
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


def _seed_and_part(seed, places):
    """Function from a step and its indices to the step's seed and a worker's part of them."""

    @tf.autograph.experimental.do_not_convert
    def part(step, indices):
        return tf.stack([seed, tf.cast(step, tf.int32)]), tf.gather(indices, places)

    return part
