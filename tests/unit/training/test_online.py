import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from keras_ssl.training.online import OnlineEvaluation, OnlineLinearProbe, online_knn
from keras_ssl.training.spectra import SpectraLog
from keras_ssl.training.watcher import Watcher
from tests.blobs import blobs
from tests.descriptors import make_method, make_views

DATA = blobs(spread=2.0)
GENERATOR = np.random.default_rng(0)
SHORT = {"steps": 20, "batch_size": 32}


def weights_of(probe):
    return [np.asarray(weight) for weight in probe.weights]


def assert_same_weights(one, other):
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(a, b)


def trained(data=DATA, calls=1, **settings):
    probe = OnlineLinearProbe(**{**SHORT, **settings})
    for _ in range(calls):
        probe(*data)
    return probe


def test_classes_that_lie_apart_are_told_apart_in_one_call():
    assert OnlineLinearProbe()(*blobs(spread=0.3)) == 100


def test_the_first_step_goes_down_the_gradient_of_the_cross_entropy():
    train, labels, *_ = DATA
    settings = {"steps": 1, "batch_size": len(train), "learning_rate": 0.04}
    kernel, bias = weights_of(trained(**settings))
    rate = 0.04 / np.sqrt(train.shape[1])
    standard = (train - train.mean(0)) / train.std(0)
    slope = standard.T @ (1 / 3 - np.eye(3)[labels]) / len(train)
    np.testing.assert_allclose(kernel, -rate * np.sign(slope), rtol=1e-3)  # as Adam starts
    assert np.abs(bias).max() <= rate * 1.001


def test_every_row_is_seen_once_in_a_pass():
    order = OnlineLinearProbe(steps=9, batch_size=5)._order(20)
    assert order.shape == (9, 5)
    assert all(sorted(rows.ravel()) == list(range(20)) for rows in (order[:4], order[4:8]))
    assert not np.array_equal(order[:4], order[4:8])


def test_rows_fewer_than_a_batch_make_one():
    assert OnlineLinearProbe(steps=3, batch_size=256)._order(20).shape == (3, 20)


def test_a_call_goes_on_from_the_call_before():
    probe = trained(steps=2, learning_rate=0.003)
    first = weights_of(probe)[0]
    for _ in range(30):
        probe(*DATA)
    assert int(probe.optimizer.iterations) == 62
    assert np.abs(weights_of(probe)[0]).sum() > 5 * np.abs(first).sum()


def test_the_probe_follows_features_that_move():
    probe = trained(calls=5)
    train, labels, test, test_labels = DATA
    turned = (-train, labels, -test, test_labels)
    calls = [probe(*turned) for _ in range(20)]
    assert calls[0] < calls[-1]
    assert calls[-1] == pytest.approx(OnlineLinearProbe()(*turned), abs=7)


def test_the_scale_and_the_origin_of_features_do_not_matter():
    train, labels, test, test_labels = DATA
    assert_same_weights(trained(), trained((8 * train, labels, 8 * test, test_labels)))
    scales = np.geomspace(1e-3, 1e3, train.shape[1]).astype("float32")
    moved = [scales * (part + 5) for part in (train, test)]
    other = trained((moved[0], labels, moved[1], test_labels))
    np.testing.assert_allclose(weights_of(trained())[0], weights_of(other)[0], atol=1e-4)


def test_weights_that_nothing_supports_fade_and_faster_if_features_are_wide():
    left = []
    for width in (8, 800):
        data = blobs(train=64, width=width)
        probe = trained(data, calls=10)
        before = np.abs(weights_of(probe)[0]).sum()
        for _ in range(10):
            probe(np.zeros_like(data[0]), *data[1:])
        left.append(np.abs(weights_of(probe)[0]).sum() / before)
    assert left[1] < 0.7 < 0.85 < left[0]


def test_the_seed_decides_every_bit():
    assert_same_weights(trained(calls=2, seed=3), trained(calls=2, seed=3))
    assert not np.array_equal(weights_of(trained(seed=3))[0], weights_of(trained(seed=4))[0])


def draws():
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    values = [random.random(), np.random.rand(), float(tf.random.uniform(()))]
    values += [float(keras.random.uniform(())), np.asarray(layer.kernel).tolist()]
    return [*values, layer.name, keras.optimizers.Adam().name, keras.Variable(0.0).name]


def test_the_global_random_state_and_names_stay_as_they_were():
    keras.backend.clear_session()
    keras.utils.set_random_seed(5)
    expected = draws()
    keras.backend.clear_session()
    keras.utils.set_random_seed(5)
    trained(calls=2)
    assert draws() == expected


def test_the_probe_computes_in_float32_whatever_the_model_does():
    plain = trained()
    keras.config.set_dtype_policy("mixed_bfloat16")
    probe = trained()
    assert {str(weight.dtype) for weight in probe.weights} == {"float32"}
    assert_same_weights(plain, probe)


def test_the_probe_compiles_once():
    assert trained(calls=3)._train.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("part", [0, 2])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_give_nan_and_leave_the_probe(part, value):
    probe, expected = trained(), trained()
    broken = [array.copy() for array in DATA]
    broken[part][3, 1] = value
    assert np.isnan(probe(*broken))
    assert_same_weights(probe, expected)
    assert probe(*DATA) == expected(*DATA)


def test_features_too_large_to_standardise_give_nan():
    train, labels, test, test_labels = DATA
    train = train.copy()
    train[:, 0] = -3e38
    train[0, 0] = 3e38  # further from the mean than float32 reaches
    assert np.isnan(OnlineLinearProbe(**SHORT)(train, labels, test, test_labels))


