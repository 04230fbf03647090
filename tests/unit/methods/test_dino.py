"""DINO step by step against NumPy."""

import numpy as np

from tests.descriptors import STEPS_PER_EPOCH, make_method, make_views
from tests.unit.methods.record import STEPS, Record
from tests.unit.support import crops, log_softmax


def test_dino_centres_before_the_update_and_warms_its_teacher_by_epoch(tmp_path):
    record = Record("dino", lambda method: [method.centering.center], tmp_path)
    temperatures = np.linspace(0.4, 0.5, 4)
    for step, (outputs, (center,), (after,), loss) in enumerate(record.steps()):
        tau = temperatures[step // STEPS_PER_EPOCH]
        targets = [np.exp(log_softmax((t - center) / tau)) for t in outputs["teacher"]]
        log_p = [log_softmax(s / 0.1) for s in outputs["student"]]
        wanted = -0.5 * sum(np.mean(np.sum(targets[i] * log_p[1 - i], axis=1)) for i in (0, 1))
        np.testing.assert_allclose(loss, wanted, rtol=1e-4)
        mean = np.concatenate(outputs["teacher"]).mean(axis=0)
        np.testing.assert_allclose(after, 0.9 * center + 0.1 * mean, atol=1e-6)


def test_the_last_layer_of_dino_moves_after_the_first_epoch(tmp_path):
    def state(method):
        return [method.projector.get_layer("prototypes").directions]

    record = Record("dino", state, tmp_path)
    moved = [np.any(a != b) for (a,), (b,) in zip(record.before, record.after, strict=True)]
    assert moved == [step >= STEPS_PER_EPOCH for step in range(STEPS)]


def test_the_teacher_sees_no_local_crops():
    method, views = make_method("dino"), crops()
    outputs = method.embed(views, training=True)
    assert (len(outputs["student"]), len(outputs["teacher"])) == (4, 2)
    without = method.embed({"global": views["global"]}, training=True)
    np.testing.assert_array_equal(outputs["teacher"], without["teacher"])


def test_clusters_of_dino_are_those_of_the_student():
    method = make_method("dino")
    images = make_views(method)["global"][:, 0]
    before = np.asarray(method.cluster_scores(images))
    for copy in (*method.target_encoder.weights, *method.target_projector.weights):
        copy.assign(copy + 1.0)
    np.testing.assert_array_equal(method.cluster_scores(images), before)
    features = method(images)
    np.testing.assert_array_equal(method.projector(features, training=False), before)
