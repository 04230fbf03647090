"""An encoder in another precision is the same encoder, a little rounded."""

import numpy as np
import pytest

import keras_ssl
from export.precision import in_precision

IMAGES = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype("float32")


@pytest.mark.parametrize("kind", ["sem", "vq"])
def test_another_precision_has_the_same_weights_and_nearly_the_same_output(kind):
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    encoder = keras_ssl.add_neck(backbone, kind=kind, num_simplices=4, simplex_size=3)
    twin = in_precision(encoder, "mixed_bfloat16")
    for found, wanted in zip(twin.get_weights(), encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    tiny = keras_ssl.backbone_of(twin)
    assert {layer.compute_dtype for layer in tiny.layers[1:]} == {"bfloat16"}  # after the input
    wanted = np.asarray(backbone(IMAGES))
    found = np.asarray(tiny(IMAGES)).astype("float32")
    assert 0 < np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()
    same = in_precision(twin, "float32")
    np.testing.assert_array_equal(same(IMAGES), encoder(IMAGES))
