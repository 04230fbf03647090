"""Every stage of a run is ended by a signal, by a full disk and by a bad file, and resumed."""

import contextlib
import json
import os
import resource
import shutil
import signal
import threading

import h5py
import keras
import numpy as np
import pytest

from export import codes as export_codes
from export import parity
from keras_ssl import config
from keras_ssl.core.errors import UserError
from keras_ssl.core.files import numbered_aside
from keras_ssl.evaluation import evaluators
from keras_ssl.training import checkpoints
from stages import artifacts, evaluation
from stages.request import read_catalog
from tests.program import start

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
LABELS = np.repeat(np.arange(4), 10)
FLAGS = ["--method=sem_simclr", "--backbone=tiny", "--epochs=1", "--batch_size=20"]
FLAGS += ["--precision=float32", "--set=neck.num_simplices=4", "--set=neck.simplex_size=3"]
FLAGS += ["--set=method.hidden_dim=16", "--set=evaluation.labels_per_class=3"]
FLAGS += ["--set=evaluation.every_epochs=0", "--set=evaluation.temperatures=1.0"]
FLAGS += ["--set=analysis.enabled=false"]


@pytest.fixture(scope="module", autouse=True)
def what_takes_long_is_left_out():
    """Probes, and the check of an export in a process of its own, are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "run_in_fresh_process", lambda *_: ({}, {}))
        patch.setattr(parity, "compare", lambda *_: {})
        slow = (evaluators.linear, evaluators.few_labels)
        fast = [one for one in evaluators.EVALUATORS if one.function not in slow]
        patch.setattr(evaluators, "EVALUATORS", fast)
        yield


@pytest.fixture
def export_is_fast(monkeypatch):
    """Write a file in place of a SavedModel."""

    def write(encoder, preprocess, directory, **_):
        (directory / "1").mkdir(parents=True)
        (directory / "1" / "saved_model.pb").write_bytes(b"")
        return directory / "1"

    monkeypatch.setattr(artifacts, "export_encoder", write)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupted."""
    keras.config.set_dtype_policy("float32")
    folder = tmp_path_factory.mktemp("whole")
    data = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[::2], "y_test": LABELS[::2]}
    np.savez(folder / "images.npz", **data)
    flags = [*FLAGS, f"--dataset=npz:{folder}/images.npz", f"--workdir={folder}/run"]
    assert start(*flags) == 0
    return folder / "run"