def test_features_that_collapsed_leave_the_most_frequent_class():
    labels, test_labels = np.repeat([0, 1, 2], [5, 20, 5]), np.repeat([0, 1, 2], [1, 2, 5])
    collapsed = [np.zeros((len(x), 4), "float32") for x in (labels, test_labels)]
    assert OnlineLinearProbe()(collapsed[0], labels, collapsed[1], test_labels) == 25


def test_labels_may_be_any_integers_and_unknown_ones_count_as_wrong():
    train, labels, test, test_labels = blobs(spread=0.3)
    names = np.array([7, 1000, 12])
    named = (train, names[labels], test, names[test_labels])
    assert OnlineLinearProbe()(*named) == 100
    unknown = np.where(test_labels == 1, 5, names[test_labels])
    share = 100 * np.mean(test_labels != 1)
    assert OnlineLinearProbe()(train, names[labels], test, unknown) == pytest.approx(share)


@pytest.mark.parametrize("setting", [{"learning_rate": 0}, {"steps": 0}, {"batch_size": 0}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(UserError, match=next(iter(setting))):
        OnlineLinearProbe(**setting)


# As a callback


LABELS = np.arange(24) % 3
IMAGES = (GENERATOR.integers(0, 99, (24, 8, 8, 3)) + 70 * LABELS[:, None, None, None]).astype("u1")
PARTS = (IMAGES, LABELS, IMAGES[:9], LABELS[:9])


def scale(images):
    return tf.cast(images, "float32") / 255


def pixels(images, training):
    return tf.reshape(images, (-1, 8 * 8 * 3))


def both(encoder, *data, names=("knn", "linear"), **options):
    probes = {"knn": online_knn(), "linear": OnlineLinearProbe(**SHORT)}
    probes = {name: probes[name] for name in names}
    return OnlineEvaluation(encoder, scale, *data, probes=probes, batch_size=8, **options)


def fit(method, callbacks):
    data = tf.data.Dataset.from_tensors(make_views(method)).repeat()
    options = {"steps_per_epoch": 2, "epochs": 2, "verbose": 0, "shuffle": False}
    return method.fit(data, callbacks=callbacks, **options).history


def test_probes_share_features_that_are_extracted_once():
    online, seen = both(pixels, *PARTS), []
    read = online.extract
    online.extract = lambda images: seen.append(len(images)) or read(images)
    together = online.measure()
    assert seen == [24, 9]
    alone = {}
    for name in ("knn", "linear"):
        alone |= both(pixels, *PARTS, names=[name]).measure()
    assert together == alone
    assert {"feature_std", "knn", "linear"} <= set(alone)


def test_of_wide_features_fewer_images_are_taken_and_a_line_says_so(monkeypatch, capsys):
    encoder = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    assert len(both(encoder, *PARTS).train[0]) == 24 and not capsys.readouterr().out
    monkeypatch.setattr("keras_ssl.training.online.MAX_VALUES", 192 * 12)
    online = both(encoder, *PARTS)
    assert (len(online.train[0]), len(online.test[0])) == (12, 9)
    assert capsys.readouterr().out.count("takes 12 images, as each has 192 features") == 1


@pytest.mark.parametrize("data", [PARTS[:1], PARTS[:2], PARTS[:3]])
def test_without_labels_on_both_parts_no_probe_is_trained(data):
    assert not {"knn", "linear"} & set(both(pixels, *data).measure())


def test_an_encoder_that_diverged_is_recorded_and_does_not_end_the_run():
    def encoder(images, training):
        return tf.fill((tf.shape(images)[0], 5), float("nan"))

    values = both(encoder, *PARTS).measure()
    assert np.isnan(values["linear"]) and np.isnan(values["knn"])


def test_features_too_large_for_distances_do_not_end_the_run():
    def encoder(images, training):
        return 1e30 * (pixels(images, training) + 1)

    online = both(encoder, *PARTS, names=["knn"])
    with pytest.warns(UserWarning, match="knn is NaN: .* too large for distances"):
        assert np.isnan(online.measure()["knn"])


def test_an_error_of_one_probe_does_not_keep_the_others_from_measuring():
    def refuse(*parts):
        raise UserError("not today")

    probes = {"own": refuse, "knn": online_knn()}
    with pytest.warns(UserWarning, match="own is NaN: not today"):
        values = OnlineEvaluation(pixels, scale, *PARTS, probes=probes).measure()
    assert np.isnan(values["own"]) and values["knn"] >= 0


@pytest.mark.parametrize("setting", [{"k": 0}, {"temperature": 0.0}])
def test_settings_of_the_knn_are_checked_before_a_training(setting):
    with pytest.raises(UserError, match=next(iter(setting))):
        online_knn(**setting)


@pytest.mark.parametrize("name", ["swav", pytest.param("gedi", marks=pytest.mark.slow)])
def test_a_watched_method_trains_to_the_same_bits_in_one_trace(name, tmp_path):
    plain, watched = make_method(name), make_method(name)
    expected = fit(plain, [])["loss"]
    traces, embed = [], watched.embed
    object.__setattr__(watched, "embed", lambda *a, **k: traces.append(1) or embed(*a, **k))
    online = both(watched.encoder, *PARTS, every=1)
    records = SpectraLog(tmp_path / "spectra", online), Watcher(tmp_path / "warnings", online)
    history = fit(watched, [online, *records])
    assert len(traces) == 1
    assert history["loss"] == expected
    assert len(history["linear"]) == len(history["largest_cluster"]) == 2
    for a, b in zip(plain.variables, watched.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(plain.optimizer.variables, watched.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
