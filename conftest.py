"""Set up TensorFlow once for all tests and examples: quiet, two virtual CPU devices, fixed seeds.

GPUs are hidden, but from `pytest -m gpu`; that is one process, since each takes what memory it can.
"""

import os

import pytest

collect_ignore = ["export/fresh_process.py"]  # a program that hides our packages from itself


def pytest_configure(config):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    asked = config.option.markexpr
    if "gpu" not in asked or "not gpu" in asked or hasattr(config, "workerinput"):
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        # The compiler takes most of the time of a small stream of views: it need not optimize.
        os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
    import keras_ssl  # noqa: F401, I001  (before TensorFlow: it sets up the environment)
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )


@pytest.fixture(scope="session")
def two_replicas():
    """One strategy for all tests: another would reuse the keys of the first one's collectives."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])


@pytest.fixture(autouse=True)
def fresh_state():
    """Every test starts from the same seed and the float32 policy."""
    import keras

    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(autouse=True)
def setting_of_examples(request, doctest_namespace):
    """An example has keras, keras_ssl, np and tf, and writes its files to a folder of its own."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    import keras
    import numpy as np
    import tensorflow as tf

    import keras_ssl

    doctest_namespace.update(keras=keras, keras_ssl=keras_ssl, np=np, tf=tf)
    monkeypatch, folder = map(request.getfixturevalue, ("monkeypatch", "tmp_path"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KERAS_SSL_CACHE", str(folder / "cache"))
