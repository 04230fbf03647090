"""A run evaluated on other data sets: from the command line to the table and to --mode=compare."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import keras_ssl
from keras_ssl import config
from stages.inputs import Preprocessing
from stages.request import read_catalog
from tests.program import start

ROOT = Path(__file__).resolve().parents[2]
PREPROCESSING = Preprocessing(8, 3, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))

# Several command lines in one process without TensorFlow, which a failing one would import.
DRIVER = """
import contextlib, io, json, sys
from tests.program import start
for argv in json.load(sys.stdin):
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        status = start("--mode=transfer", *argv)
    print(json.dumps([status, err.getvalue(), "tensorflow" in sys.modules]))
"""

MISTAKES = {
    "": "Which data sets?",
    "--set transfer.datasets=npz:": "lacks the path: write npz:PATH",
    "--set transfer.datasets=digits,npz:no/such.npz": "no/such.npz does not exist",
    "--set transfer.datasets=digits,cifr10": "Did you mean 'cifar10'?",
    "--set transfer.datasets=digits --set transfer.strengths=0": "a whole number from 1 to 1000",
    "--set transfer.dataset=digits": "transfer has: datasets, strengths",
    "--set transfer.datasets=digits --epochs=3": "cannot resume with 3",
    "--set transfer.datasets=digits --dataset=digits": "cannot resume with digits",
}


def saved_run(path, method, neck=None):
    """A run whose training has ended at once."""
    settings = ("backbone.name=tiny", "backbone.width=4", "data.dataset=npz:own.npz")
    changes = [config.parse_set(text) for text in settings]
    config.save(config.resolve(read_catalog(), method, changes), path)
    encoder = keras_ssl.create_backbone("tiny", (8, 8, 3), width=4)
    encoder = encoder if neck is None else keras_ssl.sem_neck(encoder, **neck)
    encoder.save(path / "encoder.keras")
    (path / "preprocessing.json").write_text(json.dumps(asdict(PREPROCESSING)))
    return path


def images(count, size, channels, seed):
    """Images of two classes, brighter above or below."""
    draw, labels = np.random.RandomState(seed), np.arange(count) % 2
    pixels = draw.randint(0, 150, (count, size, size, channels))
    bright = np.arange(size) // (size // 2) == labels[:, None]
    return (pixels + 60 * bright[:, :, None, None]).astype("uint8"), labels


@pytest.fixture
def datasets(tmp_path):
    """Paths of a set in colour, a gray one of another size, and one without labels."""
    for name, size, channels in (("colours", 8, 3), ("gray", 12, 1)):
        (x, y), (x_test, y_test) = (images(40, size, channels, seed) for seed in (0, 1))
        np.savez(tmp_path / f"{name}.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    np.savez(tmp_path / "bare.npz", x_train=x)
    return [f"npz:{tmp_path / name}.npz" for name in ("colours", "bare", "gray")]


def transfer(path, names):
    settings = (f"transfer.datasets={','.join(names)}", "transfer.strengths=3")
    flags = [part for text in settings for part in ("--set", text)]
    return start("--mode=transfer", f"--workdir={path}", *flags)


def test_a_run_is_evaluated_on_each_data_set_and_compared(datasets, tmp_path, capsys):
    plain = saved_run(tmp_path / "byol", "byol")
    sem = saved_run(tmp_path / "sem", "sem_byol", {"num_simplices": 4, "simplex_size": 3})
    assert transfer(plain, datasets) == 0
    out = capsys.readouterr().out
    assert "Left out: bare: It needs labelled train and test images; there is no test part." in out
    table = out.splitlines()[-4:]
    assert [line.rsplit(maxsplit=3)[0] for line in table] == [
        *("representation", "raw pixels", "random weights", "pretrained")
    ]
    assert table[0].split() == ["representation", "colours", "gray", "mean"]
    rows = json.loads((plain / "results.json").read_text())["rows"]
    assert {row["dataset"] for row in rows} == {datasets[0], datasets[2]}
    assert {row["protocol"]["strengths"] for row in rows} == {3}
    raw = [row["value"] for row in rows if row["source"] == "pixels"]
    assert min(raw) > 70 and f"{np.mean(raw):.1f}" == table[1].split()[-1]

    assert transfer(sem, datasets[:1]) == 0
    assert "pretrained, SEM tau_d=0 " in capsys.readouterr().out
    page = plain / "compare.html"
    assert start("--mode=compare", f"--out={page}", str(plain), str(sem)) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["run", "representation", "transfer"]
    assert any("SEM tau_d=0 " in line for line in lines)  # beside the features of the other run


def test_the_paths_are_told_as_they_hold_in_every_directory(datasets, tmp_path, monkeypatch):
    path = saved_run(tmp_path / "byol", "byol")
    monkeypatch.chdir(tmp_path)
    assert transfer(path, ["npz:colours.npz"]) == 0
    rows = json.loads((path / "results.json").read_text())["rows"]
    assert {row["dataset"] for row in rows} == {datasets[0]}


def test_a_run_of_which_nothing_can_be_measured_ends_with_status_2(datasets, tmp_path, capsys):
    path = saved_run(tmp_path / "byol", "byol")
    assert transfer(path, datasets[1:2]) == 2
    said = capsys.readouterr()
    assert "Left out: bare" in said.out and "Nothing could be measured" in said.err
    assert not (path / "results.json").exists()


def test_mistakes_are_answered_before_tensorflow_is_imported(tmp_path):
    path = saved_run(tmp_path / "byol", "byol")
    argv = [[f"--workdir={path}", *line.split()] for line in MISTAKES]
    process = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps([["--set", "transfer.datasets=digits"], *argv]),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in process.stdout.splitlines()]
    expected = ["--mode=transfer needs --workdir", *MISTAKES.values()]
    for (status, err, heavy), words in zip(answers, expected, strict=True):
        assert (status, heavy) == (2, False)
        assert err.startswith("error: ") and words in err
