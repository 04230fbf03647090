"""A user's mistake ends in a clear line and exit status 2, and nothing computed is lost."""

import errno
import json
import os
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from export import parity
from stages.request import INTERRUPTED, MODELS
from tests.program import start

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
LABELS = np.repeat(np.arange(4), 10)
SMALL = [
    "--method=simclr",
    "--backbone=tiny",
    "--epochs=2",
    "--batch_size=10",
    "--precision=float32",
    "--set=method.hidden_dim=16",
    "--set=evaluation.labels_per_class=3",
    "--set=analysis.enabled=false",
]


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def without_export(monkeypatch):
    """Leave out the SavedModel, whose check in a process of its own takes seconds."""
    from stages import artifacts

    monkeypatch.setattr(artifacts, "export", lambda *arguments: None)


@pytest.fixture
def with_an_unchecked_export(monkeypatch):
    """Write the SavedModel, without its check."""
    monkeypatch.setattr(parity, "run_in_fresh_process", lambda *_: ({}, {}))
    monkeypatch.setattr(parity, "compare", lambda *_: {})


def mistake(capsys, *flags):
    """What a failing command says; checks that it is short, has no traceback, and status 2."""
    status = start(*flags)
    said = capsys.readouterr().err
    assert status == 2, said
    assert said.startswith("error: ") and "Traceback" not in said
    assert len(said.strip().splitlines()) <= 2
    return said


def npz(name="images.npz", **arrays):
    np.savez(name, **arrays)
    return f"--dataset=npz:{name}"


GOOD = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:8], "y_test": LABELS[:8]}

NPZ_MISTAKES = {
    "no images": ({"something": IMAGES}, "x_train"),
    "labels of the wrong length": ({**GOOD, "y_train": LABELS[:-1]}, "39"),
    "wrong rank": ({**GOOD, "x_train": IMAGES.reshape(40, -1)}, r"\(40, 192\)"),
    "NaN": ({**GOOD, "x_train": np.full(IMAGES.shape, np.nan, "float32")}, "NaN|finite"),
    "labels that are not integers": ({**GOOD, "y_train": LABELS + 0.5}, "integer|whole"),
    "no image at all": ({**GOOD, "x_train": IMAGES[:0], "y_train": LABELS[:0]}, "x_train"),
}


@pytest.mark.parametrize("kind", NPZ_MISTAKES)
def test_npz_that_does_not_fit_is_explained(kind, capsys):
    arrays, says = NPZ_MISTAKES[kind]
    said = mistake(capsys, *SMALL, npz(**arrays))
    assert re.search(says, said), said
    assert not os.path.exists("runs/simclr-images-1/checkpoints")


FLAG_MISTAKES = {
    "unknown method": (["--method=sem_byl"], "sem_byol"),
    "missing file": ([*SMALL, "--dataset=npz:nothing.npz"], "nothing.npz"),
    "missing folder": ([*SMALL, "--dataset=folder:nothing"], "nothing"),
    "no epochs": (["--method=simclr", "--epochs=0"], "epochs"),
    "text for a number": (["--method=simclr", "--set=optimizer.weight_decay=abc"], "weight_decay"),
    "unknown setting": (["--method=simclr", "--set=optimizer.wait_decay=1"], "weight_decay"),
    "work directory below a file": ([*SMALL, "--workdir=/dev/null/run"], "/dev/null/run"),
    "batch larger than the data": (["--method=simclr", "--batch_size=5000"], "1437"),
    "too large a seed": (["--method=simclr", "--seed=4294967296"], "seed"),
    "wrong number of views": (["--method=byol", "--set=augment.num_views=3"], "2 views"),
    "more accumulation than steps": ([*SMALL, "--set=training.accumulate=900"], "accumulate=900"),
    "batch that does not divide the queue": (
        ["--method=moco", "--backbone=tiny", "--batch_size=48"],
        "multiple of the global batch of 48",
    ),
    "impossible width": ([*SMALL, "--backbone=resnet18", "--set=backbone.width=0"], "width"),
}


@pytest.mark.parametrize("kind", FLAG_MISTAKES)
def test_flags_that_do_not_fit_are_explained(kind, capsys):
    flags, says = FLAG_MISTAKES[kind]
    assert says in mistake(capsys, *flags)


