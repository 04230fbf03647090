import errno
import io
from pathlib import Path
from unittest.mock import Mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation import feature_cache as module
from keras_ssl.evaluation.feature_cache import (
    digest_of_images,
    fingerprint,
    key_of_images,
    scratch_array,
    scratch_features,
    scratch_in,
)
from keras_ssl.evaluation.representation import FeatureExtractor, extract


def _images(count=20, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype="uint8")


def _scale(images):
    return tf.cast(images, "float32") / 255


def _encoder(seed=0):
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    stack = [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()]
    return keras.Sequential([*stack, layers.GlobalAveragePooling2D()], name="encoder")


def cached_features(encoder, images, preprocess, directory, batch_size=256, **settings):
    extractor = FeatureExtractor(encoder, preprocess, batch_size=batch_size)
    return module.cached_features(extractor, images, directory, **settings)


@pytest.fixture
def reads(monkeypatch):
    """Counts the batches of images that were read by an encoder."""
    counted, original = [], FeatureExtractor.__call__

    def count(self, images):
        counted.append(len(images))
        return original(self, images)

    monkeypatch.setattr(FeatureExtractor, "__call__", count)
    return counted


def test_features_are_computed_once_and_are_those_without_a_cache(tmp_path, reads):
    encoder, images = _encoder(), _images()
    expected = extract(encoder, images, _scale, batch_size=8)
    reads.clear()
    for _ in range(2):
        kept = cached_features(encoder, images, _scale, tmp_path / "features", batch_size=8)
        assert isinstance(kept, np.memmap) and np.array_equal(kept, expected)
    assert sum(reads) == 20


def test_features_are_written_block_by_block(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 8)
    encoder, images = _encoder(), _images()
    kept = cached_features(encoder, images, _scale, tmp_path, batch_size=4)
    assert reads == [8, 8, 4]
    assert np.array_equal(kept, extract(encoder, images, _scale, batch_size=4))


def _other_weight(encoder, images, preprocess):
    encoder.layers[0].bias.assign_add([0.0, 0.0, 0.0, 1e-6])
    return encoder, images, preprocess


def _other_statistic(encoder, images, preprocess):
    encoder.layers[1].moving_mean.assign_add([1e-6, 0.0, 0.0, 0.0])
    return encoder, images, preprocess


def _other_pixel(encoder, images, preprocess):
    images = images.copy()
    images[-1, -1, -1, -1] ^= 1
    return encoder, images, preprocess


def _other_preprocessing(encoder, images, preprocess):
    return encoder, images, lambda x: preprocess(x) - 1e-3


def _other_config(encoder, images, preprocess):
    other = keras.Sequential([keras.Input((8, 8, 3)), *encoder.layers[:-1]], name="encoder")
    other.add(keras.layers.GlobalMaxPooling2D())
    return other, images, preprocess


@pytest.mark.parametrize(
    "change",
    [_other_weight, _other_statistic, _other_pixel, _other_preprocessing, _other_config],
)
def test_whatever_changes_is_computed_anew(change, tmp_path, reads):
    start = (_encoder(), _images(), _scale)
    cached_features(*start, tmp_path)
    changed = change(*start)
    assert np.array_equal(cached_features(*changed, tmp_path), extract(*changed))
    assert len(list(tmp_path.glob("*.npy"))) == 2


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def _flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def _empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_cut, _flip_a_bit, _empty, lambda path: path.unlink()])
@pytest.mark.parametrize("suffix", ["npy", "json"])
def test_a_damaged_file_is_written_anew(damage, suffix, tmp_path):
    arguments = (_encoder(), _images(), _scale)
    expected = np.array(cached_features(*arguments, tmp_path))
    damage(next(tmp_path.glob(f"*.{suffix}")))
    assert np.array_equal(cached_features(*arguments, tmp_path), expected)
    assert np.array_equal(np.load(next(tmp_path.glob("*.npy"))), expected)


class Learner(keras.layers.Layer):
    """Counts its calls even in inference mode."""

    def build(self, input_shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.calls.assign_add(1.0)
        return x


def test_an_encoder_that_learns_in_inference_mode_is_refused_and_nothing_is_kept(tmp_path):
    stack = [keras.Input((8, 8, 3)), Learner(), keras.layers.Flatten()]
    with pytest.raises(UserError, match="weights changed"):
        cached_features(keras.Sequential(stack), _images(), _scale, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_fingerprint_is_that_of_the_content():
    assert fingerprint(_encoder(1)) == fingerprint(_encoder(1))
    assert fingerprint(_encoder(1)) != fingerprint(_encoder(2))


def _functional(**names):
    """Layers, an operation, one layer called twice, and a model in a model."""
    layers = keras.layers
    image = keras.Input((8, 8, 3), name=names.get("input"))
    dense = layers.Dense(3, name=names.get("dense"), kernel_initializer="ones")
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(0.5)])
    x = dense(image) + dense(dense(inner(image)))
    x = layers.Activation(names.get("function", "relu"), name=names.get("activation"))(x)
    return keras.Model(image, layers.GlobalAveragePooling2D()(x))


def test_names_that_keras_counts_up_do_not_count():
    models = _functional(), _functional()
    names = [[layer.name for layer in model.layers] for model in models]
    first = fingerprint(models[0])
    assert names[0] != names[1] and fingerprint(models[1]) == first
    assert fingerprint(_functional(dense="dense")) == first  # as the first of a process
    models[1].compile("adam", "mse")
    assert fingerprint(models[1]) == first


