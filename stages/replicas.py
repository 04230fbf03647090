"""Compare a step of several replicas with that of one: `python -m stages.replicas GPUS`.

A program of its own for `stages/devices.py`. Its last line says what is wrong; exit status 0 if
nothing is.
"""

import sys

import keras
import numpy as np
import tensorflow as tf

import keras_ssl  # noqa: I001  (before TensorFlow: it sets up the environment)

# Of the largest change of a weight: above the rounding of sums in another order, below any mistake
# in how gradients or statistics are combined.
TOLERANCE = 0.01
ROWS = 4  # images of a replica


def changes(strategy, images, steps=2):
    """What some steps of SimCLR on one batch change: the losses, and the changes of all weights.

    Two views, negatives from all replicas, and the statistics of batch normalisation: what training
    on several replicas has to combine.
    """
    keras.utils.set_random_seed(0)
    with strategy.scope():
        method = keras_ssl.create(
            "simclr",
            backbone="tiny",
            input_shape=(8, 8, 3),
            hidden_dim=16,
            projection_dim=8,
        )
        method.compile(keras_ssl.SGD(0.1, momentum=0.9), jit_compile=False)
    before = method.get_weights()
    views = keras.random.uniform((images, 2, 8, 8, 3), seed=1)
    batches = tf.data.Dataset.from_tensors({"global": views}).repeat()
    history = method.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0).history
    weights = zip(method.get_weights(), before, strict=True)
    return np.array(history["loss"]), np.concatenate([np.ravel(a - b) for a, b in weights])


def complaint(several, one):
    """What is wrong with `changes` of several replicas, those of one being right; "" for nothing.

    Example:

    >>> complaint((np.ones(1), np.array([0.1, 0.4])), (np.ones(1), np.array([0.1, 0.2])))
    'the changes of weights of one and of several replicas: 100.0 % apart'
    """
    for what, a, b in zip(("the loss", "the changes of weights"), several, one, strict=True):
        if not np.all(np.isfinite(a)):
            return f"{what} turned to NaN"
        wrong = np.max(np.abs(a - b)) / np.max(np.abs(b))
        if wrong > TOLERANCE:
            return f"{what} of one and of several replicas: {100 * wrong:.1f} % apart"
    return ""


def main(count):
    """Compare `count` GPUs with one; -> exit status."""
    tf.config.experimental.enable_tensor_float_32_execution(False)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    several = tf.distribute.MirroredStrategy([f"/gpu:{place}" for place in range(count)])
    one = changes(tf.distribute.get_strategy(), ROWS * count)
    found = complaint(changes(several, ROWS * count), one)
    print(found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
