"""Train 36 linear probes at once and one by one, and print how many times longer the latter takes.

    python benchmarks/probe_grid.py RUN

RUN is the folder of a finished run of a `sem_` method. The 36 probes are 4 learning rates x 3 L1
weights x 3 temperatures of its embedding; and, in a second line, 12 learning rates x 3 L1 weights
on the features of its backbone. Both ways run the same function on the same data, one by one with a
grid of one, whose images are read at one temperature. What is compiled is compiled before the clock
starts; the two ways alternate, and the least time of each counts.
"""

import argparse
import itertools
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

TEMPERATURES = (0.01, 0.1, 1.0)  # SEM, appendix B.2
RATES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)


def features_of(run_folder):
    """Of the train images of a run: embeddings, backbone features, labels, (L, V)."""
    import keras

    import run

    stages = run.import_stages()  # without what TensorFlow prints as it loads
    from keras_ssl.evaluation.features import extract
    from keras_ssl.layers.necks import backbone_of, simplices_of

    recipe = run.recipes.load(run_folder, run.read_catalog())
    encoder, preprocessing = stages.load_trained(run_folder)
    simplices = simplices_of(encoder)
    if simplices is None:
        raise run.UserError(f"'{run_folder}' has no simplices: give a run of a sem_ method.")
    data = stages.load_inputs(recipe, preprocessing).data
    models = keras.Model(encoder.input, simplices.input), backbone_of(encoder)
    features = [extract(m, data.train_images, preprocessing.function) for m in models]
    return *features, data.train_labels, (simplices.num_simplices, simplices.simplex_size)


def at_temperatures(sizes, temperatures):
    """Reading of an embedding: (B, L * V) -> (temperatures, B, L * V)."""
    import tensorflow as tf

    from keras_ssl.layers.simplicial import simplicial_embedding

    return lambda z: tf.stack([simplicial_embedding(z, *sizes, tau) for tau in temperatures])


def compare(features, labels, together, singles, rates, options):
    """Seconds at once, seconds one by one, and how far apart their weights are.

    together: the reading of all; singles: those of one representation each; rates: the grid's.
    """
    import numpy as np
    import tensorflow as tf

    from keras_ssl.evaluation.probe_protocols import PROBES
    from keras_ssl.evaluation.probe_training import train_probes

    protocol = replace(PROBES["sem_sgd"], epochs=options.epochs)
    grid = np.array(list(itertools.product(rates, protocol.l1)))
    features, classes = tf.constant(features), int(labels.max()) + 1

    def train(read, settings, protocol=protocol):
        pairs = np.moveaxis(settings, -1, 0)
        weights = train_probes(features, labels, *pairs, protocol, classes=classes, read=read)
        return weights[0].numpy()

    def at_once(protocol=protocol):
        return train(together, np.stack([grid] * len(singles)), protocol)

    def one_by_one():
        return [train(read, setting[None, None]) for read in singles for setting in grid]

    short = replace(protocol, epochs=1)
    at_once(short)
    for read in singles:
        train(read, grid[None, :1], short)
    rounds = [(*timed(at_once), *timed(one_by_one)) for _ in range(options.rounds)]
    fast, stacked, slow, alone = zip(*rounds, strict=True)
    alone = np.stack(alone[0]).reshape(stacked[0].shape)
    return min(fast), min(slow), float(np.abs(alone - stacked[0]).max() / np.abs(alone).max())


def timed(work):
    """Seconds that `work()` took, and what it gave."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main():
    from keras_ssl.evaluation.probe_training import as_one

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="folder of a finished run of a sem_ method")
    parser.add_argument("--epochs", type=int, default=2, help="of each probe")
    parser.add_argument("--rounds", type=int, default=3, help="the least time counts")
    options = parser.parse_args()
    embeddings, features, labels, sizes = features_of(options.run)
    reading = at_temperatures(sizes, TEMPERATURES)
    singles = [at_temperatures(sizes, [tau]) for tau in TEMPERATURES]
    cases = {
        f"SEM {sizes[0]} x {sizes[1]}": (embeddings, labels, reading, singles, RATES[:8:2]),
        f"backbone, {features.shape[1]}": (features, labels, as_one, [as_one], RATES),
    }
    print("36 probes on        at once  one by one  times  largest difference of a weight")
    for name, case in cases.items():
        fast, slow, apart = compare(*case, options)
        print(
            f"{name:<18}{fast:7.2f} s {slow:9.2f} s {slow / fast:6.1f}  {apart:.0e} of the largest"
        )


if __name__ == "__main__":
    main()
