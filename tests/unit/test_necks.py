"""The SEM neck, its readings, and the sizes that the paper prints."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ssl
from keras_ssl.layers.necks import projector_blocks, simplices_of
from keras_ssl.layers.simplicial import SimplicialEmbedding, simplicial_embedding
from keras_ssl.layers.target import copy_for_target


def small_sem(**options):
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 3))
    return keras_ssl.sem_neck(backbone, num_simplices=4, simplex_size=3, **options)


def images(count=5):
    return keras.random.uniform((count, 8, 8, 3), seed=2)


def test_every_simplex_sums_to_one_at_any_temperature():
    z = keras.random.normal((7, 12), seed=1) * 50
    for temperature in (0, 1e-4, 0.1, 1.0, 1e4):
        simplices = ops.reshape(simplicial_embedding(z, 4, 3, temperature), (7, 4, 3))
        np.testing.assert_allclose(ops.sum(simplices, axis=-1), 1.0, rtol=1e-5)


def test_temperature_zero_is_the_limit_of_small_temperatures():
    z = keras.random.normal((7, 12), seed=1)
    np.testing.assert_allclose(
        simplicial_embedding(z, 4, 3, 0), simplicial_embedding(z, 4, 3, 1e-5), atol=1e-6
    )


def test_readings_share_every_weight():
    encoder = small_sem(temperature=1.0)
    cold = keras_ssl.at_temperature(encoder, 0.1)
    assert all(a is b for a, b in zip(encoder.weights, cold.weights, strict=True))
    assert np.any(np.asarray(encoder(images())) != np.asarray(cold(images())))
    np.testing.assert_array_equal(
        encoder(images()), keras_ssl.at_temperature(encoder, 1.0)(images())
    )


def test_codes_are_the_largest_entries_of_the_simplices():
    encoder = small_sem()
    codes = keras_ssl.codes_of(encoder)(images())
    hard = ops.reshape(keras_ssl.at_temperature(encoder, 0)(images()), (-1, 4, 3))
    assert codes.dtype == "int32"
    np.testing.assert_array_equal(codes, ops.argmax(hard, axis=-1))


def test_backbone_of_gives_the_features_below_the_neck():
    encoder = small_sem()
    assert keras_ssl.backbone_of(encoder).output_shape == (None, 8)
    assert keras_ssl.backbone_of(keras_ssl.backbone_of(encoder)).output_shape == (None, 8)


def test_target_copy_reads_at_its_own_temperature():
    encoder = small_sem(temperature=1.0, target_temperature=0.2)
    target = copy_for_target(encoder)
    wanted = keras_ssl.at_temperature(encoder, 0.2)(images())
    np.testing.assert_allclose(target(images()), wanted, atol=1e-6)
    assert not target.trainable_variables


def test_encoder_without_a_neck_has_no_reading():
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 3))
    with pytest.raises(keras_ssl.UserError, match="no Simplicial Embedding"):
        keras_ssl.at_temperature(backbone, 0.1)


@pytest.mark.parametrize(
    "options", [{"num_simplices": 0}, {"simplex_size": 1}, {"temperature": -1}]
)
def test_impossible_sizes_and_temperatures_are_refused(options):
    sizes = {"num_simplices": 4, "simplex_size": 3, **options}
    with pytest.raises(keras_ssl.UserError):
        SimplicialEmbedding(**sizes)


def test_blocks_that_do_not_divide_the_features_are_refused_with_what_would():
    with pytest.raises(keras_ssl.UserError, match="num_blocks=3 must divide"):
        small_sem(num_blocks=3)


def test_block_diagonal_neck_makes_the_first_projector_layer_block_diagonal():
    assert projector_blocks(small_sem(num_blocks=2)) == 2
    assert projector_blocks(small_sem()) == 1
    assert simplices_of(keras_ssl.create_backbone("tiny", (8, 8, 3))) is None


# SEM, table 17: BYOL with projector and predictor, in millions.
TABLE_17 = [
    ("resnet18", None, 16.5),
    ("resnet50", None, 35.0),
    ("resnet18", 1, 313.7),
    ("resnet50", 1, 425.6),
    ("resnet18", 8, 51.9),
    ("resnet50", 8, 76.7),
]


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "blocks", "millions"), TABLE_17)
def test_parameter_counts_are_those_of_the_paper(backbone, blocks, millions):
    encoder = keras_ssl.create_backbone(backbone, (32, 32, 3))
    if blocks:
        encoder = keras_ssl.sem_neck(
            encoder, num_simplices=5000, simplex_size=13, num_blocks=blocks
        )
    method = keras_ssl.BYOL(encoder)
    count = sum(int(np.prod(v.shape)) for v in method.trainable_variables)
    assert abs(count / 1e6 - millions) <= 0.005 * millions
