"""What a SavedModel serves of every kind of encoder."""

import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from export.saved_model import write_saved_model
from export.signatures import make_signatures, readouts_of
from keras_ssl.core.errors import UserError
from keras_ssl.layers.necks import codes_of

NECKS = {
    "sem": {"num_simplices": 4, "simplex_size": 3},
    "embed": {"num_simplices": 4, "simplex_size": 3},
    "gumbel": {"num_simplices": 4, "simplex_size": 3},
    "vq": {"num_simplices": 4, "simplex_size": 3, "code_dim": 2},
}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), "uint8")


def to_unit(images):
    return tf.cast(images, tf.float32) / 255


def served(encoder, path, **options):
    """{signature: its outputs} for some images, from the files of a SavedModel."""
    readouts = readouts_of(encoder, 0.5, **options)
    write_saved_model(readouts, make_signatures(readouts, to_unit), path)
    signatures = tf.saved_model.load(str(path)).signatures
    return {name: call(images=tf.constant(IMAGES)) for name, call in signatures.items()}


@pytest.mark.parametrize("kind", NECKS)
def test_every_neck_serves_features_codes_and_its_own_output(kind, tmp_path):
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    encoder = keras_ssl.add_neck(backbone, kind=kind, **NECKS[kind])
    outputs = served(encoder, tmp_path / "1", one_hot=True)
    inputs, default = to_unit(IMAGES), outputs["serving_default"]
    np.testing.assert_allclose(default["features"], backbone(inputs), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(default["codes"], codes_of(encoder)(inputs))
    if kind == "sem":
        expected, name = keras_ssl.at_temperature(encoder, 0.5)(inputs), "simplices"
    else:
        expected, name = encoder(inputs), "embedding"
    np.testing.assert_allclose(default[name], expected, rtol=1e-5, atol=1e-6)
    assert set(default) == {"features", "codes", name}
    for alone in ("features", "codes"):
        assert list(outputs[alone]) == [alone]
        np.testing.assert_array_equal(outputs[alone][alone], default[alone])
    hard = np.eye(3, dtype="uint8")[default["codes"]].reshape(3, 12)
    np.testing.assert_array_equal(outputs["one_hot"]["one_hot"], hard)
    assert outputs["one_hot"]["one_hot"].dtype == default["codes"].dtype == tf.uint8


def test_without_a_neck_there_are_features_and_no_codes(tmp_path):
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    outputs = served(backbone, tmp_path / "1")
    assert set(outputs) == {"serving_default", "features"}
    assert set(outputs["serving_default"]) == {"features"}
    with pytest.raises(UserError, match="no codes"):
        readouts_of(backbone, 0.5, one_hot=True)


@pytest.mark.parametrize(("size", "dtype"), [(256, "uint8"), (257, "uint16")])
def test_codes_take_the_smallest_type_that_holds_them(size, dtype, tmp_path):
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    encoder = keras_ssl.sem_neck(backbone, num_simplices=2, simplex_size=size)
    codes = served(encoder, tmp_path / "1")["codes"]["codes"]
    assert codes.dtype == dtype
    np.testing.assert_array_equal(codes, codes_of(encoder)(to_unit(IMAGES)))


def test_one_hot_is_the_simplicial_embedding_at_temperature_0():
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    encoder = keras_ssl.sem_neck(backbone, num_simplices=4, simplex_size=3)
    hard = readouts_of(encoder, 0.5, one_hot=True)(to_unit(IMAGES))["one_hot"]
    np.testing.assert_array_equal(hard, keras_ssl.at_temperature(encoder, 0)(to_unit(IMAGES)))
