"""SwAV step by step against NumPy."""

import numpy as np

from keras_ssl.ops.linalg import l2_normalize
from tests.descriptors import BATCH, STEPS_PER_EPOCH, make_method, make_views
from tests.unit.methods.record import Record
from tests.unit.support import log_softmax, ring


def balanced(scores, epsilon=0.05, iterations=3):
    q = np.exp(scores / epsilon)
    for _ in range(iterations):
        q = q / q.sum(axis=0, keepdims=True)
        q = q / q.sum(axis=1, keepdims=True)
    return q


def test_swav_assigns_with_the_queue_from_its_epoch_on_once_full(tmp_path):
    def state(method):
        return [method.prototypes.prototypes, *(queue.keys for queue in method.queues)]

    record = Record("swav", state, tmp_path)
    for step, (outputs, before, after, loss) in enumerate(record.steps()):
        prototypes, *queues = before
        past = queues if step >= STEPS_PER_EPOCH else [queue[:0] for queue in queues]
        codes = [
            balanced(np.concatenate([z, queue]) @ prototypes.T)[:BATCH]
            for z, queue in zip(outputs, past, strict=True)
        ]
        log_p = [log_softmax(z @ prototypes.T / 0.1) for z in outputs]
        wanted = -0.5 * sum(np.mean(np.sum(codes[i] * log_p[1 - i], axis=1)) for i in (0, 1))
        np.testing.assert_allclose(loss, wanted, rtol=1e-4)
        for z, old, new in zip(outputs, queues, after[1:], strict=True):
            np.testing.assert_allclose(new, ring(old, (step % 2) * BATCH, z)[0], atol=1e-6)


def test_swav_waits_for_a_queue_that_is_not_full_when_its_epoch_comes(tmp_path):
    record = Record("swav", lambda method: [method.queues[0].full], tmp_path, queue_start_epoch=0)
    assert [bool(before[0]) for before in record.before] == [False, False, True, True, True]
    without = Record("swav", lambda method: [], tmp_path, queue_start_epoch=9)
    np.testing.assert_array_equal(record.losses[:2], without.losses[:2])
    assert record.losses[2] != without.losses[2]


def test_prototypes_stay_unit_vectors_that_move_after_the_first_epoch(tmp_path):
    record = Record("swav", lambda method: [method.prototypes.prototypes], tmp_path)
    for step, (_, (before,), (after,), _) in enumerate(record.steps()):
        np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1.0, rtol=1e-6)
        assert (np.abs(after - before).max() > 1e-5) == (step >= STEPS_PER_EPOCH)


def test_swav_puts_images_in_the_cluster_of_the_nearest_prototype():
    method = make_method("swav")
    images = make_views(method)["global"][:, 0]
    z = np.asarray(l2_normalize(method.projector(method(images), training=False)))
    distances = np.linalg.norm(z[:, None] - np.asarray(method.prototypes.prototypes), axis=-1)
    found = np.argmax(method.cluster_scores(images), axis=1)
    np.testing.assert_array_equal(found, np.argmin(distances, axis=1))
