import json
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.knn import knn_accuracy
from keras_ssl.training.callbacks import EventFiles, MetricsLog, Throughput
from keras_ssl.training.online import OnlineEvaluation, feature_std, online_knn

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (24, 8, 8, 1), dtype="uint8")
LABELS = np.arange(24) % 3
TEST_IMAGES, TEST_LABELS = IMAGES[:9], LABELS[:9]


def _scale(images):
    return tf.cast(images, "float32") / 255


def _model():
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(6),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def _fit(model, callbacks, epochs=2, **options):
    views = np.asarray(_scale(IMAGES))
    targets = np.tile(LABELS[:, None], (1, 6)).astype("float32")
    settings = {"batch_size": 4, "epochs": epochs, "verbose": 0, "shuffle": False, **options}
    return model.fit(views, targets, callbacks=callbacks, **settings).history


def _watch(model, *data, k=20, **options):
    probes = {"knn": online_knn(k)}
    return OnlineEvaluation(model, _scale, *data, probes=probes, batch_size=8, **options)


class _Recorder(keras.callbacks.Callback):
    """Keeps the logs of every step, as a callback after the others sees them."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(dict(logs))


class _LogNaN(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        logs |= {"bad": float("nan"), "text": "x"}


def test_callbacks_leave_training_bit_for_bit_as_it_is(tmp_path):
    plain, watched = _model(), _model()
    _fit(plain, [])
    data = (IMAGES, LABELS, TEST_IMAGES, TEST_LABELS)
    callbacks = [Throughput(4), _watch(watched, *data, every=1)]
    _fit(watched, [*callbacks, MetricsLog(tmp_path / "metrics.jsonl"), EventFiles(tmp_path / "tb")])
    weights = plain.get_weights() + [v.numpy() for v in plain.optimizer.variables]
    others = watched.get_weights() + [v.numpy() for v in watched.optimizer.variables]
    assert all(np.array_equal(a, b) for a, b in zip(weights, others, strict=True))


# Throughput


def test_throughput_is_in_the_logs_of_every_step_and_epoch():
    recorder = _Recorder()
    history = _fit(_model(), [Throughput(4), recorder])
    assert all(logs["images_per_second"] > 0 for logs in recorder.steps)
    assert history["images_per_second"] == [
        recorder.steps[5]["images_per_second"],
        recorder.steps[11]["images_per_second"],
    ]
    assert history["data_wait"] == [0, 0]


def test_throughput_reaches_the_progress_bar(capsys):
    _fit(_model(), [Throughput(4)], verbose=2)
    assert "images_per_second" in capsys.readouterr().out


def _by_hand(callback, model, steps):
    """Run a callback through the steps of one epoch; -> the logs of the last step."""
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for step, (seconds, waiting) in enumerate(steps):
        time.sleep(seconds)
        model.seconds_waiting += waiting
        logs = {}
        callback.on_train_batch_end(step, logs)
    return logs


def test_throughput_leaves_out_the_step_that_compiles():
    model = _model()
    model.seconds_waiting = 5.0  # of an earlier epoch
    logs = _by_hand(Throughput(10), model, [(0.3, 0.3), (0.02, 0.01), (0.02, 0.01)])
    assert 100 < logs["images_per_second"] <= 500
    assert 0.1 < logs["data_wait"] <= 0.5


def test_throughput_of_a_single_step_counts_that_step():
    model = _model()
    model.seconds_waiting = 0.0
    logs = _by_hand(Throughput(10), model, [(0.02, 0.01)])
    assert 50 < logs["images_per_second"] <= 500
    assert 0 < logs["data_wait"] <= 0.5


# OnlineEvaluation with a k-NN


def test_online_knn_measures_every_few_epochs_and_at_the_end(tmp_path):
    model, path = _model(), tmp_path / "metrics.jsonl"
    watch = _watch(model, IMAGES, LABELS, TEST_IMAGES, TEST_LABELS, every=2)
    _fit(model, [watch, MetricsLog(path)], epochs=5)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["epoch"] for line in lines if "knn" in line] == [2, 4, 5]
    assert all(("knn" in line) == ("feature_std" in line) for line in lines)


def test_online_knn_is_the_accuracy_of_the_model_as_it_is():
    model = _model()
    values = _watch(model, IMAGES, LABELS, TEST_IMAGES, TEST_LABELS, k=4).measure()
    train, test = (np.asarray(model(_scale(x), training=False)) for x in (IMAGES, TEST_IMAGES))
    assert values["knn"] == knn_accuracy(train, LABELS, test, TEST_LABELS, k=4).accuracy
    assert values["feature_std"] == pytest.approx(feature_std(train), rel=1e-5)


def test_online_knn_compiles_once():
    model = _model()
    watch = _watch(model, IMAGES, LABELS, TEST_IMAGES, TEST_LABELS, every=1)
    _fit(model, [watch], epochs=3)
    _fit(model, [watch], epochs=1)
    assert watch.extract.encode.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("data", [(IMAGES,), (IMAGES, LABELS), (IMAGES, LABELS, TEST_IMAGES)])
def test_without_labels_on_both_parts_only_the_spread_is_measured(data):
    assert "knn" not in _watch(_model(), *data).measure()


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_a_collapse_is_recorded_and_does_not_end_the_run(value):
    def encoder(images, training):
        return tf.fill([tf.shape(images)[0], 5], value)

    values = _watch(encoder, IMAGES, LABELS, TEST_IMAGES, TEST_LABELS).measure()
    assert np.isnan(values["knn"])
    assert values["feature_std"] == 0 or np.isnan(values["feature_std"])


def test_a_fixed_subset_bounds_the_images_that_are_read():
    first, second = (_watch(_model(), IMAGES, LABELS, max_images=7) for _ in range(2))
    assert len(first.train[0]) == len(first.train[1]) == 7
    assert np.array_equal(first.train[0], second.train[0])


def test_online_knn_refuses_labels_that_do_not_fit():
    with pytest.raises(UserError, match="one train label per image"):
        _watch(_model(), IMAGES, LABELS[:5], TEST_IMAGES, TEST_LABELS)
    with pytest.raises(UserError, match="every"):
        _watch(_model(), IMAGES, every=0)


# MetricsLog


def _epochs(path):
    return [json.loads(line)["epoch"] for line in path.read_text().splitlines()]


def test_a_line_holds_epoch_step_time_and_finite_numbers_or_null(tmp_path):
    path = tmp_path / "metrics.jsonl"
    history = _fit(_model(), [_LogNaN(), MetricsLog(path)])
    assert "NaN" not in path.read_text()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["epoch"], line["step"]) for line in lines] == [(1, 6), (2, 12)]
    assert [line["loss"] for line in lines] == history["loss"]
    assert lines[0]["bad"] is None and lines[0]["text"] is None
    assert abs(lines[1]["time"] - time.time()) < 60


def test_resuming_replaces_the_lines_of_epochs_that_are_done_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    _fit(_model(), [MetricsLog(path)], epochs=4)
    kept = path.read_text().splitlines()[:2]
    _fit(_model(), [MetricsLog(path)], epochs=3, initial_epoch=2)
    assert _epochs(path) == [1, 2, 3]
    assert path.read_text().splitlines()[:2] == kept
    _fit(_model(), [MetricsLog(path)], epochs=1)
    assert _epochs(path) == [1]


def test_a_line_that_a_crash_cut_short_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    _fit(_model(), [MetricsLog(path)])
    path.write_text(path.read_text() + '{"epoch": 3, "lo')
    _fit(_model(), [MetricsLog(path)], epochs=3, initial_epoch=2)
    assert _epochs(path) == [1, 2, 3]


# EventFiles


def _events(directory):
    for path in sorted(directory.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            yield tf.compat.v1.Event.FromString(record.numpy())


def test_event_files_hold_the_logs_as_tensorboard_scalars(tmp_path):
    history = _fit(_model(), [_LogNaN(), EventFiles(tmp_path / "tb")])
    header, *events = _events(tmp_path / "tb")
    assert header.file_version == "brain.Event:2"
    found = {}
    for event in events:
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            assert value.metadata.data_class == 1  # DATA_CLASS_SCALAR
            found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    expected = {("loss", 6): history["loss"][0], ("loss", 12): history["loss"][1]}
    assert found == {key: pytest.approx(loss) for key, loss in expected.items()}


def test_event_files_are_complete_after_every_epoch(tmp_path):
    seen = []

    class _Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(sum(bool(event.summary.value) for event in _events(tmp_path)))

    _fit(_model(), [EventFiles(tmp_path), _Look()])
    assert seen == [1, 2]
