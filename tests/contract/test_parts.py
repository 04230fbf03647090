"""What every layer, loss, backbone and optimizer must keep."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_ssl
from tests.descriptors import BATCH, LAYERS, LOSSES, OPTIMIZERS

every_layer = pytest.mark.parametrize("name", LAYERS)
every_loss = pytest.mark.parametrize("name", LOSSES)
every_backbone = pytest.mark.parametrize("name", sorted(keras_ssl.BACKBONES))
every_optimizer = pytest.mark.parametrize("name", sorted(keras_ssl.OPTIMIZERS))


def random(*shape, seed=3):
    return keras.random.normal(shape, seed=seed)


@every_layer
def test_layer_survives_its_config_and_a_file(name, tmp_path):
    make, shape = LAYERS[name]
    inputs = keras.Input(shape)
    model = keras.Model(inputs, make()(inputs))
    model.save(tmp_path / "layer.keras")
    loaded = keras.saving.load_model(tmp_path / "layer.keras")
    x = random(BATCH, *shape)
    np.testing.assert_array_equal(model(x), loaded(x))
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()


@every_layer
def test_layer_gives_the_same_eager_and_compiled(name):
    make, shape = LAYERS[name]
    layer, x = make(), random(BATCH, *shape)
    eager = layer(x)
    compiled = tf.function(lambda x: layer(x), jit_compile=True)(x)
    np.testing.assert_allclose(eager, compiled, rtol=1e-5, atol=1e-6)


@every_layer
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_layer_stays_finite_in_half_precision(name, policy):
    make, shape = LAYERS[name]
    keras.config.set_dtype_policy(policy)
    layer = make()
    assert np.all(np.isfinite(np.asarray(ops.cast(layer(100 * random(BATCH, *shape)), "float32"))))


@every_loss
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_loss_and_gradients_are_finite_at_zeros_ties_and_large_values(name, dtype):
    loss, count = LOSSES[name]
    # A covariance's gradient at 1000 is right and still too large for float16.
    large = 10.0 if dtype == "float16" else 1e3
    zero_row = ops.concatenate([ops.zeros((1, 6)), random(3, 6)])
    batches = [ops.zeros((4, 6)), ops.ones((4, 6)), large * random(4, 6), random(1, 6)]
    batches.append(zero_row)
    for x in batches:
        inputs = [tf.cast(x, dtype) for _ in range(count)]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = loss(*inputs)
        assert value.dtype == "float32"
        assert np.isfinite(value)
        gradients = [g for g in tape.gradient(value, inputs) if g is not None]
        assert gradients
        assert all(np.all(np.isfinite(np.asarray(tf.cast(g, "float32")))) for g in gradients)


@every_loss
def test_loss_gives_the_same_eager_and_compiled(name):
    loss, count = LOSSES[name]
    inputs = [random(5, 6, seed=i) for i in range(count)]
    compiled = tf.function(loss, jit_compile=True)
    np.testing.assert_allclose(loss(*inputs), compiled(*inputs), rtol=1e-5)


@every_backbone
def test_backbone_maps_images_to_float32_features_and_survives_a_file(name, tmp_path):
    model = keras_ssl.create_backbone(name, (16, 16, 3), width=4)
    model.save(tmp_path / "backbone.keras")
    loaded = keras.saving.load_model(tmp_path / "backbone.keras")
    x = random(2, 16, 16, 3)
    features = model(x)
    assert features.dtype == "float32" and len(features.shape) == 2
    np.testing.assert_allclose(features, loaded(x), rtol=1e-6, atol=1e-7)


@every_optimizer
@pytest.mark.parametrize("accumulate", [None, 2])
def test_optimizer_survives_a_file_with_its_slots(name, accumulate, tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    optimizer = keras_ssl.OPTIMIZERS[name](
        gradient_accumulation_steps=accumulate, **OPTIMIZERS[name]
    )
    model.compile(optimizer, loss="mse", jit_compile=False)
    x, y = random(8, 3), random(8, 2, seed=4)
    model.fit(x, y, batch_size=4, epochs=1, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for m in (model, loaded):
        m.fit(x, y, batch_size=4, epochs=2, verbose=0, shuffle=False)
    slots = zip(model.optimizer.variables, loaded.optimizer.variables, strict=True)
    for a, b in [*slots, *zip(model.weights, loaded.weights, strict=True)]:
        np.testing.assert_array_equal(a, b)


def test_the_table_covers_every_public_entry():
    from tests.descriptors import METHODS

    assert set(METHODS) == set(keras_ssl.METHODS)
    assert set(OPTIMIZERS) == set(keras_ssl.OPTIMIZERS)
