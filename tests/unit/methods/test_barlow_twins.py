"""Barlow Twins: its terms and temperatures."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import keras_ssl
from keras_ssl.losses.barlow_twins import barlow_twins_loss
from keras_ssl.methods.barlow_twins import BarlowTwins
from tests.descriptors import make_method, make_views


def random(*shape, seed=0, dtype="float32"):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), dtype)


def features_as_images(method_class, features, **options):
    """A compiled method whose encoder is the identity on (batch, features), with a fixed seed."""
    inputs = keras.Input((features,))
    method = method_class(keras.Model(inputs, keras.layers.Identity()(inputs)), **options)
    method.compile(keras_ssl.OPTIMIZERS["sgd"](0.1), jit_compile=False)
    method.optimizer.build(method.trainable_variables)
    return method


def total(method, outputs):
    return float(sum(method.loss_terms(outputs).values()))


def test_barlow_twins_terms_add_up_to_the_scaled_loss():
    method = features_as_images(
        BarlowTwins, 4, redundancy_weight=0.3, loss_scale=0.1, hidden_dim=5, projection_dim=6
    )
    outputs = [random(8, 6, seed=seed) for seed in range(3)]
    wanted = 0.1 * float(barlow_twins_loss(*outputs, redundancy_weight=0.3))
    np.testing.assert_allclose(total(method, outputs), wanted, rtol=1e-5)


def test_barlow_twins_reads_view_2_at_the_target_temperature_and_vicreg_does_not():
    for name, differs in (("sem_barlow_twins", True), ("sem_vicreg", False)):
        method = make_method(name)
        views = make_views(method)
        views["global"] = ops.repeat(views["global"][:, :1], 2, axis=1)
        first, second = method.embed(views, training=True)
        assert np.any(np.abs(first - second) > 1e-3) == differs
