"""Train 36 linear probes at once and one by one, and print how many times longer the latter takes.

    python -m benchmarks.probe_grid RUN

RUN is the folder of a finished run of a `sem_` method. The 36 probes are those of SEM, 4 learning
rates x 3 L1 weights x 3 temperatures of its embedding; and, in a second line, 12 learning rates x 3
L1 weights on the features of its backbone. One by one they train in two ways:

- *grid of one*: the same function on the same data, whose images are read at one temperature;
- *Keras*: `fit` of a Dense layer (after a SimplicialEmbedding) with SGD and an L1 regularizer, one
  for each temperature, whose time is multiplied by the number of settings.

What is compiled is compiled before the clock starts; the ways alternate, and the least time of each
counts. GFLOP/s are those of the matrix products alone, next to what the processor reaches on two
matrices of 1,024 x 1,024; MiB, on Linux, the most that the process holds as it trains at once.
"""

import argparse
import itertools
import time
from dataclasses import replace

from benchmarks.common import Attempts, resident_memory

TEMPERATURES = (0.01, 0.1, 1.0)  # SEM, appendix B.2
RATES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)


def features_of(run_folder):
    """Of the train images of a run: embeddings, backbone features, labels, (L, V)."""
    import keras

    from keras_ssl.core.errors import UserError
    from keras_ssl.evaluation.representation import extract
    from keras_ssl.layers.necks import backbone_of, simplices_of
    from stages.commands import open_run

    run = open_run(run_folder)
    encoder, data = run.encoder, run.inputs.data
    simplices = simplices_of(encoder)
    if simplices is None:
        raise UserError(f"'{run_folder}' has no simplices: give a run of a sem_ method.")
    models = keras.Model(encoder.input, simplices.input), backbone_of(encoder)
    features = [extract(m, data.train_images, run.preprocess) for m in models]
    return *features, data.train_labels, (simplices.num_simplices, simplices.simplex_size)


def reading(layers):
    """What a Keras layer each, or None, makes of features: (B, E) -> (layers, B, E)."""
    import tensorflow as tf

    return lambda z: tf.stack([z if layer is None else layer(z) for layer in layers])


def compare(features, labels, layers, rates, options):
    """The least seconds at once, of a grid of one, and of Keras; the difference of weights; MiB.

    layers: of each representation, or None for the features as they are; rates: the grid's.
    """
    import numpy as np

    from keras_ssl.evaluation.probes.sgd import PROBES
    from keras_ssl.evaluation.probes.sgd_training import train_probes

    protocol = replace(PROBES["sem_sgd"], epochs=options.epochs)
    grid = np.array(list(itertools.product(rates, protocol.l1)))
    classes = int(labels.max()) + 1
    together, singles = reading(layers), [reading([layer]) for layer in layers]

    def train(read, settings, protocol=protocol):
        pairs = np.moveaxis(settings, -1, 0)
        (chains,) = map(
            weights_of, train_probes(features, labels, *pairs, protocol, classes=classes, read=read)
        )
        return np.stack(chains)

    def at_once(protocol=protocol):
        return train(together, np.stack([grid] * len(layers)), protocol)

    def one_by_one():
        return [train(read, setting[None, None]) for read in singles for setting in grid]

    def by_keras():
        for model in models:
            model.fit(features, labels, protocol.batch_size, options.epochs, verbose=0)

    models = [keras_probe(features.shape[1], classes, layer, *grid[-1]) for layer in layers]
    short = replace(protocol, epochs=1)
    at_once(short)
    memory = peak_memory(at_once)
    for read in singles:
        train(read, grid[None, :1], short)
    by_keras()
    rounds = [
        [part for way in (at_once, one_by_one, by_keras) for part in timed(way)]
        for _ in range(options.rounds)
    ]
    fast, stacked, slow, alone, keras, _ = zip(*rounds, strict=True)
    alone = np.stack(alone[0]).reshape(stacked[0].shape)
    apart = float(np.abs(alone - stacked[0]).max() / np.abs(alone).max())
    return min(fast), min(slow), min(keras) * len(grid), apart, memory


def weights_of(chains):
    """Those of each chain, here one for a representation: arrays (probes, classes, features)."""
    return [one.weights.numpy() for one in chains]


def keras_probe(width, classes, layer, rate, l1):
    """A linear probe as a user of Keras would write it."""
    import keras

    dense = keras.layers.Dense(classes, kernel_regularizer=keras.regularizers.L1(l1))
    model = keras.Sequential([keras.Input((width,)), *([layer] if layer else []), dense])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss)
    return model


def timed(work):
    """Seconds that `work()` took, and what it gave."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def peak_memory(work):
    """The most MiB that this process holds during `work()`; NaN where the system does not say."""
    resident_memory(reset=True)
    work()
    peak = resident_memory(peak=True)
    return float("nan") if peak is None else peak / 2**20


def product_rate(size=1024, times=20):
    """GFLOP/s of the product of two large matrices."""
    import tensorflow as tf

    matrix = tf.random.normal((size, size))
    product = tf.function(lambda x: tf.matmul(x, x))
    product(matrix)
    return 2e-9 * size**3 / min(timed(lambda: product(matrix).numpy())[0] for _ in range(times))


def main():
    """Time both grids of probes, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="folder of a finished run of a sem_ method")
    parser.add_argument("--epochs", type=int, default=2, help="of each probe")
    parser.add_argument("--rounds", type=int, default=3, help="the least time counts")
    options = parser.parse_args()
    embeddings, features, labels, sizes = features_of(options.run)
    from keras_ssl.evaluation.probes.sgd import PROBES
    from keras_ssl.layers.simplicial import SimplicialEmbedding

    simplices = [SimplicialEmbedding(*sizes, tau) for tau in TEMPERATURES]
    own = PROBES["sem_sgd"]
    cases = {
        f"SEM {sizes[0]} x {sizes[1]}": (embeddings, labels, simplices, own.learning_rates),
        f"backbone, {features.shape[1]}": (features, labels, [None], RATES),
    }
    print(f"two matrices of 1,024 x 1,024: {product_rate():.0f} GFLOP/s")
    print(
        "36 probes on        at once GFLOP/s   MiB   grid of one  times     Keras  times"
        "  largest difference of a weight"
    )
    attempt = Attempts()
    for name, case in cases.items():
        found = attempt(name, compare, *case, options)
        if found is None:
            print(f"{name:<18} failed")
            continue
        fast, slow, keras, apart, memory = found
        seen = len(labels) // own.batch_size * own.batch_size * options.epochs
        work = 36 * 4e-9 * seen * case[0].shape[1] * (int(labels.max()) + 1)
        print(
            f"{name:<18}{fast:7.2f} s {work / fast:7.0f} {memory:5.0f} {slow:11.2f} s "
            f"{slow / fast:6.1f} {keras:7.1f} s {keras / fast:6.1f}  {apart:.0e} of the largest"
        )
    attempt.finish()


if __name__ == "__main__":
    main()
