import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.analysis import rankme
from keras_ssl.training.online import OnlineEvaluation
from keras_ssl.training.spectra import SpectraLog, feature_spectrum, spectrum_logs

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 8, 8, 1), dtype="uint8")
SPECTRUM = {"feature_rankme", "feature_participation_ratio", "feature_largest_share"}


def _scale(images):
    return tf.cast(images, "float32") / 255


def _model():
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(6)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def _fit(model, path, epochs, every=2, **options):
    online = OnlineEvaluation(model, _scale, IMAGES, probes={}, every=every, batch_size=8)
    callbacks = [online, SpectraLog(path, online)]
    settings = {"batch_size": 4, "epochs": epochs, "verbose": 0, "shuffle": False, **options}
    return model.fit(_scale(IMAGES), np.ones((24, 6)), callbacks=callbacks, **settings).history


def _lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("shape", [(40, 7), (7, 40)])
def test_singular_values_are_those_of_the_centered_features(shape):
    features = 3 + RNG.normal(size=shape)
    expected = np.linalg.svd(features - features.mean(0), compute_uv=False)
    found = feature_spectrum(features)
    np.testing.assert_allclose(found.centered_values, expected, atol=1e-6)
    assert found.rankme == pytest.approx(float(rankme(features)), rel=1e-5)


def test_directions_alike_count_in_full_and_a_line_counts_once():
    even = feature_spectrum(np.concatenate([np.eye(5), -np.eye(5)]))
    assert even.participation_ratio == pytest.approx(5)
    assert even.largest_share == pytest.approx(1 / 5)
    line = feature_spectrum(7 + np.outer(np.arange(9.0), np.ones(5)))
    assert line.participation_ratio == pytest.approx(1)
    assert line.largest_share == pytest.approx(1)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6])
def test_constant_features_have_no_direction_and_no_nan(value):
    found = feature_spectrum(np.full((9, 4), value, "float32"))
    assert not found.centered_values.any()
    assert (found.participation_ratio, found.largest_share) == (0, 1)
    assert np.isfinite(found.rankme)


def test_features_that_are_not_finite_give_nan():
    assert all(np.isnan(list(spectrum_logs(feature_spectrum(np.full((9, 4), np.inf))).values())))


def test_wide_features_are_read_from_the_same_few_rows(monkeypatch):
    monkeypatch.setattr("keras_ssl.training.spectra.SPECTRUM_ROWS", 16)
    features = RNG.normal(size=(25, 17)).astype("float32")
    one, other = feature_spectrum(features), feature_spectrum(features)
    assert one.samples == 16 == len(one.centered_values)
    assert np.array_equal(one.centered_values, other.centered_values)
    assert feature_spectrum(features[:, :-1]).samples == 25


def test_every_evaluation_is_a_line_and_so_is_the_start(tmp_path):
    path = tmp_path / "spectra.jsonl"
    history = _fit(_model(), path, epochs=5)
    lines = _lines(path)
    assert [line["epoch"] for line in lines] == [0, 2, 4, 5]
    assert set(history) >= SPECTRUM
    start = np.asarray(_model()(_scale(IMAGES)))
    expected = np.linalg.svd(start - start.mean(0), compute_uv=False)
    np.testing.assert_allclose(lines[0]["singular_values"], expected, rtol=1e-4)
    assert lines[0]["rows"] == 24
    assert all(len(f"{value:.9g}".lstrip("0.")) <= 7 for value in lines[0]["singular_values"])


def test_resuming_replaces_the_lines_of_epochs_that_are_done_again(tmp_path):
    path, model = tmp_path / "spectra.jsonl", _model()
    _fit(model, path, epochs=4, every=1)
    kept = path.read_text().splitlines()[:3]
    _fit(model, path, epochs=3, every=1, initial_epoch=2)
    assert [line["epoch"] for line in _lines(path)] == [0, 1, 2, 3]
    assert path.read_text().splitlines()[:3] == kept
    _fit(_model(), path, epochs=1)  # a new training in the same place
    assert [line["epoch"] for line in _lines(path)] == [0, 1]


def test_spectra_leave_training_bit_for_bit_as_it_is(tmp_path):
    plain, watched = _model(), _model()
    views, targets = _scale(IMAGES), np.ones((24, 6))
    plain.fit(views, targets, batch_size=4, epochs=2, verbose=0, shuffle=False)
    _fit(watched, tmp_path / "spectra.jsonl", epochs=2, every=1)
    pairs = zip(plain.get_weights(), watched.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
