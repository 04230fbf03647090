import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.representation import (
    FeatureExtractor,
    Features,
    extract,
    representations_of,
)
from keras_ssl.layers.necks import embedding_of


def _images(count, size=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype="uint8")


def _scale(images):
    return tf.cast(images, "float32") / 255


def _means(images, training):
    return tf.reduce_mean(images, axis=[1, 2])


def _encoder():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.GlobalAveragePooling2D(),
        ]
    )


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 11])
def test_every_image_is_read_once_and_in_order(count):
    images = _images(count)
    expected = images.mean(axis=(1, 2)) / 255
    np.testing.assert_allclose(extract(_means, images, _scale, batch_size=4), expected, rtol=1e-5)


def test_batch_size_does_not_change_features():
    encoder, images = _encoder(), _images(7)
    reference = extract(encoder, images, _scale, batch_size=7)
    np.testing.assert_allclose(extract(encoder, images, _scale, batch_size=3), reference, atol=1e-6)


def test_features_are_those_of_inference_mode_and_leave_the_encoder_as_it_was():
    encoder, images = _encoder(), _images(6)
    before = [np.array(weight) for weight in encoder.weights]
    features = extract(encoder, images, _scale, batch_size=4)
    np.testing.assert_allclose(features, encoder(_scale(images), training=False), atol=1e-6)
    assert all(np.array_equal(a, b) for a, b in zip(before, encoder.weights, strict=True))


def test_the_same_images_give_the_same_bits():
    encoder, images = _encoder(), _images(10)
    first, second = (extract(encoder, images, _scale, batch_size=4) for _ in range(2))
    assert np.array_equal(first, second)


def test_one_trace_serves_any_number_of_images():
    extractor = FeatureExtractor(_means, _scale, batch_size=4)
    for count in (9, 4, 1, 6):
        extractor(_images(count))
    assert extractor.encode.experimental_get_tracing_count() == 1


def test_a_dict_of_tensors_becomes_a_dict_of_arrays():
    def encoder(images, training):
        return {"mean": _means(images, training), "first": images[:, 0, 0]}

    features = extract(encoder, _images(5), _scale, batch_size=2)
    assert {name: array.shape for name, array in features.items()} == {
        "mean": (5, 3),
        "first": (5, 3),
    }


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_features_are_float32_whatever_the_encoder_computes_in(dtype):
    features = extract(lambda x, training: tf.cast(_means(x, training), dtype), _images(3), _scale)
    assert features.dtype == np.float32


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (8, 8, 3)])
def test_anything_but_a_batch_of_images_is_refused(shape):
    with pytest.raises(UserError, match="Received shape"):
        extract(_means, np.zeros(shape, "uint8"), _scale)


def test_a_batch_size_of_zero_is_refused():
    with pytest.raises(UserError, match="batch_size"):
        extract(_means, _images(2), _scale, batch_size=0)


def _neck(kind=None):
    keras.utils.set_random_seed(0)
    encoder = keras_ssl.create_backbone("tiny", (8, 8, 3))
    sizes = {"num_simplices": 3, "simplex_size": 4}
    return encoder if kind is None else keras_ssl.add_neck(encoder, kind=kind, **sizes)


def test_simplices_are_read_from_the_backbone_as_the_model_at_each_temperature():
    encoder, images = _neck("sem"), _images(6)
    below, *found = representations_of(encoder, "sem", (0.0, 0.1, 1.0), True, _scale)
    assert below.name == "pretrained, backbone"
    assert [one.tau for one in found] == [None, 0.0, 0.1, 1.0]
    assert all(one.features is below.features and one.neck is found[0].neck for one in found)
    features = below.features.extract(images)
    np.testing.assert_array_equal(below.rows(features), features)
    embedding = extract(embedding_of(encoder)[0], images, _scale)
    np.testing.assert_allclose(found[0].rows(features), embedding, atol=1e-6)
    for one in found[1:]:
        wanted = extract(keras_ssl.at_temperature(encoder, one.tau), images, _scale)
        np.testing.assert_allclose(one.rows(features), wanted, atol=1e-6)
        np.testing.assert_allclose(one.tensor(features), wanted, atol=1e-6)


def test_codes_are_the_largest_entries_of_the_simplices(monkeypatch):
    encoder, images = _neck("sem"), _images(6)
    one = representations_of(encoder, "sem", (0.0,), False, _scale)[-1]
    features = one.features.extract(images)
    codes = one.codes(features)
    assert codes.dtype == "uint8"
    np.testing.assert_array_equal(codes, keras_ssl.codes_of(encoder)(_scale(images)))
    monkeypatch.setattr("keras_ssl.evaluation.representation.BLOCK_VALUES", 24)
    np.testing.assert_array_equal(one.codes(features, memory=1), codes)


@pytest.mark.parametrize(
    ("kind", "embedding", "readouts"),
    [
        (None, True, [None]),
        ("embed", False, ["backbone", "embed"]),
        ("embed", True, ["backbone", "embed", "simplices"]),
        ("gumbel", True, ["backbone", "gumbel", "embedding", "simplices"]),
        ("vq", True, ["backbone", "vq"]),
        ("sem", False, ["backbone", "simplices"]),
    ],
)
def test_every_readout_of_an_encoder_that_is_asked_for(kind, embedding, readouts):
    found = representations_of(_neck(kind), kind, (1.0,), embedding, _scale)
    assert [one.readout for one in found] == readouts


def test_no_temperature_leaves_the_backbone():
    (one,) = representations_of(_neck("sem"), "sem", (), False, _scale)
    assert one.readout == "backbone"


def test_pixels_are_features_of_no_model():
    images = _images(3)
    found = Features().read(images, "unused", "digest")
    np.testing.assert_array_equal(found, images.reshape(3, -1).astype("float32") / 255)
    assert Features().size(images) == 3 * 192
