"""Which images a batch holds, and their pixels: arrays, or crops of images that are encoded."""

import tensorflow as tf

from pipelines.errors import DataError
from pipelines.views.augment import crop_boxes

_TRIES = 100  # images in a row that may be lost; beyond, it is not the images
UNREADABLE = "images in a row cannot be read"  # what the stream then says, after their number


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
    """Batches (seed, indices) -> (seed, indices, crops) out of images that are encoded.

    For an image that can be decoded no more, the next one in the order of `images` that can is
    drawn at its place in the batch: it depends on nothing else.
    """
    table = images.table()

    @tf.autograph.experimental.do_not_convert
    def draw(seed, indices):
        seeds = tf.repeat(seed[None], len(places), axis=0)
        return seeds, tf.constant(places), indices, *boxes_of(seed, indices, places)

    def boxes_of(seed, indices, places):
        sides = [tf.gather(table[name], indices) for name in ("heights", "widths")]
        draws = [
            crop_boxes(policies, kind, *sides, seed, places, total)
            for kind, (policies, _) in kinds.items()
        ]
        return [tf.concat(parts, axis=1) for parts in zip(*draws, strict=True)]

    policies = [(policy, size) for each, size in kinds.values() for policy in each]
    sizes = [size for _, size in policies]
    methods = [policy.interpolation for policy, _ in policies]

    @tf.autograph.experimental.do_not_convert
    def decode(seed, place, index, boxes, flips):
        crops, good = images.crops(table, index, boxes, flips, sizes, methods)
        index, *crops = tf.cond(
            good, lambda: (index, *crops), lambda: next_good(seed, place, index, crops)
        )
        groups = {}
        for kind, (each, _) in kinds.items():
            groups[kind], crops = tf.stack(crops[: len(each)]), crops[len(each) :]
        return seed, index, groups

    def next_good(seed, place, index, crops):
        def attempt(tries, other, good, *crops):
            other = (other + 1) % len(images)
            boxes, flips = (part[0] for part in boxes_of(seed, other[None], place[None]))
            crops, good = images.crops(table, other, boxes, flips, sizes, methods)
            return tries + 1, other, good, *crops

        start = (tf.constant(0), images.lose(index), tf.constant(False), *crops)
        _, other, good, *crops = tf.while_loop(
            lambda tries, other, good, *crops: ~good & (tries < _TRIES), attempt, start
        )
        with tf.control_dependencies([tf.debugging.Assert(good, [f"{_TRIES} {UNREADABLE}"])]):
            return tf.identity(other), *crops

    decoded = batches.map(draw).unbatch()
    decoded = decoded.map(decode, num_parallel_calls=num_parallel_calls, deterministic=True)
    decoded = decoded.batch(len(places), drop_remainder=True)
    return decoded.map(lambda seeds, indices, crops: (seeds[0], indices, crops))
