"""DeepCluster: the memory, its clusters and the loss."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ssl
from keras_ssl.core.errors import UserError
from keras_ssl.layers.kmeans_memory import balanced, kmeans, whitened
from keras_ssl.layers.memory import spherical_kmeans
from keras_ssl.losses.deepcluster import cluster_prediction_loss
from keras_ssl.methods.deepcluster import forget
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


# Version 1.


def first_version(**options):
    settings = {"clustering": "kmeans", "num_images": 20, "num_prototypes": (4,)}
    return changed("deepcluster", **{**settings, **options})


def test_version_1_takes_one_head_and_says_so():
    with pytest.raises(UserError, match=r"one head. Received num_prototypes=\(4, 3\): set method."):
        first_version(num_prototypes=(4, 3))


def test_every_cluster_counts_for_as_much_whatever_its_size():
    weights = balanced(np.array([0, 0, 0, 2, 2, 4]), 5)
    np.testing.assert_allclose(weights, [2 / 3, 2 / 3, 2 / 3, 1, 1, 2], rtol=1e-6)
    assert np.mean(weights) == pytest.approx(1.0)


def test_the_loss_of_version_1_is_weighted_cross_entropy_of_a_linear_classifier():
    method = first_version()
    method.start_epoch(2)
    views = {**make_views(method), "index": np.arange(3, 11)}
    outputs = method.embed(views, training=True)
    losses = []
    for head, layer in enumerate(method.memory.classifiers):
        labels = np.asarray(method.memory.classes)[head, 3:11]
        weights = np.asarray(method.memory.weights_in_loss)[head, 3:11]
        for z in outputs["projections"]:
            kernel, bias = map(np.asarray, layer.trainable_variables)
            scores = np.maximum(z, 0) @ kernel + bias
            picked = np.log(softmax(scores))[np.arange(8), labels]
            losses.append(-np.mean(weights * picked))
    loss = method.loss_terms(outputs)["deepcluster"]
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-4)
    assert np.std(np.asarray(method.memory.weights_in_loss)) > 0


def test_labels_are_those_of_k_means_of_the_whitened_memory():
    method = first_version(pca_dim=3)
    method.start_epoch(2)
    rows = whitened(method.memory.projections[0], 3)
    _, labels = kmeans(rows, 4, num_iterations=10, seed=(0, 2, 0))
    np.testing.assert_array_equal(method.memory.classes[0], labels)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_classifiers_begin_anew_after_a_clustering_and_so_does_their_momentum(optimizer):
    method = first_version()
    method.compile(keras_ssl.OPTIMIZERS[optimizer](0.1), jit_compile=False)
    fit(method, make_views(method), 2)
    classifier, projector = method.memory.classifiers[0], method.projector
    moments = {v.name: np.array(v) for v in method.optimizer.variables}
    kernel, bias = classifier.trainable_variables
    learned = np.array(kernel)
    method.start_epoch(2)
    assert np.any(learned != np.asarray(kernel))
    assert np.abs(np.asarray(kernel)).max() < 0.06  # standard deviation 0.01
    np.testing.assert_array_equal(bias, np.zeros(4))
    own = [f"{v.path.replace('/', '_')}_" for v in classifier.trainable_variables]
    others = [f"{v.path.replace('/', '_')}_" for v in projector.trainable_variables]
    for starts, is_forgotten in ((own, True), (others, False)):
        slots = [s for s in method.optimizer.variables if s.name.startswith(tuple(starts))]
        assert len(slots) >= len(starts)
        for slot in slots:
            assert np.any(moments[slot.name] != 0) or not is_forgotten
            if is_forgotten and not slot.name.endswith("_velocity"):
                np.testing.assert_array_equal(slot, np.zeros(slot.shape))
            else:
                np.testing.assert_array_equal(slot, moments[slot.name])


def test_the_first_step_of_adam_after_a_clustering_is_no_larger_than_its_rate():
    weight = keras.Variable(np.zeros((4, 3), "float32"), name="weight")
    optimizer = keras_ssl.OPTIMIZERS["adamw"](0.1)
    gradient = 1.0 + random_unit(4, 3)
    for _ in range(300):
        optimizer.apply([gradient], [weight])
    forget(optimizer, [weight])
    weight.assign(ops.zeros_like(weight))
    optimizer.apply([-gradient], [weight])  # 1.6 x the rate if all began at 0
    moved = np.asarray(weight)
    assert np.all(moved > 0)  # nothing is left of the old direction
    np.testing.assert_allclose(moved, 0.1 * 0.1, rtol=1e-2)


def test_version_1_keeps_projections_as_they_are_and_scores_images_by_its_classifier():
    method = first_version()
    views = make_views(method)
    outputs = method.embed(views, training=True)
    lengths = np.linalg.norm(np.asarray(outputs["projections"][0]), axis=1)
    assert np.std(lengths) > 1e-3
    method.after_step(outputs)
    kept = np.asarray(method.memory.projections)[0, :8]
    np.testing.assert_allclose(kept, outputs["projections"][0], rtol=1e-6)
    images = views["global"][:, 0]
    scores = method.memory.classifiers[0](method.projector(method(images), training=False))
    np.testing.assert_allclose(method.cluster_scores(images), scores, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_two_replicas_of_version_1_equal_one(two_replicas):
    single = first_version()
    with two_replicas.scope():
        double = first_version()
        double.set_weights(single.get_weights())
    for method in (single, double):
        fit(method, make_views(method), 2)
    for a, b in zip(single.get_weights(), double.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
