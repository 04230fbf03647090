"""Features in clouds around a center for each class, for the tests of probes."""

import numpy as np


def blobs(train=150, test=60, width=8, classes=3, spread=1.0, seed=0):
    """(train, labels, test, labels); a smaller `spread` makes the classes easier to separate."""
    generator = np.random.default_rng(seed)
    centers = 2 * generator.normal(size=(classes, width))
    labels = [generator.permutation(np.arange(count) % classes) for count in (train, test)]
    features = [
        (centers[label] + spread * generator.normal(size=(len(label), width))).astype("float32")
        for label in labels
    ]
    return features[0], labels[0], features[1], labels[1]
