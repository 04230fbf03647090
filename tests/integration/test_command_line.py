"""The command line as a user meets it: what it prints, how it ends, and what it leaves alone."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Runs many command lines in one process without TensorFlow, which a failing one would import.
DRIVER = """
import contextlib, io, json, sys
from tests.program import start
for argv in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = start(*argv)
    heavy = [name for name in ("tensorflow", "keras", "sklearn") if name in sys.modules]
    print(json.dumps([status, out.getvalue(), err.getvalue(), heavy]))
"""

# Runs one tool as `python -m` does, and says what it has imported by the end.
TOOL = """
import runpy, sys
tool = sys.argv.pop(1)
try:
    runpy.run_module(tool, run_name="__main__", alter_sys=True)
finally:
    print([name for name in ("tensorflow", "keras") if name in sys.modules])
"""

ANSWERS = {
    "--help": "--learning_rate",
    "--mode=list": "simsiam",
    "--mode=list --method=byol": "method.momentum = 0.996",
    "--mode=list --method=sem_simclr": "tables? 7|69.5 %",
    "--method=sem_byol --show_recipe": r"training.seed +=.*\(default\)",
    "--method=byol --epochs=3 --show_recipe": r"training.epochs +=.*\(--epochs\)",
    "--method=byol --set training.seed=3 --set neck.kind=sem --show_recipe": r"neck.kind +=.*--set",
    "--method=byol --recipe=cifar10 --show_recipe": "recipe byol/cifar10",
    "--method=byol --dataset=npz:x.npz --show_recipe": "recipe small",
}

MISTAKES = {
    "": "--method=sem_byol",
    "--method=byool": "Unknown method 'byool'. Did you mean 'byol'?",
    "--mode=list --method=byool": "Did you mean 'byol'?",
    "--mode=pretran": "Did you mean 'pretrain'?",
    "--epoch=3": "Unknown flag 'epoch'. Did you mean 'epochs'?",
    "--method": "Missing value",
    "--resume=maybe": "resume",
    "byol": "Unexpected argument 'byol'",
    "--method=byol --epochs=abc": "--epochs must be a whole number from 1 to 1000000",
    "--method=byol --epochs=0": "--epochs must be a whole number from 1 to 1000000. Received 0.",
    "--method=byol --batch_size=1": "--batch_size must be a whole number from 2 to 1000000",
    "--method=byol --learning_rate=-1": "--learning_rate must be a number greater than 0",
    "--method=byol --backbone=resnet81": "Unknown backbone 'resnet81'. Did you mean 'resnet8'?",
    "--method=byol --precision=float31": "Did you mean 'float32'?",
    "--method=byol --strategy=mirror": "Did you mean 'mirrored'?",
    "--method=byol --dataset=digts": "Unknown data set 'digts'. Did you mean 'digits'?",
    "--method=byol --recipe=cifar": "Unknown recipe 'cifar'. Did you mean 'cifar10'?",
    "--method=byol --set optimizer.weight_decay=abc": "optimizer.weight_decay must be a number",
    "--method=byol --set optimizer.weigt_decay=1": "Did you mean 'optimizer.weight_decay'?",
    "--method=byol --set augment.policy=digitz": "Did you mean 'digits'?",
    "--method=byol --set augment.flip=7": "flip",
    "--method=byol --set training.epochs": "--set takes section.field=value",
    "--mode=evaluate": "--mode=evaluate needs --workdir",
    "--mode=preview": "Which method?",
    "--mode=preview --method=byol --dataset=folder:no/such": "no/such does not exist",
    "--mode=export --workdir=no/such/run": "No run in 'no/such/run'",
    "--resume": "--resume needs --workdir",
}


@pytest.fixture(scope="module")
def results():
    lines = [*ANSWERS, *MISTAKES]
    process = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps([line.split() for line in lines]),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(lines, map(json.loads, process.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("line", ANSWERS)
def test_questions_are_answered_without_tensorflow(results, line):
    status, out, err, heavy = results[line]
    assert (status, err, heavy) == (0, "", [])
    assert re.search(ANSWERS[line], out)
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize("line", MISTAKES)
def test_mistakes_end_in_a_line_and_status_2_without_tensorflow(results, line):
    status, out, err, heavy = results[line]
    assert (status, out, heavy) == (2, "", [])
    assert err.startswith("error: ") and err.count("\n") <= 2
    assert MISTAKES[line] in err


def test_the_process_ends_with_the_status():
    command = [sys.executable, "run.py", "--method=byool"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 2
    assert process.stdout == "" and process.stderr.startswith("error: Unknown method")


@pytest.mark.parametrize(
    ("command", "status", "says"),
    [
        ("convert --help", 0, "usage: "),
        ("convert digts out", 2, "Did you mean 'digits'?"),
        ("subset --help", 0, "usage: "),
        ("subset out.npz digts", 2, "Did you mean 'digits'?"),
    ],
)
def test_tools_for_data_answer_without_tensorflow(command, status, says):
    command = [sys.executable, "-c", TOOL, *f"pipelines.{command}".split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status and says in done.stdout + done.stderr
    assert done.stdout.endswith("[]\n") and done.stderr.count("\n") == (status > 0)


IMPORTED = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras"):
            print("registers", file=sys.__stdout__, flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch())
import pipelines.convert, keras_ssl
"""


