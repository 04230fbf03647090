"""DeepCluster: the memory, its clusters and the loss."""

import numpy as np
import pytest
from keras import ops

from keras_ssl.core.errors import UserError
from keras_ssl.layers.memory import spherical_kmeans
from keras_ssl.losses.deepcluster import cluster_prediction_loss
from keras_ssl.ops.linalg import l2_normalize
from tests.descriptors import make_method, make_views
from tests.unit.support import changed, fit, normal, random_unit, softmax


def test_cluster_prediction_is_cross_entropy_averaged_over_views_and_heads():
    scores = [[normal(5, width, seed=10 * width + view) for view in (0, 1)] for width in (3, 4)]
    targets = np.array([[0, 1, 2, 0, 1], [3, 2, 1, 0, 3]])
    wanted = np.mean(
        [
            -np.mean([np.log(softmax(np.asarray(view)[b] / 0.2))[targets[h, b]] for b in range(5)])
            for h, views in enumerate(scores)
            for view in views
        ]
    )
    found = cluster_prediction_loss(scores, targets, temperature=0.2)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_classes_are_alike_in_size_before_there_are_clusters():
    method = changed("deepcluster", num_images=24)
    for head, count in enumerate(method.num_prototypes):
        sizes = np.bincount(np.asarray(method.memory.classes)[head], minlength=count)
        assert len(sizes) == count and np.all(sizes == 24 // count)


def test_the_memory_holds_the_latest_projections_of_every_image():
    method = changed("deepcluster", num_images=20)
    expected = np.asarray(method.memory.projections).copy()
    np.testing.assert_allclose(np.linalg.norm(expected, axis=-1), 1.0, rtol=1e-5)
    for step, index in enumerate(([1, 3, 5, 7], [0, 3, 19, 2])):
        projections = [random_unit(4, 8, seed=10 * step + view) for view in (0, 1)]
        index = np.array(index, "int64")
        method.after_step({"index": index, "projections": projections})
        for view in (0, 1):
            expected[view, index] = projections[view]
        np.testing.assert_array_equal(method.memory.projections, expected)


def test_a_step_trains_on_the_classes_of_its_images_and_remembers_them():
    method = changed("deepcluster", num_images=20)
    index = np.array([4, 2, 9, 0, 11, 19, 6, 7])
    views = {**make_views(method), "index": ops.array(index, "int64")}
    before = np.asarray(method.memory.projections).copy()
    outputs = method.embed(views, training=True)
    np.testing.assert_array_equal(outputs["classes"], np.asarray(method.memory.classes)[:, index])
    z = np.asarray(outputs["projections"][1])
    prototypes = np.asarray(method.memory.prototypes[0].prototypes)
    np.testing.assert_allclose(outputs["scores"][0][1], z @ prototypes.T, rtol=1e-4, atol=1e-6)
    fit(method, views, 1)
    memory = np.asarray(method.memory.projections)
    others = np.setdiff1d(np.arange(20), index)
    np.testing.assert_array_equal(memory[:, others], before[:, others])
    for view in (0, 1):
        np.testing.assert_allclose(
            memory[view, index], outputs["projections"][view], rtol=1e-4, atol=1e-5
        )
    assert not any(layer.trainable_variables for layer in method.memory.prototypes)


def test_heads_cluster_the_views_in_turn_at_the_start_of_an_epoch():
    method = changed("deepcluster", num_images=20, num_prototypes=(4, 3, 5))
    method.start_epoch(2)
    memory = np.asarray(method.memory.projections)
    for head, layer in enumerate(method.memory.prototypes):
        rows = ops.array(memory[head % 2])
        centroids, labels = spherical_kmeans(
            rows, layer.num_prototypes, num_iterations=10, seed=(0, 2, head)
        )
        np.testing.assert_array_equal(layer.prototypes, centroids)
        np.testing.assert_array_equal(np.asarray(method.memory.classes)[head], labels)
    old = np.asarray(method.memory.classes).copy()
    method.start_epoch(3)
    assert np.any(np.asarray(method.memory.classes) != old)  # another seed for every epoch


def test_clusters_of_images_are_those_of_their_projections_in_the_memory():
    method = make_method("deepcluster")
    images = make_views(method)["global"][:, 0]
    projections = l2_normalize(method.projector(method(images), training=False))
    method.memory.projections.assign(ops.stack([projections, -projections]))
    method.start_epoch(1)
    found = np.argmax(method.cluster_scores(images), axis=1)
    np.testing.assert_array_equal(found, method.memory.classes[0])


def test_the_classes_stay_through_an_epoch_and_change_with_the_next():
    method = changed("deepcluster", num_images=20)
    seen = [np.asarray(method.memory.classes).copy()]
    for steps in (3, 1, 2):  # 3 are an epoch
        fit(method, make_views(method), steps)
        seen.append(np.asarray(method.memory.classes).copy())
    moved = [bool(np.any(a != b)) for a, b in zip(seen, seen[1:], strict=False)]
    assert moved == [False, True, False]


@pytest.mark.slow
def test_two_replicas_cluster_like_one(two_replicas):
    single = make_method("deepcluster")
    with two_replicas.scope():
        double = make_method("deepcluster")
        double.set_weights(single.get_weights())
    for method in (single, double):
        fit(method, make_views(method), 4)  # into the second epoch
    np.testing.assert_array_equal(single.memory.classes, ops.cast(double.memory.classes, "int32"))
    for a, b in zip(single.get_weights(), double.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_more_clusters_than_images_are_refused_with_what_fits():
    with pytest.raises(UserError, match=r"from 2 to 20 clusters.*Received \(4, 21\): try \(2, 2"):
        changed("deepcluster", num_images=20, num_prototypes=(4, 21))
    with pytest.raises(UserError, match="1 or more values"):
        changed("deepcluster", num_prototypes=())