@pytest.fixture
def workdir(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def remove(workdir, *names):
    for name in names:
        for path in list(workdir.glob(name)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def resume(workdir):
    return start("--resume", f"--workdir={workdir}")


def table(workdir):
    """The rows of a run, each as text."""
    rows = json.loads((workdir / "results.json").read_text())["rows"]
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def files(workdir):
    return sorted(
        str(path.relative_to(workdir))
        for path in workdir.rglob("*")
        if path.is_file() and "events" not in path.name and "variables" not in path.name
    )


def assert_whole(workdir, whole):
    assert table(workdir) == table(whole)
    exports = [name for name in files(whole) if name.startswith("export")]
    fast = "export/encoder/1/metadata.json" not in files(workdir)
    assert files(workdir) == (
        [name for name in files(whole) if name not in exports or name.endswith("saved_model.pb")]
        if fast
        else files(whole)
    )
    assert evaluation.is_evaluated(workdir, config.load(workdir, read_catalog()))


@contextlib.contextmanager
def files_of_at_most(size):
    """As on a full disk: no file of this process can grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def terminate(*_, **__):
    os.kill(os.getpid(), signal.SIGTERM)
    return [], []


# Evaluation


def stop_at(monkeypatch, place, what):
    """Have evaluation do `what` in place of the features at `place`."""
    real, seen = evaluation.evaluate_all, []

    def evaluate(representations, *rest):
        seen.append(representations[0].name)
        return what() if len(seen) == place else real(representations, *rest)

    monkeypatch.setattr(evaluation, "evaluate_all", evaluate)
    return seen


def fail():
    raise UserError("3.png cannot be read any more.", retry=True)


def fill_the_disk():
    raise OSError(28, "No space left on device")


@pytest.mark.usefixtures("export_is_fast")
@pytest.mark.parametrize(
    ("what", "status", "says"),
    [(terminate, 130, "--resume"), (fail, 2, "not complete"), (fill_the_disk, 2, "No space")],
)
def test_a_table_that_was_ended_is_finished_and_nothing_is_measured_twice(
    what, status, says, workdir, whole, monkeypatch, capsys
):
    remove(workdir, "results.*", "export")
    with monkeypatch.context() as patch:
        stop_at(patch, 2, what)
        assert resume(workdir) == status
        assert says in capsys.readouterr().err
    kept = table(workdir)
    assert kept and set(kept) < set(table(whole))
    assert (workdir / "export").exists() == (status == 2)  # a mistake does not cost the export
    seen = stop_at(monkeypatch, 0, None)
    assert resume(workdir) == 0
    assert "raw pixels" not in seen and "random weights" in seen
    assert_whole(workdir, whole)
    seen.clear()
    assert resume(workdir) == 0 and not seen


@pytest.mark.usefixtures("export_is_fast")
def test_a_damaged_table_does_not_cost_the_export(workdir, capsys):
    remove(workdir, "export")
    (workdir / "results.json").write_text("[")
    assert resume(workdir) == 2
    assert "is not a table of results" in capsys.readouterr().err
    assert (workdir / "export").exists()


def test_a_table_that_no_file_has_room_for_is_finished_later(workdir, whole, capsys):
    remove(workdir, "results.*")
    with files_of_at_most(2000):
        assert resume(workdir) == 2
    assert "error: File too large: " in capsys.readouterr().err
    assert resume(workdir) == 0
    assert_whole(workdir, whole)


def test_a_table_without_a_note_of_what_it_holds_is_no_finished_one(workdir, whole):
    content = {"meta": {"method": "sem_simclr"}, "rows": []}
    (workdir / "results.json").write_text(json.dumps(content))
    remove(workdir, "results.npz", "results.md")
    assert resume(workdir) == 0
    assert_whole(workdir, whole)


def test_models_that_are_gone_come_back_and_the_rest_stays(workdir, whole, monkeypatch):
    remove(workdir, "model.keras", "encoder.keras", "results.md")
    content = json.loads((workdir / "results.json").read_text())
    (notes,) = content["meta"]["evaluated"].values()
    del notes[1:]  # the first was done
    content["rows"] = [r for r in content["rows"] if r["source"] == "pixels"]
    (workdir / "results.json").write_text(json.dumps(content))
    seen = stop_at(monkeypatch, 0, None)
    assert resume(workdir) == 0
    assert "raw pixels" not in seen and len(seen) == 3
    assert_whole(workdir, whole)  # with one export


# Models, checkpoints and exports


def test_models_that_no_file_has_room_for_are_written_later(workdir, whole, capsys):
    remove(workdir, "model.keras", "encoder.keras", "results.*")
    with files_of_at_most(20_000):
        assert resume(workdir) == 2
    assert "model.keras" in capsys.readouterr().err
    assert not list(workdir.glob(".writing*"))
    assert resume(workdir) == 0
    assert_whole(workdir, whole)


def test_a_checkpoint_without_room_leaves_no_open_file_of_hdf5(tmp_path):
    """Where HDF5 itself meets a full disk, it ends the process when that exits."""
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64)])
    model.compile("sgd", "mse")
    before = h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_ALL)
    with files_of_at_most(4000), pytest.raises(OSError, match="too large") as error:
        checkpoints.save(model, tmp_path, 1)
    assert error.value.filename.endswith("step-00000001.weights.h5")
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_ALL) == before
    assert not list(tmp_path.iterdir())
    checkpoints.save(model, tmp_path, 1)
    checkpoints.restore(model, tmp_path, 1)


def test_an_export_that_was_ended_is_written_again(workdir, whole, monkeypatch):
    remove(workdir, "export")
    with monkeypatch.context() as patch:
        patch.setattr(parity, "run_in_fresh_process", terminate)
        assert resume(workdir) == 130
    assert not [path for path in (workdir / "export").rglob("*") if path.is_dir()][1:]
    assert resume(workdir) == 0
    assert_whole(workdir, whole)


@pytest.mark.slow
def test_an_export_that_no_file_has_room_for_is_written_later(workdir, whole, capsys):
    remove(workdir, "export")
    with files_of_at_most(3000):
        assert resume(workdir) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "Traceback" not in said
    assert not list((workdir / "export" / "encoder").glob("[.0-9]*"))
    assert resume(workdir) == 0
    assert_whole(workdir, whole)


def test_a_fit_in_a_thread_of_its_own_leaves_signals_alone(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    before, seen = signal.getsignal(signal.SIGINT), []

    def fit():
        saver = checkpoints.Checkpoints(tmp_path)
        look = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda *_, **__: seen.append(signal.getsignal(signal.SIGINT))
        )
        x = np.zeros((4, 2))
        model.fit(x, x[:, :1], batch_size=4, verbose=0, callbacks=[saver, look])

    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert seen == [before] and checkpoints.latest_step(tmp_path) == 1


def test_of_two_writers_each_gets_its_own_number(tmp_path):
    with numbered_aside(tmp_path) as (one, publish), numbered_aside(tmp_path) as (other, last):
        for aside in (one, other):
            aside.mkdir()
            (aside / "file").write_text(str(aside))
        assert publish(lambda _: None).name == "1"
        assert last(lambda number: (other / "number").write_text(str(number))).name == "2"
    assert (tmp_path / "2" / "number").read_text() == "2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]


def test_a_number_that_was_taken_meanwhile_is_not_overwritten(tmp_path):
    def finish(number):
        if number == 1:
            (tmp_path / "1").mkdir()
            (tmp_path / "1" / "theirs").write_text("")

    with numbered_aside(tmp_path) as (aside, publish):
        aside.mkdir()
        assert publish(finish).name == "2"
    assert (tmp_path / "1" / "theirs").exists()


# Codes


def write_codes(workdir):
    return start("--mode=codes", f"--workdir={workdir}")


def stored(workdir):
    return np.load(workdir / "codes" / "train" / "codes.npy")


@pytest.mark.parametrize("rows", [0, 17, 40])
def test_codes_that_were_ended_are_resumed(rows, workdir, tmp_path, monkeypatch):
    assert write_codes(workdir) == 0
    expected = stored(workdir)
    remove(workdir, "codes")
    with monkeypatch.context() as patch:
        patch.setattr(export_codes, "_check_alone", terminate)
        assert write_codes(workdir) == 130
    unfinished = workdir / "codes" / "train" / "codes.unfinished"
    os.truncate(unfinished, unfinished.stat().st_size - (40 - rows) * 4)
    assert write_codes(workdir) == 0
    np.testing.assert_array_equal(stored(workdir), expected)


def test_codes_that_no_file_has_room_for_are_resumed(workdir, capsys):
    with files_of_at_most(200):
        assert write_codes(workdir) == 2
    assert "too large" in capsys.readouterr().err
    assert write_codes(workdir) == 0
    assert stored(workdir).shape == (40, 4)


# Training; see test_resume.py for signals


@pytest.mark.slow
def test_training_in_a_thread_of_its_own_leaves_signals_alone(workdir, whole):
    remove(workdir, "checkpoints", "model.keras", "encoder.keras")
    before, status = signal.getsignal(signal.SIGINT), []
    thread = threading.Thread(target=lambda: status.append(resume(workdir)))
    thread.start()
    thread.join()
    assert status == [0] and signal.getsignal(signal.SIGINT) is before
    assert_whole(workdir, whole)


@pytest.mark.slow
def test_training_that_no_file_has_room_for_is_resumed(workdir, whole, capsys):
    remove(workdir, "checkpoints", "model.keras", "encoder.keras", "metrics.jsonl")
    with files_of_at_most(20_000):
        assert resume(workdir) == 2
    assert "step-00000002.weights.h5" in capsys.readouterr().err
    assert resume(workdir) == 0
    assert_whole(workdir, whole)