def test_a_setting_that_equals_the_name_of_a_layer_counts():
    relu, tanh = (_functional(function=name, activation=name) for name in ("relu", "tanh"))
    assert fingerprint(relu) != fingerprint(tanh)
    relu, tanh = (
        keras.Sequential([keras.Input((2,)), keras.layers.Activation(name, name=name)])
        for name in ("relu", "tanh")
    )
    assert fingerprint(relu) != fingerprint(tanh)


def test_what_a_layer_is_connected_to_counts():
    def model(swap):
        image = keras.Input((4,))
        x, y = keras.layers.ReLU()(image), keras.layers.Softmax()(image)
        return keras.Model(image, keras.layers.Subtract()([y, x] if swap else [x, y]))

    assert fingerprint(model(False)) != fingerprint(model(True))


def test_which_of_several_equal_layers_a_connection_comes_from_counts():
    def model(skip):
        x, outputs = keras.Input((4,)), []
        image = x
        for _ in range(3):
            x = keras.layers.Dense(4, kernel_initializer="ones")(x)
            outputs.append(x)
        return keras.Model(image, keras.layers.Add()([x, outputs[skip]]))

    assert fingerprint(model(0)) == fingerprint(model(0)) != fingerprint(model(1))


def test_the_precision_counts():
    def model(dtype):
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "relu", dtype=dtype)])

    half, whole = model("mixed_bfloat16"), model("float32")
    half.set_weights(whole.get_weights())
    assert fingerprint(half) != fingerprint(whole)


class Encoded:
    """Images that say what they are, and count how many were decoded."""

    def __init__(self, images, name):
        self.images, self.name, self.decoded, self.shape = images, name, 0, images.shape

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        self.decoded += len(self.images[rows])
        return self.images[rows]

    def digest(self):
        return self.name


def test_images_that_say_what_they_are_are_not_decoded_for_their_key():
    images = Encoded(_images(), "a")
    first = key_of_images(images, "content")
    assert images.decoded == 0
    assert first != key_of_images(Encoded(_images(), "b"))
    assert key_of_images(_images(), "content") == "content"


def test_equal_pixels_are_the_same_images_wherever_their_files_are():
    digests = {digest_of_images(Encoded(_images(), name), np.arange(20)) for name in "ab"}
    assert digests == {digest_of_images(_images(), np.arange(20))}
    images = np.arange(2 * 4 * 4 * 3, dtype="uint8").reshape(2, 4, 4, 3)
    # As earlier versions wrote it: runs keep their intervals.
    assert digest_of_images(Encoded(images, "a"), [0, 1]) == "9b3de3869d3e5289"


def test_images_that_say_what_they_are_are_not_decoded_to_find_their_features(tmp_path):
    arguments, images = (_scale, tmp_path), Encoded(_images(40), "a")
    kept = cached_features(_encoder(), images, *arguments, images_digest=images.digest())
    images.decoded = 0
    again = cached_features(_encoder(), images, *arguments, images_digest=images.digest())
    assert np.array_equal(again, kept)
    assert images.decoded == module._SEEN
    cached_features(_encoder(), Encoded(_images(40), "b"), *arguments, images_digest="b")
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_a_digest_that_the_caller_has_stands_for_the_images(tmp_path, monkeypatch):
    arguments = (_encoder(), _images(), _scale, tmp_path)
    digest = digest_of_images(_images())
    kept = cached_features(*arguments)
    monkeypatch.setattr(module, "digest_of_images", None)
    again = cached_features(*arguments, images_digest=digest)
    assert again.filename == kept.filename


def test_other_images_order_or_form_have_another_digest():
    images = _images()
    others = [images[::-1], images[:-1], images.reshape(20, 4, 16, 3), images + 1]
    assert len({digest_of_images(x) for x in (images, *others)}) == 5
    assert digest_of_images(images) == digest_of_images(images.copy())
    assert digest_of_images(images, range(20)) != digest_of_images(images, [0] * 20)


class Full(io.FileIO):
    """A file on a disk that has room for 200 bytes more."""

    def write(self, content):
        if self.tell() + memoryview(content).nbytes > 200:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content)


def test_a_full_disk_is_an_error_that_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "open", Full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        cached_features(_encoder(), _images(), _scale, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_removed_after_use_is_written_where_it_is_told(tmp_path, monkeypatch):
    images, extract = _images(), lambda images: images.reshape(len(images), -1).astype("float32")
    with scratch_in(tmp_path / "features"):
        found = scratch_features(extract, images)
        assert tmp_path / "features" in Path(found.filename).parents
        np.testing.assert_array_equal(found, extract(images))
        monkeypatch.setattr(module, "open", Full, raising=False)
        with pytest.raises(OSError, match="No space left.*features"):
            scratch_features(extract, images)
        full = OSError(errno.ENOSPC, "No space left on device")
        monkeypatch.setattr(module.os, "posix_fallocate", Mock(side_effect=full), raising=False)
        with pytest.raises(OSError, match="No space left.*features"):
            scratch_array((2, 3), "uint8", memory=1)
    assert not list((tmp_path / "features").iterdir())


def test_what_cannot_be_kept_is_refused(tmp_path):
    with pytest.raises(UserError, match="Only features of a keras.Model"):
        cached_features(lambda x, training: x, _images(), _scale, tmp_path)
    maps = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    with pytest.raises(UserError, match="one matrix"):
        cached_features(maps, _images(), _scale, tmp_path)
    with pytest.raises(UserError, match="no images"):
        cached_features(_encoder(), _images(0), _scale, tmp_path)
    assert not list(tmp_path.iterdir())
