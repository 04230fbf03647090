"""What TensorFlow reads while it is imported is set before, once, and never against the user."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from keras_ssl.core import environment

ROOT = Path(__file__).parents[3]
ONEDNN, GROWTH = "TF_ENABLE_ONEDNN_OPTS", "TF_FORCE_GPU_ALLOW_GROWTH"
QUIETLY = """
from pipelines.lazy import stand_in
stand_in("keras_ssl")
from keras_ssl.core.environment import import_quietly
import_quietly("stages.commands")
"""


@pytest.mark.parametrize("machine, wanted", [("x86_64", {ONEDNN}), ("AMD64", {ONEDNN})])
def test_onednn_is_turned_on_on_x86_64(machine, wanted):
    assert set(environment.variables_for(machine, {})) == {*wanted, GROWTH}


@pytest.mark.parametrize("machine", ["aarch64", "arm64", ""])
def test_onednn_is_left_alone_elsewhere(machine):
    assert environment.variables_for(machine, {}) == {GROWTH: "true"}


def test_what_the_user_set_stays():
    assert environment.variables_for("x86_64", {ONEDNN: "0", GROWTH: "false"}) == {}


def test_the_tests_run_with_it():
    assert environment.variables_for(platform.machine(), os.environ) == {}


def test_keras_json_is_found_where_keras_finds_it(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "keras")
    (tmp_path / ".keras").mkdir()
    for folder in (tmp_path, tmp_path / ".keras"):
        (folder / "keras.json").write_text('{"backend": "jax"}')
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ({}, {"KERAS_HOME": str(tmp_path)}, {"KERAS_HOME": "~"}):
        folder = tmp_path if given else tmp_path / ".keras"
        value, origin, _ = environment.keras_settings(given)["backend"]
        assert (value, origin) == ("jax", f"in {folder / 'keras.json'}")


def test_a_user_without_a_home_has_the_keras_json_of_tmp(monkeypatch):
    def without_home(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(Path, "home", without_home)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as it does for such a user
    for given, folder in (({}, "/tmp/.keras"), ({"KERAS_HOME": "/x"}, "/x")):
        _, origin, _ = environment.keras_settings(given)["floatx"]
        assert origin == f"in {folder}/keras.json"


@pytest.mark.parametrize("entry", ["import keras_ssl", QUIETLY])
def test_it_is_set_before_tensorflow_is_imported(entry):
    program = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras"):
            found = [os.environ.get(each) for each in {[GROWTH, ONEDNN]!r}]
            print(*found, file=sys.__stdout__, flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch())
{entry}
"""
    bare = {name: value for name, value in os.environ.items() if name not in (ONEDNN, GROWTH)}
    done = subprocess.run([sys.executable, "-c", program], env=bare, capture_output=True, text=True)
    wanted = environment.variables_for(platform.machine(), {})
    assert done.stdout.split() == [wanted[GROWTH], str(wanted.get(ONEDNN))]
