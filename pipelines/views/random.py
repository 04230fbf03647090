"""What the views of a batch are drawn with: numbers that follow from the seed and the place."""

import itertools

import tensorflow as tf

from pipelines.ops import CROP_DRAWS

# What a view draws, and how many numbers for it. All are drawn, used or not, so that changing one
# setting of a policy leaves the other draws as they were; new ones come last for the same reason.
DRAWS = {
    "crop": CROP_DRAWS,
    "erase_box": CROP_DRAWS,
    **dict.fromkeys(("rotation", "shear_y", "shear_x", "zoom", "shift_y", "shift_x"), 1),
    **dict.fromkeys(("jitter", "brightness", "contrast", "saturation", "hue", "order"), 1),
    **dict.fromkeys(("grayscale", "blur", "sigma", "solarize", "erase", "flip"), 1),
    **dict.fromkeys(("quarter_turn", "quarters", "channel_drop", "channel", "sobel", "cutout"), 1),
    "cutout_place": 2,
}

# Folded into a step's seed, it makes that of the local crops; the noise of views folds in 0, 1, ...
_LOCAL = -1


def seed_of(kind, seed):
    """The seed of a step's views, global or local."""
    if kind == "global":
        return seed
    return tf.random.experimental.stateless_fold_in(seed, _LOCAL, alg="philox")


def runs_of(policies):
    """Policies that follow each other and are the same: [(policy, first view, views)]."""
    runs, first = [], 0
    for policy, same in itertools.groupby(policies):
        runs.append((policy, first, len(list(same))))
        first += runs[-1][-1]
    return runs


def noise_seed(seed, first):
    """The seed of the noise of the views from `first` on."""
    # By name: the compiler's own choice gives others for seeds below 0, as local crops have them.
    return tf.random.experimental.stateless_fold_in(seed, first, alg="philox")


def draw(total, num_views, seed, places):
    """Uniform numbers by name, (batch, views) or (numbers, batch, views)."""
    shape = (sum(DRAWS.values()), total, num_views)
    rows = tf.random.stateless_uniform(shape, seed, alg="philox")
    if places is not None:
        rows = tf.gather(rows, places, axis=1)
    parts = tf.split(rows, list(DRAWS.values()))
    return {
        name: part if count > 1 else part[0]
        for (name, count), part in zip(DRAWS.items(), parts, strict=True)
    }


# The generator gives other numbers under XLA; crops of files are those of images in memory.
compiled_draw = tf.function(draw, jit_compile=True, autograph=False)


def noise_of(total, count, seed, places):
    """Function from the shape of an image to normal numbers for `count` views of each image."""

    def noise(shape):
        drawn = tf.random.stateless_normal((total * count, *shape), seed, alg="philox")
        if places is None:
            return drawn
        drawn = tf.reshape(drawn, (total, count, *shape))
        return tf.reshape(tf.gather(drawn, places), (-1, *shape))

    return noise


def flat(uniform):
    """Join the axes batch and views."""
    return tf.reshape(uniform, (*uniform.shape[:-2], -1))