def test_a_mistake_leaves_the_work_directory_free_for_its_correction(capsys):
    flags = ["--method=byol", "--backbone=tiny", "--epochs=1", "--workdir=w"]
    mistake(capsys, *flags, "--batch_size=5000")
    assert not os.path.exists("w")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that came to its end, without export, and its images."""
    from stages import artifacts

    path = tmp_path_factory.mktemp("finished")
    images = npz(path / "images.npz", **GOOD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "export", lambda *arguments: None)
        assert start(*SMALL, images, f"--workdir={path / 'w'}") == 0
    return path


@pytest.fixture
def copied(finished):
    """A copy of that run, as `w`."""
    shutil.copytree(finished / "w", "w")


@pytest.mark.usefixtures("copied")
def test_damaged_encoder_is_explained(capsys):
    with open("w/encoder.keras", "wb") as file:
        file.write(b"not a model")
    assert "encoder of 'w'" in mistake(capsys, "--mode=evaluate", "--workdir=w")


@pytest.mark.usefixtures("copied")
def test_evaluating_on_other_data_keeps_the_rows_of_the_run(finished):
    other = npz("other.npz", **{**GOOD, "x_test": IMAGES[8:20], "y_test": LABELS[8:20]})
    assert start("--mode=evaluate", "--workdir=w", other) == 0
    with open("w/results.json", encoding="utf-8") as file:
        datasets = {row["dataset"] for row in json.load(file)["rows"]}
    assert datasets == {f"npz:{finished / 'images.npz'}", f"npz:{os.path.abspath('other.npz')}"}


@pytest.mark.usefixtures("with_an_unchecked_export")
def test_good_images_train_among_corrupt_and_foreign_files(tmp_path, capsys):
    folder = tmp_path / "pictures"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for index in range(20):
            image = RNG.integers(0, 256, (9, 12, 3), dtype=np.uint8)
            tf.io.write_file(str(folder / label / f"{index}.png"), tf.io.encode_png(image))
    whole = (folder / "cat" / "0.png").read_bytes()
    (folder / "cat" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "cat" / "empty.jpg").write_bytes(b"")
    (folder / "dog" / "notes.txt").write_text("no image")
    flags = [*SMALL, f"--dataset=folder:{folder}", "--set=data.image_size=8", "--workdir=w"]
    assert start(*flags) == 0
    said = capsys.readouterr().out
    assert "cut.png" in said and "empty.jpg" in said
    assert os.path.exists("w/export/encoder/1/saved_model.pb")


def test_images_without_labels_train_and_are_evaluated_once_they_have_labels(capsys):
    assert start(*SMALL, npz(x_train=IMAGES), "--workdir=w") == 0
    assert "No table: it needs labels" in capsys.readouterr().out
    assert os.path.exists("w/encoder.keras")
    assert os.path.exists("w/export/encoder/1/saved_model.pb")
    os.unlink("images.npz")  # what is done asks for no data
    assert start("--resume", "--workdir=w") == 0
    assert "No table" not in capsys.readouterr().out
    npz(x_train=IMAGES)
    for mode in ("evaluate", "finetune"):
        assert "needs labels" in mistake(capsys, f"--mode={mode}", "--workdir=w")
    assert "no neck" in mistake(capsys, "--mode=codes", "--workdir=w")
    npz(**GOOD)
    assert start("--mode=evaluate", "--workdir=w") == 0
    said = capsys.readouterr().out
    assert "has changed since the training" in said and "raw pixels" in said


DIVERGENT = [
    *SMALL,
    "--set=optimizer.name=sgd",
    "--set=optimizer.learning_rate=10000",
    "--set=optimizer.weight_decay=100",
    "--set=schedule.warmup_epochs=0",
]


def test_a_loss_that_diverges_ends_the_run_with_its_cause_and_no_model(capsys):
    said = mistake(capsys, *DIVERGENT, npz(**GOOD), "--workdir=w")
    assert "Training diverged" in said and "The learning rate, now" in said
    assert re.search(r"not finite from step [5-8] \(epoch 2\) on", said), said
    assert os.listdir("w/checkpoints") == ["step-00000004.weights.h5"]
    assert not any(os.path.exists(f"w/{name}") for name in (*MODELS, "export"))


@pytest.mark.usefixtures("copied")
def test_a_table_that_is_not_complete_is_got_by_what_the_message_says(
    finished, capsys, monkeypatch
):
    from stages import evaluation

    def lacks(*_):
        raise MemoryError

    same = npz(finished / "images.npz", **GOOD)
    monkeypatch.setattr(evaluation, "evaluate_all", lacks)
    said = mistake(capsys, "--mode=evaluate", "--workdir=w", same, "--set=evaluation.knn_sweep=yes")
    assert "Out of memory" in said and "Run the same command again." in said
    assert "--resume" not in said


@pytest.mark.usefixtures("without_export")
def test_a_training_whose_table_is_not_complete_is_completed_by_resume(capsys, monkeypatch):
    from stages import evaluation

    def lacks(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "evaluate_all", lacks)
        said = mistake(capsys, *SMALL, npz(**GOOD), "--workdir=w")
    assert "--resume --workdir=w measures what is missing." in said
    assert start("--resume", "--workdir=w") == 0


@pytest.mark.usefixtures("without_export")
def test_a_disk_that_is_gone_while_training_is_explained(tmp_path, capsys, monkeypatch):
    from pipelines.data import encoded
    from stages import training

    (tmp_path / "pictures").mkdir()
    for index in range(20):
        image = RNG.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        tf.io.write_file(f"pictures/{index}.png", tf.io.encode_png(image))
    real = training.batches_from

    def gone(session, step):
        shutil.rmtree("pictures")
        return real(session, step)

    monkeypatch.setattr(encoded, "_TRIES", 3)
    monkeypatch.setattr(training, "batches_from", gone)
    flags = ["--dataset=folder:pictures", "--set=data.image_size=8", "--set=data.in_memory=no"]
    flags += ["--set=evaluation.every_epochs=0"]  # which would read the images first
    said = mistake(capsys, *SMALL, *flags, "--workdir=w")
    assert "3 images in a row cannot be read: is their disk still there?" in said


@pytest.mark.usefixtures("copied")
def test_classes_with_few_images_lose_a_column_and_not_the_table(capsys):
    flags = ["--mode=evaluate", "--workdir=w", "--set=evaluation.labels_per_class=11"]
    assert start(*flags) == 0
    said = capsys.readouterr().out
    assert "knn" in said and "raw pixels" in said


@pytest.mark.usefixtures("without_export")
def test_full_disk_is_one_line_and_leaves_the_checkpoint_before(capsys, monkeypatch):
    from keras_ssl.training import checkpoints
    from stages import evaluation

    save, calls = checkpoints.save, []

    def fails_the_second_time(method, directory, step):
        calls.append(step)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(method, directory, step)

    monkeypatch.setattr(evaluation, "evaluate", lambda *arguments, **options: None)
    monkeypatch.setattr(checkpoints, "save", fails_the_second_time)
    assert "No space left" in mistake(capsys, *SMALL, npz(**GOOD), "--workdir=w")
    assert checkpoints.latest_step("w/checkpoints") == calls[0]
    monkeypatch.setattr(checkpoints, "save", save)
    assert start("--resume", "--workdir=w") == 0


def test_half_written_checkpoint_is_never_taken_for_a_whole_one(tmp_path):
    from keras_ssl.training import checkpoints

    (tmp_path / ".writing-1-step-00000001.weights.h5").write_bytes(b"half")
    assert checkpoints.latest_step(tmp_path) is None


@pytest.mark.usefixtures("copied")
def test_damaged_checkpoint_is_named(capsys):
    newest = sorted(os.listdir("w/checkpoints"))[-1]
    with open(f"w/checkpoints/{newest}", "wb") as file:
        file.write(b"not a checkpoint")
    os.unlink("w/encoder.keras")  # as if the run had been killed before it was written
    assert newest in mistake(capsys, "--resume", "--workdir=w")


def test_unfinished_run_has_nothing_to_evaluate_or_export(capsys, monkeypatch):
    from stages import training

    monkeypatch.setattr(training, "fit", lambda *arguments: False)
    assert start(*SMALL, npz(**GOOD), "--workdir=w") == INTERRUPTED
    for mode in ("evaluate", "export"):
        assert "--resume" in mistake(capsys, f"--mode={mode}", "--workdir=w")
