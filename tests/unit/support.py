"""What tests of methods, layers and losses share: arrays, functions in NumPy, small methods."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.ops.linalg import l2_normalize
from tests.descriptors import BATCH, METHODS, make_method, make_views


def random(*shape, seed=0, dtype="float32"):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), dtype)


def normal(*shape, seed=1):
    return keras.random.normal(shape, seed=seed)


def random_unit(*shape, seed=1):
    return np.asarray(l2_normalize(normal(*shape, seed=seed)))


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def softmax(x):
    p = np.exp(x - x.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def log_softmax(x, axis=-1):
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


def ring(queue, pointer, rows):
    """A queue and its pointer after unit `rows` were written over the oldest ones."""
    queue = queue.copy()
    queue[(pointer + np.arange(len(rows))) % len(queue)] = unit(rows)
    return queue, (pointer + len(rows)) % len(queue)


def features_as_images(method_class, features, **options):
    """A compiled method whose encoder is the identity on (batch, features), with a fixed seed."""
    inputs = keras.Input((features,))
    method = method_class(keras.Model(inputs, keras.layers.Identity()(inputs)), **options)
    method.compile(keras_ssl.OPTIMIZERS["sgd"](0.1), jit_compile=False)
    method.optimizer.build(method.trainable_variables)
    return method


def at_step(method, step):
    method.optimizer.iterations.assign(step)
    return method


def total(method, outputs):
    return float(sum(method.loss_terms(outputs).values()))


def changed(name, **arguments):
    """A small method with other arguments than the table's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, name, {**METHODS[name], **arguments})
        return make_method(name)


def fit(method, views, steps):
    data = tf.data.Dataset.from_tensors(views).repeat()
    return method.fit(data, steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False)


def crops(count=2, size=12):
    """Views with local crops of another size."""
    method = make_method("byol")
    return {
        **make_views(method),
        "local": keras.random.uniform((BATCH, count, size, size, 3), seed=5),
    }
