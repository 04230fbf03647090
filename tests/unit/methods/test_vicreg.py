"""VICReg: its weights."""

import keras
import numpy as np
import tensorflow as tf

import keras_ssl
from keras_ssl.methods.vicreg import VICReg


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


def test_twice_the_variance_weight_of_vicreg_is_solo_learns_sum():
    method = features_as_images(VICReg, 4, variance_weight=50.0, hidden_dim=5, projection_dim=6)
    a, b = (random(8, 6, seed=seed, dtype="float64") * 0.5 for seed in range(2))
    std = [np.sqrt(np.var(z, axis=0, ddof=1) + 1e-4) for z in (a, b)]
    variance = sum(np.mean(np.maximum(1 - s, 0)) for s in std)
    covariances = [np.cov(z, rowvar=False) for z in (a, b)]
    covariance = sum((np.sum(c**2) - np.sum(np.diag(c) ** 2)) / 6 for c in covariances)
    wanted = 25 * np.mean((a - b) ** 2) + 25 * variance + covariance
    np.testing.assert_allclose(total(method, [a, b]), wanted, rtol=1e-9)
