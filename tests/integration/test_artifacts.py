"""What a run leaves behind: every artefact is there, loads, and says the same as the live model."""

import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from export import parity
from stages.request import read_catalog
from tests.program import start

RNG = np.random.default_rng(0)
ARTEFACTS = [
    "recipe.json",
    "metrics.jsonl",
    "spectra.jsonl",
    "checkpoints",
    "model.keras",
    "encoder.keras",
    "export/encoder/1/saved_model.pb",
    "results.json",
    "results.md",
    "results.npz",
    "analysis.json",
    "report.html",
    "features",
    "tensorboard",
]
FLAGS = [
    "--method=sem_simclr",
    "--backbone=tiny",
    "--epochs=2",
    "--batch_size=256",
    "--set=neck.num_simplices=5",
    "--set=neck.simplex_size=4",
    "--set=neck.temperature=0.7",
    "--set=evaluation.every_epochs=1",
    "--precision=mixed_bfloat16",
]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    assert start(*FLAGS, f"--workdir={path}") == 0
    return path


@pytest.fixture
def unchecked_export(monkeypatch):
    """Leave out the check of an export in a process of its own: that of `workdir` had it."""
    monkeypatch.setattr(parity, "run_in_fresh_process", lambda *_: ({}, {}))
    monkeypatch.setattr(parity, "compare", lambda *_: {})


@pytest.fixture(scope="module")
def inputs(workdir):
    from keras_ssl.config import load
    from stages.inputs import load_inputs

    recipe = load(workdir, read_catalog())
    return load_inputs(recipe)


@pytest.fixture(scope="module")
def serve(workdir):
    return tf.saved_model.load(workdir / "export" / "encoder" / "1").signatures["serving_default"]


def test_run_directory_holds_every_artefact(workdir):
    missing = [name for name in ARTEFACTS if not (workdir / name).exists()]
    assert not missing
    leftovers = [path for path in workdir.rglob("*") if "writing" in path.name]
    assert not leftovers


def test_every_result_carries_its_protocol(workdir):
    results = json.loads((workdir / "results.json").read_text())
    rows = results["rows"]
    for row in rows:
        assert {"task", "metric", "value", "dataset", "split", "protocol"} <= set(row)
        assert 0 <= row["value"] <= 100
        assert row["protocol"]
    found = {(row["source"], row["readout"], row["tau"], row["task"]) for row in rows}
    features = [("pixels", None, None), ("random", "backbone", None)]
    features += [("pretrained", "backbone", None)]
    features += [("pretrained", "simplices", tau) for tau in (0.0, 0.1, 1.0)]
    for representation in features:
        for task in ("knn", "linear", "few labels"):
            assert (*representation, task) in found
    assert {("pixels", None, None, "k-means"), ("pretrained", "backbone", None, "k-means")} <= found
    assert ("pretrained", "codes", None, "codes") in found
    assert {row["protocol"]["per_class"] for row in rows if row["task"] == "few labels"} == {10}


def test_metrics_have_a_line_per_epoch_with_what_was_promised(workdir):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    promised = {"loss", "learning_rate", "images_per_second", "data_wait", "feature_std"}
    promised |= {"feature_rankme", "feature_participation_ratio", "feature_largest_share"}
    promised |= {"knn", "linear"}
    assert promised <= set(lines[-1])


def test_event_files_are_written(workdir):
    assert list((workdir / "tensorboard").rglob("events.out.tfevents*"))


def test_encoder_is_an_ordinary_functional_model_in_float32(workdir):
    encoder = keras_ssl.load_encoder(workdir / "encoder.keras")
    assert type(encoder).__name__ == "Functional"
    assert encoder.output_shape == (None, 20)
    assert {layer.compute_dtype for layer in encoder.layers} == {"float32"}


def test_encoder_fine_tunes_with_plain_keras(workdir, inputs):
    encoder = keras_ssl.load_encoder(workdir / "encoder.keras")
    model = keras.Sequential([encoder, keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
    images = np.asarray(inputs.preprocessing.function(inputs.data.train_images[:64]))
    history = model.fit(images, inputs.data.train_labels[:64], epochs=3, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


def test_method_loads_compiled_and_ready_to_go_on(workdir):
    method = keras.saving.load_model(workdir / "model.keras")
    assert isinstance(method, keras_ssl.SimCLR)
    assert int(method.optimizer.iterations) == 10


def test_saved_model_gives_what_the_live_encoder_gives(workdir, inputs, serve):
    encoder = keras_ssl.load_encoder(workdir / "encoder.keras")
    images = inputs.data.test_images[:9]
    served = serve(images=tf.constant(images))
    ready = inputs.preprocessing.function(images)
    wanted = {
        "features": keras_ssl.backbone_of(encoder)(ready),
        "simplices": keras_ssl.at_temperature(encoder, 0.1)(ready),
        "codes": keras_ssl.codes_of(encoder)(ready),
    }
    assert set(served) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(served[name], value, atol=1e-4)
    assert served["codes"].dtype == tf.uint8
    assert served["codes"].shape == (9, 5)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 31, 40), (2, 64, 17)])
def test_saved_model_takes_any_batch_and_image_size(serve, shape):
    images = RNG.integers(0, 256, (*shape, 1), dtype=np.uint8)
    assert serve(images=tf.constant(images))["codes"].shape == (shape[0], 5)


