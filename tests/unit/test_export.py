"""What a SavedModel serves of every kind of encoder."""

import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from export import export_encoder
from keras_ssl.layers.necks import codes_of

NECKS = {
    "sem": {"num_simplices": 4, "simplex_size": 3},
    "embed": {"num_simplices": 4, "simplex_size": 3},
    "gumbel": {"num_simplices": 4, "simplex_size": 3},
    "vq": {"num_simplices": 4, "simplex_size": 3, "code_dim": 2},
}


def to_unit(images):
    return tf.cast(images, tf.float32) / 255


@pytest.mark.parametrize("kind", NECKS)
def test_every_neck_serves_features_codes_and_its_own_output(kind, tmp_path):
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    encoder = keras_ssl.add_neck(backbone, kind=kind, **NECKS[kind])
    path = export_encoder(encoder, to_unit, tmp_path, downstream_temperature=0.5)
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), "uint8")
    served = serve(images=tf.constant(images))
    inputs = to_unit(images)
    np.testing.assert_allclose(served["features"], backbone(inputs), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(served["codes"], codes_of(encoder)(inputs))
    if kind == "sem":
        expected, name = keras_ssl.at_temperature(encoder, 0.5)(inputs), "simplices"
    else:
        expected, name = encoder(inputs), "embedding"
    np.testing.assert_allclose(served[name], expected, rtol=1e-5, atol=1e-6)
    assert set(served) == {"features", "codes", name}
