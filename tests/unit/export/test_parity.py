"""The comparison that decides whether an export counts."""

import numpy as np
import pytest
import tensorflow as tf

import export
import keras_ssl
from export import ExportError, parity
from export.signatures import Signature

SIGNATURES = {"codes": Signature(None, tf.TensorSpec((None,), tf.uint8, "images"), ("value",))}


def checked(wanted, saved_model, tf1=None, precision="float32"):
    live = {"images": {"value": wanted}}
    served = {"saved_model/codes/value": saved_model, "tf1/codes/value": saved_model}
    if tf1 is not None:
        served["tf1/codes/value"] = tf1
    report = parity.compare(SIGNATURES, live, served)
    parity.check_report(report, SIGNATURES, live, precision)
    return report["codes"]["value"]


def test_an_encoder_on_another_device_is_compared_on_the_host():
    with tf.device("CPU:1"):
        encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    moved = parity.on_the_host(encoder)
    assert {weight.value.device[-5:] for weight in encoder.weights} == {"CPU:1"}
    assert {weight.value.device[-5:] for weight in moved.weights} == {"CPU:0"}
    for one, other in zip(encoder.get_weights(), moved.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert parity.on_the_host(moved) is moved


def test_equal_values_differ_by_nothing():
    values = np.float32([1.0, -2.0])
    assert checked(values, values) == {"saved_model": 0.0, "tf1": 0.0}


@pytest.mark.parametrize("value", [1.01, np.nan, np.inf])
def test_either_loader_fails_the_export(value):
    wanted, wrong = np.float32([1.0, 0.5]), np.float32([value, 0.5])
    with pytest.raises(ExportError, match="tf.saved_model is off"):
        checked(wanted, wrong)
    with pytest.raises(ExportError, match="TF1 loader is off"):
        checked(wanted, wanted, tf1=wrong)


def test_large_values_are_compared_by_their_magnitude():
    wanted = np.float32([1000.0, 0.0])
    assert checked(wanted, wanted + np.float32(0.01))["tf1"] == pytest.approx(1e-5, rel=0.1)
    with pytest.raises(ExportError):
        checked(wanted, wanted + np.float32(0.2))


def test_of_codes_one_in_a_thousand_may_differ_whatever_its_value():
    wanted = np.zeros(2000, "uint8")
    for wrong, fits in ((2, True), (3, False)):
        found = wanted.copy()
        found[:wrong] = 200
        if fits:
            assert checked(wanted, found)["tf1"] == wrong / 2000
        else:
            with pytest.raises(ExportError):
                checked(wanted, found)


def test_another_type_or_shape_fails_the_export():
    wanted = np.zeros((2, 3), "uint8")
    for found in (wanted.astype("int32"), wanted[:, :2]):
        with pytest.raises(ExportError, match="where the live model gives"):
            checked(wanted, found)


def test_what_fails_leaves_nothing_under_the_version_number(tmp_path, monkeypatch):
    def refuse(version, images):
        assert (version / "saved_model.pb").exists()
        raise ExportError("It says something else.")

    monkeypatch.setattr(parity, "run_in_fresh_process", refuse)
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    with pytest.raises(ExportError):
        export.export_encoder(backbone, lambda x: tf.cast(x, tf.float32), tmp_path / "encoder")
    assert not [path for path in (tmp_path / "encoder").iterdir() if path.is_dir()]