def test_a_tool_that_is_imported_leaves_it_to_keras_ssl_to_register_its_classes():
    command = [sys.executable, "-c", IMPORTED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "registers\n"


@pytest.mark.slow
def test_the_package_is_whole_as_soon_as_it_is_used():
    code = "import run; from keras_ssl import METHODS, create; print(sorted(METHODS))"
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "byol" in process.stdout


# From here on in this process, with what is to be done replaced by a note.


@pytest.fixture
def done(monkeypatch, tmp_path):
    import keras_ssl  # noqa: F401, the whole package, not the stand-in of run.py
    from stages import commands

    calls = []
    for name in ("pretrain", "evaluate", "export"):
        monkeypatch.setattr(commands, name, lambda *args, name=name: calls.append((name, *args)))
    monkeypatch.chdir(tmp_path)
    return calls


def start(*argv):
    from tests import program

    return program.start(*argv)


def saved_run(path, *argv):
    from keras_ssl import config
    from stages import request

    options = request.parse_flags(["run.py", *argv])
    config.save(request.recipe_of(options, request.read_catalog()), path)


def test_runs_get_a_new_directory_each(done, tmp_path):
    assert start("--method=byol") == 0
    (tmp_path / "runs" / "byol-digits-1").mkdir(parents=True)
    assert start("--method=byol") == 0
    assert [str(workdir) for _, _, workdir, _ in done] == [
        "runs/byol-digits-1",
        "runs/byol-digits-2",
    ]


def test_a_run_is_not_overwritten(done, capsys):
    saved_run("here", "--method=byol")
    assert start("--method=byol", "--workdir=here") == 2
    assert "already holds a run" in capsys.readouterr().err
    assert done == []


def test_resume_takes_the_recipe_of_the_run(done, capsys):
    saved_run("here", "--method=sem_byol", "--epochs=7")
    assert start("--resume", "--workdir=here") == 0
    name, recipe, workdir, resume = done[0]
    assert (name, str(workdir), resume) == ("pretrain", "here", True)
    assert (recipe.name, recipe.training.epochs) == ("sem_byol", 7)
    assert start("--resume", "--workdir=here", "--method=sem_byol", "--epochs=7") == 0
    assert start("--resume", "--workdir=here", "--method=byol") == 2
    assert "has --method=sem_byol" in capsys.readouterr().err
    assert start("--resume", "--workdir=here", "--epochs=8") == 2
    assert "training.epochs=7" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["evaluate", "export"])
def test_later_modes_take_the_recipe_of_the_run(done, mode):
    saved_run("here", "--method=byol")
    assert start(f"--mode={mode}", "--workdir=here") == 0
    name, recipe, workdir = done[0]
    assert (name, str(workdir)) == (mode, "here")
    assert recipe.name == "byol"


def test_a_run_is_judged_on_other_data_but_exported_with_its_own(done, capsys):
    saved_run("here", "--method=byol")
    other = "--dataset=npz:other.npz"
    assert start("--mode=evaluate", "--workdir=here", other) == 0
    assert done[0][1].data.dataset == f"npz:{Path('other.npz').resolve()}"
    assert start("--mode=export", "--workdir=here", other) == 2
    assert "--dataset" in capsys.readouterr().err


def test_system_errors_are_one_line_too(done, monkeypatch, capsys):
    from stages import commands

    def full(*args):
        raise OSError(28, "No space left on device", "runs/x/model.keras")

    monkeypatch.setattr(commands, "pretrain", full)
    assert start("--method=byol") == 2
    assert capsys.readouterr().err == "error: No space left on device: 'runs/x/model.keras'\n"


def test_a_closed_pipe_is_not_reported():
    command = f"{sys.executable} run.py --method=byol --show_recipe | true"
    process = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert process.stderr == ""
