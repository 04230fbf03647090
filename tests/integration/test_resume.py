"""A run that was stopped and resumed is bit for bit the run that was not."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from keras_ssl.training import checkpoints
from stages.request import INTERRUPTED
from tests.program import start

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "--method=sem_byol",
    "--backbone=tiny",
    "--epochs=3",
    "--batch_size=256",
    "--precision=float32",
    "--set=neck.num_simplices=4",
    "--set=method.hidden_dim=16",
    "--set=method.prediction_dim=16",
    "--set=analysis.enabled=false",
]
STEPS = 15  # 3 epochs of 1437 // 256 batches


def saved_arrays(workdir, tmp_path):
    """Every array of `model.keras`: weights, targets, optimizer slots, counters."""
    with zipfile.ZipFile(Path(workdir) / "model.keras") as archive:
        path = archive.extract("model.weights.h5", tmp_path)
    arrays = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return arrays


def assert_same_run(one, other, tmp_path):
    first, second = saved_arrays(one, tmp_path / "1"), saved_arrays(other, tmp_path / "2")
    assert first.keys() == second.keys()
    method = keras.saving.load_model(Path(one) / "model.keras")
    assert method._ema_pairs and len(method.optimizer.variables) > 2
    assert len(first) >= len(method.weights) + len(method.optimizer.variables)
    for name, array in first.items():
        assert np.array_equal(array, second[name]), name
    whole, resumed = (
        (Path(run) / "spectra.jsonl").read_text().splitlines() for run in (one, other)
    )
    assert [json.loads(line)["epoch"] for line in whole] == [0, 3]
    # The rest of an epoch that was cut short is evaluated too.
    assert set(whole) <= set(resumed) and len(resumed) <= 3


@pytest.fixture(scope="module")
def train_only():
    """Leave out what comes after training."""
    from stages import artifacts, evaluation

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "evaluate", lambda *arguments, **options: None)
        patch.setattr(artifacts, "export", lambda *arguments: None)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory, train_only):
    """A run that nothing interrupted."""
    keras.config.set_dtype_policy("float32")
    workdir = tmp_path_factory.mktemp("whole")
    assert start(*SMALL, f"--workdir={workdir}") == 0
    return workdir


class Interrupt(keras.callbacks.Callback):
    """Sends this process a signal after some batches."""

    def __init__(self, after, number):
        super().__init__()
        self.after = after
        self.number = number

    def on_train_batch_end(self, batch, logs=None):
        self.after -= 1
        if self.after == 0:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(
    ("step", "number"),
    [  # within an epoch, at the end of one, at the end of the last
        (2, signal.SIGINT),
        pytest.param(5, signal.SIGTERM, marks=pytest.mark.slow),
        (15, signal.SIGTERM),
    ],
)
def test_interrupted_run_is_saved_says_how_to_go_on_and_ends_the_same(
    step, number, whole, tmp_path, monkeypatch, capsys
):
    from stages import training

    workdir = tmp_path / "run"
    recording = training.recording_callbacks
    monkeypatch.setattr(
        training, "recording_callbacks", lambda *a: [*recording(*a), Interrupt(step, number)]
    )
    assert start(*SMALL, f"--workdir={workdir}") == INTERRUPTED
    said = capsys.readouterr().out
    assert f"--resume --workdir={workdir}" in said
    assert not (workdir / "model.keras").exists()
    finished = checkpoints.latest_step(workdir / "checkpoints") * 3 // STEPS
    assert epochs_logged(workdir) == list(range(1, finished + 1))  # no epoch that was cut short
    assert said.count("5/5 ") == finished
    monkeypatch.setattr(training, "recording_callbacks", recording)
    assert start("--resume", f"--workdir={workdir}") == 0
    assert_same_run(whole, workdir, tmp_path)
    assert epochs_logged(workdir) == [1, 2, 3]


def epochs_logged(workdir):
    path = workdir / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["epoch"] for line in lines]


def begin(workdir, *flags):
    return subprocess.Popen(
        [sys.executable, "run.py", *flags, f"--workdir={workdir}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.slow
@pytest.mark.parametrize("epochs_done", [0, 1, 2])
def test_killed_run_resumes_to_the_same_weights(epochs_done, whole, tmp_path):
    workdir = tmp_path / "run"
    process = begin(workdir, *SMALL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        metrics = workdir / "metrics.jsonl"
        if workdir.exists() and epochs_done == 0:
            break
        if metrics.exists() and len(metrics.read_text().splitlines()) >= epochs_done:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert begin(workdir, "--resume").wait() == 0
    assert_same_run(whole, workdir, tmp_path)
