"""Self-Classifier step by step against NumPy."""

import numpy as np

from tests.descriptors import BATCH
from tests.unit.methods.record import Record
from tests.unit.support import log_softmax, ring, unit


def two_softmaxes(a, b):
    """Cross-entropy of the targets of `a` with the predictions of `b`."""
    target = np.exp(log_softmax(a / 0.05, axis=0))
    target = target / target.sum(axis=1, keepdims=True)
    p = np.exp(log_softmax(b / 0.1, axis=1))
    p = p / p.sum(axis=0, keepdims=True) * len(p) / p.shape[1]
    return -np.mean(np.sum(target * np.log(p + 1e-12), axis=1))


def test_self_classifier_takes_the_nearest_of_another_image_once_its_queue_is_full(tmp_path):
    def state(method):
        heads = [part for head in method.classifiers for part in (head.directions, head.scale)]
        return [method.queue.keys, method.queue.images, *heads]

    record = Record("self_classifier", state, tmp_path)
    for step, (outputs, before, after, loss) in enumerate(record.steps()):
        keys, images, *heads = before
        first, second = outputs["embeddings"]
        if step >= 2:  # 16 keys of 8 images each
            cosines = np.where(outputs["index"][:, None] == images, -np.inf, first @ keys.T)
            assert np.any(np.isinf(cosines))
            used = keys[cosines.argmax(axis=1)]
        else:
            used = first
        losses = []
        for directions, scale in zip(heads[::2], heads[1::2], strict=True):
            a, b = (rows @ unit(directions).T * scale for rows in (used, second))
            losses += [two_softmaxes(a, b), two_softmaxes(b, a)]
        np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-4)
        np.testing.assert_allclose(after[0], ring(keys, (step % 2) * BATCH, first)[0], atol=1e-6)
        places = (step % 2) * BATCH + np.arange(BATCH)
        np.testing.assert_array_equal(after[1][places], outputs["index"])
