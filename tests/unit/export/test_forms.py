"""Other forms than the SavedModel give the same outputs, or are refused; another precision."""

import sys

import numpy as np
import pytest

import keras_ssl
from export import ExportError, export_form, forms, in_precision
from keras_ssl.core.errors import UserError

IMAGES = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype("float32")
NEEDS = {
    "encoder.onnx": ("tf2onnx", "onnxruntime"),
    "encoder.tflite": ("ai_edge_litert",),
}
NAMES = dict(zip(NEEDS, forms.FORMS, strict=True))


def encoder(kind="sem"):
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    return keras_ssl.add_neck(backbone, kind=kind, num_simplices=4, simplex_size=3)


@pytest.mark.parametrize("file", NEEDS)
def test_each_form_says_what_the_live_model_says(file, tmp_path):
    for package in NEEDS[file]:
        pytest.importorskip(package)
    difference = export_form(encoder(), NAMES[file], tmp_path / file, IMAGES)
    assert difference <= 1e-5
    assert [path.name for path in tmp_path.iterdir()] == [file]


def write_new(readouts, path, spec):
    path.write_text("new")


def run_live(live):
    """What reading a file back gives: the live model itself."""

    def run(path, images):
        outputs = forms._readouts(live, 0.1)(images, training=False)
        return {name: value.numpy() for name, value in outputs.items()}

    return run


def test_what_agrees_replaces_the_old_file(tmp_path, monkeypatch):
    path, live = tmp_path / "encoder.file", encoder()
    path.write_text("old")
    monkeypatch.setitem(forms.FORMS, "file", forms.Form(".file", write_new, run_live(live), ""))
    assert export_form(live, "file", path, IMAGES) <= 1e-6
    assert path.read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_differs_is_refused_and_the_old_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "encoder.file"
    path.write_text("old")

    found = {}
    kind = forms.Form(".file", write_new, lambda path, images: found, "")
    monkeypatch.setitem(forms.FORMS, "file", kind)
    for name, size, what in (
        ("features", 8, "has the outputs features, where"),
        ("simplices", 12, "off by nan"),
    ):
        found[name] = np.full((3, size), np.nan, "float32")
        with pytest.raises(ExportError, match=what):
            export_form(encoder(), "file", path, IMAGES)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_without_a_runtime_to_check_with_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    for form, name in (("onnx", "onnxruntime"), ("litert", "ai-edge-litert")):
        suffix = forms.FORMS[form].suffix
        # Keras 3.12 does not know LiteRT yet.
        message = f"Form '{form}'.*(Install .*{name}|Unrecognized format={form})"
        with pytest.raises(UserError, match=message):
            export_form(encoder(), form, tmp_path / f"encoder{suffix}", IMAGES)
    assert list(tmp_path.iterdir()) == []


def test_a_name_or_form_that_does_not_fit_is_answered_with_what_does(tmp_path):
    with pytest.raises(UserError, match="ends in .onnx"):
        export_form(encoder(), "onnx", tmp_path / "encoder.pb", IMAGES)
    with pytest.raises(UserError, match="Did you mean 'onnx'"):
        export_form(encoder(), "onx", tmp_path / "encoder.onnx", IMAGES)


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
