"""The stream of training batches: shuffled, augmented, and the same from any step on."""

import tensorflow as tf

from pipelines.augment import make_augment
from pipelines.errors import DataError


def steps_per_epoch(num_images, batch_size):
    """Whole batches in an epoch; what is left over waits for another epoch's order.

    Raises:
        DataError: if `batch_size` is not positive or larger than `num_images`.

    Example:

    >>> steps_per_epoch(1437, 256)
    5
    """
    if batch_size < 1:
        raise DataError(f"batch_size={batch_size}: it must be at least 1.")
    if batch_size > num_images:
        raise DataError(
            f"batch_size={batch_size} is larger than the data set of {num_images} training images:"
            f" use at most {num_images}."
        )
    return num_images // batch_size


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
    num_parallel_calls=tf.data.AUTOTUNE,
):
    """Infinite data set of training batches from global step `start_step` on.

    Epoch e visits the images in an order that follows from (seed, e), and the views of step s
    follow from (seed, s): the element of a step is bit for bit the same wherever the stream
    started and however many calls run in parallel.

    Args:
        images: uint8 array (N, height, width, channels), held in memory once.
        policy: one `ViewPolicy` per view, as `policy_for` gives.
        batch_size: global batch; the rest of an epoch is dropped.
        seed: int, 0 <= seed < 2**31.
        start_step: the first step, counted from the start of training.
        mean, std: per channel, for values in [0, 1].
        image_size: side of the views.
        local_policy: one `ViewPolicy` per local crop; the views do not depend on it.
        local_size: side of the local crops.
        with_index: whether to say which images a batch holds.
        num_parallel_calls: batches augmented at the same time.

    Returns:
        `tf.data.Dataset` of {"global": (batch_size, len(policy), image_size, image_size, channels)
        float32}; with local crops also "local": (batch_size, len(local_policy), local_size,
        local_size, channels) float32; on request also "index": (batch_size,) int64, positions in
        `images`.

    Raises:
        DataError: if the batch is larger than the data set, seed or step are out of range, or local
            crops have no size.

    Example:

    >>> import numpy as np
    >>> from pipelines.policies import policy_for
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
    augment = make_augment(
        policy, image_size, mean, std, local_views=local_policy, local_size=local_size
    )
    with tf.device("/cpu:0"):
        # Captured by the stream as it is: one copy, and no constant inside of a graph.
        images = tf.constant(images)

    @tf.autograph.experimental.do_not_convert
    def views(step, indices):
        batch = tf.gather(images, indices)
        batch = augment(batch, tf.stack([seed, tf.cast(step, tf.int32)]))
        return {**batch, "index": tf.cast(indices, tf.int64)} if with_index else batch

    batches = _index_batches(len(images), batch_size, seed=seed, start_step=start_step)
    batches = batches.enumerate(start_step)
    batches = batches.map(views, num_parallel_calls=num_parallel_calls, deterministic=True)
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return batches.apply(endless).prefetch(tf.data.AUTOTUNE)


def _index_batches(num_images, batch_size, *, seed, start_step):
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