def test_saved_model_needs_nothing_of_this_project(workdir):
    code = (
        "import sys, tensorflow as tf\n"
        f"serve = tf.saved_model.load({str(workdir / 'export/encoder/1')!r})\n"
        "out = serve.signatures['serving_default'](images=tf.zeros((1, 16, 16, 1), tf.uint8))\n"
        "assert not any(name.startswith('keras_ssl') for name in sys.modules)\n"
        "print(out['features'].shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=workdir, capture_output=True, text=True, check=True
    )
    assert "(1, 8)" in done.stdout


def written(workdir):
    """When each file of a run was written: {name: time}."""
    files = [path for path in workdir.rglob("*") if path.is_file()]
    return {str(path.relative_to(workdir)): path.stat().st_mtime_ns for path in files}


def test_resuming_a_finished_run_says_so_and_writes_nothing(workdir, tmp_path, capsys):
    copy = shutil.copytree(workdir, tmp_path / "run")
    before = written(copy)
    assert start("--resume", f"--workdir={copy}") == 0
    said = capsys.readouterr().out
    assert "has ended" in said and "--mode=evaluate" in said
    for name in ("model.keras", "encoder.keras", "results.json", "export/encoder/1"):
        assert name in said
    assert written(copy) == before


@pytest.mark.parametrize(
    "lost", ["results.json", pytest.param("export/encoder/1", marks=pytest.mark.slow)]
)
def test_resuming_a_finished_run_writes_only_what_it_lacks(lost, workdir, tmp_path):
    copy = shutil.copytree(workdir, tmp_path / "run")
    whole = written(copy)
    (copy / lost).rename(tmp_path / "lost")
    before = written(copy)
    (copy / ".writing-1-results.json").write_text("what a kill left")
    assert start("--resume", f"--workdir={copy}") == 0
    after = written(copy)
    assert after.keys() == whole.keys()
    if lost == "results.json":
        before = {name: time for name, time in before.items() if not name.startswith("results")}
    assert {name: after[name] for name in before} == before
    if lost == "results.json":
        assert json.loads((copy / lost).read_text()) == json.loads((tmp_path / "lost").read_text())


@pytest.mark.usefixtures("unchecked_export")
def test_another_export_is_another_version(workdir):
    assert start("--mode=export", f"--workdir={workdir}") == 0
    assert (workdir / "export/encoder/2/saved_model.pb").exists()


def test_evaluating_again_gives_the_same_bits(workdir):
    before = json.loads((workdir / "results.json").read_text())["rows"]
    assert start("--mode=evaluate", f"--workdir={workdir}") == 0
    assert json.loads((workdir / "results.json").read_text())["rows"] == before


def test_codes_of_the_data_are_those_of_the_saved_model_and_are_written_once(
    workdir, inputs, serve, tmp_path, capsys
):
    flags = ["--mode=codes", f"--workdir={workdir}", f"--out={tmp_path}"]
    assert start(*flags) == 0
    assert "1,437 codes of 5 simplices, 5 bytes each" in capsys.readouterr().out
    stored = np.load(tmp_path / "test" / "codes.npy")
    served = serve(images=tf.constant(inputs.data.test_images))["codes"]
    np.testing.assert_array_equal(stored, served)
    before = written(tmp_path)
    assert start(*flags) == 0
    assert written(tmp_path) == before


def test_runs_are_compared_side_by_side(workdir, tmp_path, capsys):
    copy = shutil.copytree(workdir, tmp_path / "run")
    page = tmp_path / "compare.html"
    assert start("--mode=compare", f"--out={page}", str(workdir), str(copy)) == 0
    assert "<svg" in page.read_text(encoding="utf-8")
    said = capsys.readouterr().out
    assert "pretrained, SEM tau_d=1" in said and "(+0.0 [+0.0, +0.0])" in said
    assert start("--mode=compare", str(workdir)) == 2
    assert "two runs or more" in capsys.readouterr().err
    assert start("--mode=compare", str(workdir), str(tmp_path)) == 2
    assert "--mode=evaluate" in capsys.readouterr().err


def test_every_evaluation_that_can_be_asked_for_has_its_rows(workdir, tmp_path, capsys):
    copy = shutil.copytree(workdir, tmp_path / "run")
    settings = ("probe=adam", "embedding=true", "corrupted_images=4", "temperatures=1")
    settings += ("knn_sweep=true", "label_shares=0.1", "clusters=false", "shifted=digits")
    flags = [f"--set=evaluation.{setting}" for setting in settings]
    assert start("--mode=evaluate", f"--workdir={copy}", *flags) == 0
    rows = json.loads((copy / "results.json").read_text())["rows"]
    rows = [row for row in rows if row["readout"] == "embedding"]
    shifted = ("shifted knn", "shifted linear")  # of the same images under another name
    assert {"adam", "corrupted", "knn sweep", "label fraction", *shifted} <= {
        row["task"] for row in rows
    }
    protocols = [row["protocol"] for row in rows if row["task"] == "knn sweep"]
    assert any((one["k"], one.get("temperature")) == (5, 0.1) for one in protocols)
    said = capsys.readouterr().out
    assert "linear, adam top5" in said
    assert "nmi" not in said


def test_nothing_of_the_analysis_is_left_out(workdir):
    analysis = json.loads((workdir / "analysis.json").read_text())
    assert analysis["left_out"] == []
    names = {section["name"] for section in analysis["sections"]}
    assert {"collapse", "simplices", "information", "geometry"} <= names
    page = (workdir / "report.html").read_text()
    assert "Verdict" in page and len(page.encode()) < 5_000_000
