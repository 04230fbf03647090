"""What the program finds around it: closed streams, other encodings, settings of Keras, a folder
with names of its own, a signal at any moment."""

import configparser
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HELP = [sys.executable, "run.py", "--mode=list", "--method=byol"]


def process(command, cwd=ROOT, **environment):
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_characters_that_the_terminal_lacks_end_nothing():
    code = "from keras_ssl.core.environment import open_streams; open_streams(); "
    code += "print('87.2 \\u00b11.1')"
    done = process([sys.executable, "-c", code], PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "87.2 ?1.1\n")


def test_closed_streams_end_nothing_and_their_numbers_go_to_no_file(tmp_path):
    command = [*HELP, "--show_recipe"]
    code = (
        "import os, run, sys; status = run.main(sys.argv); "
        f"file = open({str(tmp_path / 'file')!r}, 'w'); os._exit(10 * status + file.fileno())"
    )
    command = [sys.executable, "-c", code, "--mode=list"]
    quoted = " ".join(f"'{word}'" if word != code else f'"{code}"' for word in command)
    for closed in (">&- 2>&-", "<&- >&- 2>&-"):
        returned = subprocess.run(f"{quoted} {closed}", shell=True, cwd=ROOT).returncode
        assert 3 <= returned < 10, "the status is 0, and the file none of the standard streams"


@pytest.mark.parametrize(
    ("settings", "environment", "says"),
    [
        ({}, {"KERAS_BACKEND": "jax"}, "backend=jax (by KERAS_BACKEND)"),
        ({"backend": "torch"}, {}, "backend=torch (in "),
        ({"image_data_format": "channels_first"}, {}, "image_data_format=channels_first (in "),
        ({"floatx": "float16"}, {}, "floatx=float16 (in "),
    ],
)
def test_settings_of_keras_that_do_not_fit_are_told_before_it_is_imported(
    settings, environment, says, tmp_path
):
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    environment = {**environment, "KERAS_HOME": str(tmp_path)}
    done = process([sys.executable, "run.py", "--method=byol", "--backbone=tiny"], **environment)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert says in done.stderr and "keras_ssl needs" in done.stderr
    done = process([sys.executable, "-c", "import keras_ssl"], **environment)
    assert "UserError: Keras has" in done.stderr and says in done.stderr


def test_the_installed_program_does_not_take_modules_of_the_working_directory(tmp_path):
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    name, _, entry = config["options.entry_points"]["console_scripts"].strip().partition(" = ")
    module, _, function = entry.partition(":")
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / name  # as pip writes it
    script.write_text(f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    (tmp_path / "here").mkdir()
    for theirs in ("run", "stages", "pipelines", "export"):
        (tmp_path / "here" / f"{theirs}.py").write_text("raise SystemExit('theirs')\n")
    command = [sys.executable, str(script), "--mode=list"]
    done = process(command, cwd=tmp_path / "here", PYTHONPATH=str(ROOT))
    assert done.returncode == 0 and "simclr" in done.stdout and name == "keras-ssl"


def test_a_run_of_another_version_is_kept_in_words(tmp_path):
    recipe = {"method": "byol", "recipe": "digits", "settings": {"gone.field": {"value": 1}}}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    done = process([sys.executable, "run.py", "--mode=evaluate", f"--workdir={tmp_path}"])
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert str(tmp_path / "recipe.json") in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["start", "results", "Evaluating", "table"])
def test_sigterm_at_any_moment_leaves_nothing_half_and_the_run_goes_on(moment, tmp_path):
    flags = ["--method=simclr", "--backbone=tiny", "--epochs=1", "--batch_size=256"]
    flags += ["--set=evaluation.every_epochs=0", "--set=evaluation.clusters=false"]
    flags += ["--set=analysis.enabled=false"]
    command = [sys.executable, "-u", "run.py", f"--workdir={tmp_path}/run"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen(
        [*command, *flags], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    if moment == "start":
        time.sleep(1)
    for line in running.stdout if moment != "start" else ():
        if moment in line or (moment == "table" and line.startswith("representation")):
            break
    running.send_signal(signal.SIGTERM)
    running.stdout.read()
    assert running.wait() in (130, -signal.SIGTERM)
    workdir = tmp_path / "run"
    assert not [path for path in workdir.rglob(".writing-*")]
    again = [*command, "--resume"] if workdir.exists() else [*command, *flags]
    assert subprocess.run(again, cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0
    assert (workdir / "export" / "encoder" / "1" / "saved_model.pb").exists()
