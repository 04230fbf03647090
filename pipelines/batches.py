"""Which images a batch holds, and their pixels: arrays, or crops of images that are encoded."""

import tensorflow as tf

from pipelines.augment import crop_boxes
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
            f"batch_size={batch_size} is larger than the data set of {num_images} training images: "
            f"take --batch_size={num_images} or less."
        )
    return num_images // batch_size


def index_batches(num_images, batch_size, *, seed, start_step):
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


def places_of(batch_size, shard):
    """Places in the global batch that are a worker's."""
    worker, workers = shard
    if not 0 <= worker < workers:
        raise DataError(f"shard={shard} does not fit: it is (worker, workers), workers from 0.")
    if batch_size % workers:
        raise DataError(
            f"batch_size={batch_size} does not divide over {workers} workers: take a multiple."
        )
    part = batch_size // workers
    return list(range(worker * part, (worker + 1) * part))


def gathered(images, batches, *, num_parallel_calls, **_):
    """Batches (seed, indices) -> (seed, indices, images) out of an array."""
    with tf.device("/cpu:0"):
        # Captured by the stream as it is: one copy, and no constant inside of a graph.
        images = tf.constant(images)

    def pixels(seed, indices):
        return seed, indices, tf.gather(images, indices)

    return batches.map(pixels, num_parallel_calls=num_parallel_calls, deterministic=True)


def cut_out(images, batches, *, kinds, places, total, num_parallel_calls):
    """Batches (seed, indices) -> (seed, indices, crops) out of images that are encoded."""
    table = images.table()

    @tf.autograph.experimental.do_not_convert
    def draw(seed, indices):
        sides = [tf.gather(table[name], indices) for name in ("heights", "widths")]
        draws = [
            crop_boxes(policies, kind, *sides, seed, places, total)
            for kind, (policies, _) in kinds.items()
        ]
        boxes, flips = (tf.concat(parts, axis=1) for parts in zip(*draws, strict=True))
        return tf.repeat(seed[None], len(places), axis=0), indices, boxes, flips

    policies = [(policy, size) for each, size in kinds.values() for policy in each]
    sizes = [size for _, size in policies]
    methods = [policy.interpolation for policy, _ in policies]

    @tf.autograph.experimental.do_not_convert
    def decode(seed, index, boxes, flips):
        crops, groups = images.crops(table, index, boxes, flips, sizes, methods), {}
        for kind, (each, _) in kinds.items():
            groups[kind], crops = tf.stack(crops[: len(each)]), crops[len(each) :]
        return seed, index, groups

    decoded = batches.map(draw).unbatch()
    decoded = decoded.map(decode, num_parallel_calls=num_parallel_calls, deterministic=True)
    decoded = decoded.batch(len(places), drop_remainder=True)
    return decoded.map(lambda seeds, indices, crops: (seeds[0], indices, crops))
