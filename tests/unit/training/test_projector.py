"""The rank of a linear projector in the logs of every epoch."""

import json

import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.analysis.projector import linear_weights, weight_spectrum
from keras_ssl.training import MetricsLog, ProjectorRank
from tests.descriptors import make_views


def simclr(**settings):
    settings = {"num_layers": 1, "projection_dim": 3, **settings}
    method = keras_ssl.create("simclr", backbone="tiny", input_shape=(8, 8, 3), **settings)
    method.compile(keras_ssl.SGD(0.1), jit_compile=False, run_eagerly=True)
    return method


def train(method, callbacks, **options):
    data = tf.data.Dataset.from_tensors(make_views(method))
    return method.fit(data, verbose=0, shuffle=False, callbacks=callbacks, **options).history


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_spectrum_is_kept_from_before_training_and_the_rank_after_every_epoch(tmp_path):
    method = simclr()
    start = weight_spectrum(linear_weights(method))
    callbacks = [ProjectorRank(tmp_path / "projector.jsonl"), MetricsLog(tmp_path / "log.jsonl")]
    train(method, callbacks, epochs=2)
    spectra, logs = rows(tmp_path / "projector.jsonl"), rows(tmp_path / "log.jsonl")
    assert [row["epoch"] for row in spectra] == [0, 1, 2]
    assert spectra[0]["singular_values"] == pytest.approx(start, abs=1e-5)
    assert [row["projector_rank"] for row in logs] == [3, 3]
    assert 1 <= logs[-1]["projector_rankme"] <= 3


def test_a_resumed_run_writes_its_epochs_once(tmp_path):
    method, path = simclr(), tmp_path / "projector.jsonl"
    train(method, [ProjectorRank(path)], epochs=3)
    before = rows(path)
    train(method, [ProjectorRank(path)], epochs=3, initial_epoch=1)
    assert [row["epoch"] for row in rows(path)] == [0, 1, 2, 3]
    assert rows(path)[:2] == before[:2]


def test_other_projectors_leave_no_trace(tmp_path):
    method, path = simclr(num_layers=2, hidden_dim=4), tmp_path / "projector.jsonl"
    history = train(method, [ProjectorRank(path)], epochs=1)
    assert not path.exists() and "projector_rank" not in history


def test_a_projector_too_large_for_a_spectrum_leaves_no_trace(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_ssl.training.projector._MOST", 2)
    history = train(simclr(), [ProjectorRank(tmp_path / "projector.jsonl")], epochs=1)
    assert not (tmp_path / "projector.jsonl").exists() and "projector_rank" not in history
