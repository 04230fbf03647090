"""The local affine maps of projectors with ReLUs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.analysis import linear_weights, unexplained_variance
from keras_ssl.analysis.affine import (
    activation_patterns,
    affine_layers,
    local_maps,
    local_unexplained_variance,
    region_statistics,
)
from keras_ssl.layers.heads import dino_head, mlp, self_classifier_head


def trained(projector, seed=0):
    """The projector with weights, and with running statistics, that no initializer draws."""
    generator = np.random.default_rng(seed)
    for variable in projector.variables:
        values = generator.normal(size=variable.shape)
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.path else values)
    return projector


HEADS = {
    "linear": lambda: mlp(6, (3,), name="projector"),
    "relu": lambda: mlp(6, (8, 3), name="projector", hidden_norm=False),
    "normalized": lambda: mlp(6, (8, 8, 3), name="projector", output_norm="affine"),
    "blocks": lambda: mlp(6, (8, 3), name="projector", num_blocks=2),
    "leaky": lambda: keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8),
            keras.layers.LeakyReLU(0.1),
            keras.layers.Dense(3),
        ]
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_local_map_is_the_derivative_and_gives_differences_within_its_region(name):
    projector = trained(HEADS[name]())
    features = np.random.default_rng(1).normal(size=(4, 6)).astype("float32")
    maps = local_maps(affine_layers(projector), features)
    assert maps.shape == (4, 6, 3)
    x = tf.constant(features)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = projector(x, training=False)
    np.testing.assert_allclose(
        maps, np.swapaxes(tape.batch_jacobian(y, x), 1, 2), rtol=1e-3, atol=1e-4
    )


def test_a_linear_projector_is_one_region_with_the_matrix_of_its_weights():
    projector = trained(HEADS["linear"]())
    layers = affine_layers(projector)
    features = np.random.default_rng(1).normal(size=(5, 6))
    method = type("Method", (), {"projector": projector})()
    np.testing.assert_allclose(
        local_maps(layers, features), [linear_weights(method)] * 5, rtol=1e-5, atol=1e-6
    )
    patterns = activation_patterns(layers, features)
    assert patterns.shape == (5, 0)
    assert region_statistics(patterns, patterns).count == 1


def test_rows_that_differ_by_a_kink_lie_in_two_regions():
    dense = keras.layers.Dense(2)
    projector = keras.Sequential([keras.Input((2,)), dense, keras.layers.ReLU()])
    dense.set_weights([np.eye(2, dtype="float32"), np.zeros(2, "float32")])
    rows = [[1.0, 1.0], [2.0, 0.5], [1.0, -1.0], [-1.0, -1.0]]
    patterns = activation_patterns(affine_layers(projector), rows)
    found = region_statistics(patterns, patterns[[1, 0, 2, 3]])
    assert (found.count, found.shared, found.within) == (3, 1.0, 0.0)
    # Of the 12 ordered pairs of images two lie in one region; 4, 4 and 2 others differ in 1, 2, 1.
    assert found.between == pytest.approx((4 * 1 + 4 * 2 + 2 * 1) / (12 * 2))
    assert found.idle == 0


def test_local_spans_explain_what_the_span_of_one_matrix_does():
    directions, weights = np.random.default_rng(2).normal(size=(6, 6)), np.eye(6)[:, :2]
    everywhere = np.broadcast_to(weights, (6, 6, 2))
    found = local_unexplained_variance(directions, everywhere)
    assert found == pytest.approx(unexplained_variance(directions, weights))
    assert local_unexplained_variance(0 * directions, everywhere) == 0


def test_projectors_that_are_not_piecewise_affine_or_too_wide_are_left_out():
    assert affine_layers(dino_head(6, hidden_dim=8, bottleneck_dim=4, num_prototypes=5)) is None
    assert affine_layers(self_classifier_head(6, hidden_dim=8, embedding_dim=4)) is None
    assert affine_layers(HEADS["relu"](), max_width=7) is None
    assert affine_layers(keras.layers.Identity()) is None
