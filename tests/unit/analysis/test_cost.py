"""What a network and a step cost: counted by hand, and as papers print it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.analysis.cost import model_cost, step_cost
from keras_ssl.layers.simplicial import BlockDiagonalDense


def test_a_network_counted_by_hand():
    images = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(images)
    x = keras.layers.Flatten()(x)  # 3 * 3 * 4 = 36
    x = BlockDiagonalDense(12, num_blocks=3)(x)
    model = keras.Model(images, keras.layers.Dense(5)(x))
    cost = model_cost(model)
    assert cost.multiply_adds == 36 * 3 * 3 * 2 + 36 * 12 // 3 + 12 * 5
    assert cost.activations == 36 + 12 + 5
    assert cost.parameters == model.count_params()


# He et al. 2016, table 1; torchvision has the same.
@pytest.mark.parametrize(("name", "giga"), [("resnet18", 1.8), ("resnet50", 4.1)])
def test_networks_cost_what_is_published(name, giga):
    cost = model_cost(keras_ssl.create_backbone(name, (224, 224, 3)), (224, 224, 3))
    assert cost.multiply_adds / 1e9 == pytest.approx(giga, abs=0.05)


# Lavoie et al., table 17: parameters, activations and FLOPs of ResNet-18 with BYOL's heads.
@pytest.mark.parametrize(
    ("neck", "parameters", "activations", "flops"),
    [
        (None, 16.5e6, 0.731e6, 7.20e8),
        pytest.param({}, 313.7e6, 0.797e6, 1.01e9, marks=pytest.mark.slow),  # 3 GB
        ({"num_blocks": 8}, 51.9e6, 0.796e6, 7.46e8),
    ],
)
def test_simplicial_embeddings_cost_what_the_paper_prints(neck, parameters, activations, flops):
    encoder = keras_ssl.create_backbone("resnet18", (32, 32, 3), stem_padding=2)
    if neck is not None:
        encoder = keras_ssl.sem_neck(encoder, num_simplices=5000, simplex_size=13, **neck)
    method = keras_ssl.METHODS["byol"](encoder)
    width = encoder.output_shape[-1]
    parts = [
        model_cost(encoder, (32, 32, 3)),
        model_cost(method.projector, (width,)),
        model_cost(method.predictor, (256,)),
    ]
    found = {
        name: sum(getattr(part, name) for part in parts)
        for name in ("parameters", "activations", "multiply_adds")
    }
    assert found["parameters"] == pytest.approx(parameters, rel=0.01)
    assert found["activations"] == pytest.approx(activations, rel=0.002)
    # The paper's count has something more than products, 1 to 2 %.
    assert found["multiply_adds"] == pytest.approx(flops, rel=0.02)


def _step(name="simclr", batch=4, **options):
    method = keras_ssl.create(name, backbone="tiny", input_shape=(8, 8, 3), **options)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    method.compile(optimizer, jit_compile=False)
    optimizer.build(method.trainable_variables)
    return method, step_cost(method, {"global": (batch, 2, 8, 8, 3)})


def test_a_step_holds_its_variables_once_and_activations_with_the_batch():
    method, cost = _step()
    trained = 4 * sum(int(np.prod(v.shape)) for v in method.trainable_variables)
    assert cost.gradients == trained
    assert 2 * trained < cost.state < 2.1 * trained  # weights and momentum, and a little
    assert cost.views == 4 * 4 * 2 * 8 * 8 * 3
    _, double = _step(batch=8)
    assert double.activations == pytest.approx(2 * cost.activations, rel=0.05)
    assert double.multiply_adds == pytest.approx(2 * cost.multiply_adds, rel=0.05)


def test_a_target_adds_weights_and_a_forward_pass_but_no_activations_to_keep():
    _, plain = _step("simsiam", hidden_dim=16, projection_dim=8, prediction_dim=8)
    _, moved = _step("byol", hidden_dim=16, projection_dim=8, prediction_dim=8)
    assert moved.multiply_adds > plain.multiply_adds
    assert moved.activations < 1.2 * plain.activations


class _Twice(keras.layers.Layer):
    """Products in functions, branches and loops."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]))

    def call(self, x):
        product = tf.function(lambda x: x @ self.kernel, autograph=False)
        x = product(x)  # 1
        x = keras.ops.fori_loop(0, 20, lambda _, x: product(x), x)  # 20
        x = tf.cond(tf.reduce_sum(x) > 0, lambda: product(product(x)), lambda: x)  # 2
        halve = lambda x: product(x) / 2  # noqa: E731
        return tf.while_loop(lambda x: tf.reduce_sum(x) > 1, lambda x: [halve(x)], [x])[0]  # 1


def test_functions_branches_and_loops_are_counted():
    model = keras.Sequential([keras.Input((3,)), _Twice()])
    cost = model_cost(model)
    assert cost.multiply_adds == (1 + 20 + 2 + 1) * 3 * 3
    assert cost.activations == (1 + 20 + 2 + 1) * 3


def test_langevin_steps_are_part_of_a_step():
    one, two, five = (
        _step("gedi", image_size=8, num_langevin_steps=steps)[1].multiply_adds
        for steps in (1, 2, 5)
    )
    assert two > one and five - two == 3 * (two - one)
