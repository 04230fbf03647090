"""An export as a whole: checked in a process of its own, with what a server needs next to it."""

import json
import shlex
import sys

import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from export import ExportError, export_encoder, saved_model, serving
from pipelines.preprocessing import make_preprocess
from stages.inputs import Preprocessing

PREPROCESS = make_preprocess(8, 3, 3 * [0.5], 3 * [0.25])
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), "uint8")


def encoder():
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 3))
    return keras_ssl.sem_neck(backbone, num_simplices=4, simplex_size=3)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folder of the first version, and the lines printed for it."""
    lines = []
    version = export_encoder(
        encoder(),
        PREPROCESS,
        tmp_path_factory.mktemp("run") / "export" / "animals",
        decode=Preprocessing(8, 3, 3 * [0.5], 3 * [0.25]).decode,
        images=IMAGES,
        one_hot=True,
        facts={"method": "sem_byol"},
        log=lines.append,
    )
    return version, "\n".join(lines)


def metadata(exported):
    return json.loads((exported[0] / "metadata.json").read_text())


def test_a_process_without_this_project_says_what_the_live_model_says(exported):
    report = metadata(exported)["parity"]["largest_difference"]
    expected = {"serving_default", "features", "codes", "one_hot", "image_bytes"}
    assert set(report) == expected
    for name, outputs in report.items():
        for output, differences in outputs.items():
            assert set(differences) == {"saved_model", "tf1"}
            assert max(differences.values()) <= 1e-4
            assert f"  {name:<16} {output:<10} " in exported[1]


def test_metadata_tell_what_goes_in_and_comes_out(exported):
    facts = metadata(exported)
    assert facts["name"] == "animals" and facts["version"] == 1 and facts["method"] == "sem_byol"
    assert (facts["num_simplices"], facts["simplex_size"]) == (4, 3)
    assert facts["latency_ms"]["median"]["image_bytes"] > 0
    loaded = tf.saved_model.load(str(exported[0])).signatures
    for name, signature in facts["signatures"].items():
        (spec,) = loaded[name].structured_input_signature[1].values()
        assert signature["inputs"] == {
            spec.name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
        }
        found = loaded[name].structured_outputs
        assert set(signature["outputs"]) == set(found)
        for output, said in signature["outputs"].items():
            assert said == {
                "dtype": found[output].dtype.name,
                "shape": found[output].shape.as_list(),
            }


def test_the_server_is_told_where_the_model_lies(exported):
    directory = exported[0].parent
    assert 'base_path: "/models/animals"' in (directory / "models.config").read_text()
    assert "max_batch_size" in (directory / "batching.config").read_text()
    assert f"source={directory},target=/models/animals" in exported[1]
    assert "/v1/models/animals:predict" in exported[1]


def test_a_path_with_blanks_is_one_word_of_the_command(tmp_path):
    directory = tmp_path / "my runs" / "animals"
    mount = f"type=bind,source={directory},target=/models/animals,readonly"
    assert mount in shlex.split(serving.commands(directory, ()))


def test_a_request_is_shown_only_for_signatures_that_are_there(tmp_path):
    assert "image_bytes" in serving.commands(tmp_path, ("features", "image_bytes"))
    assert "image_bytes" not in serving.commands(tmp_path, ("features",))


def test_warm_up_requests_are_there_or_their_absence_is_told(exported):
    path = exported[0] / "assets.extra" / "tf_serving_warmup_requests"
    assert path.exists() == (
        "Warm-up requests, which are optional, were skipped" not in exported[1]
    )


def test_warm_up_requests_name_every_signature_and_run(exported):
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    path = exported[0] / "assets.extra" / "tf_serving_warmup_requests"
    loaded, names = tf.saved_model.load(str(exported[0])).signatures, []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        name = request.model_spec.signature_name
        names.append(name)
        assert request.model_spec.name == "animals"
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        outputs = loaded[name](**{key: tf.constant(value) for key, value in inputs.items()})
        assert all(len(value) == 1 for value in outputs.values())
    assert sorted(names) == sorted(metadata(exported)["signatures"])


def test_without_the_message_classes_the_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    line = serving.write_warm_up(tmp_path, "animals", {}, IMAGES[:1])
    assert (
        "Warm-up requests, which are optional, were skipped" in line
        and "tensorflow-serving-api" in line
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # tests/unit/export/test_parity.py has its parts
def test_what_says_something_else_is_not_exported(exported, monkeypatch):
    directory = exported[0].parent
    before = sorted(path.name for path in directory.iterdir())

    def write_another(readouts, signatures, path):
        readouts.set_weights([weight + 0.01 for weight in readouts.get_weights()])
        keep(readouts, signatures, path)

    keep = saved_model.write_saved_model
    monkeypatch.setattr(saved_model, "write_saved_model", write_another)
    with pytest.raises(ExportError, match="off by"):
        export_encoder(encoder(), PREPROCESS, directory, images=IMAGES, log=lambda line: None)
    assert sorted(path.name for path in directory.iterdir()) == before


def test_configurations_that_were_edited_stay(tmp_path):
    serving.write_configurations(tmp_path / "animals")
    path = tmp_path / "animals" / "models.config"
    path.write_text("edited")
    serving.write_configurations(tmp_path / "animals")
    assert path.read_text() == "edited"
