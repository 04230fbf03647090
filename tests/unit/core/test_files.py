"""What is written aside is whole or not there, whatever ends the writer."""

import errno
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keras_ssl.core import files
from keras_ssl.core.files import remove_leftovers, write_text, written_aside

ROOT = Path(__file__).resolve().parents[3]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "results.json"
    write_text(path, "old")
    with written_aside(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old" and aside.name.endswith("results.json")
    assert path.read_text() == "new" and names(tmp_path) == ["results.json"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "results.json"
    write_text(path, "old")
    with pytest.raises(type(error)), written_aside(path) as aside:
        aside.write_text("ne")
        raise error
    assert path.read_text() == "old" and names(tmp_path) == ["results.json"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "results.json"
    write_text(path, "old")
    with pytest.raises(OSError, match="No space left"), written_aside(path) as aside:
        aside.symlink_to("/dev/full")
        aside.write_text("new")
    assert path.read_text() == "old" and names(tmp_path) == ["results.json"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), written_aside(tmp_path / "1") as aside:
        (aside / "variables").mkdir(parents=True)
        raise RuntimeError
    assert names(tmp_path) == []
    with written_aside(tmp_path / "1") as aside:
        (aside / "variables").mkdir(parents=True)
        assert not (tmp_path / "1").exists()
    assert names(tmp_path) == ["1"] and (tmp_path / "1" / "variables").is_dir()


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    with written_aside(tmp_path / "a") as first, written_aside(tmp_path / "a") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert (tmp_path / "a").read_text() == "1"


def process(monkeypatch):
    """The module as a process has it whose number is 1, as that of a container often is."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    spec = importlib.util.find_spec(files.__name__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_processes_of_the_same_number_do_not_mix_what_they_write(tmp_path, monkeypatch):
    one, other = process(monkeypatch), process(monkeypatch)
    with one.numbered_aside(tmp_path) as first, other.numbered_aside(tmp_path) as second:
        for name, (aside, _) in {"one": first, "other": second}.items():
            aside.mkdir(exist_ok=True)
            (aside / name).write_text(name)
        for _, publish in (first, second):
            publish(lambda number: None)
    assert names(tmp_path) == ["1", "2"]
    assert [names(tmp_path / version) for version in "12"] == [["one"], ["other"]]


KILLED = """
import os, signal, sys
from pathlib import Path
from pipelines.lazy import stand_in
stand_in("keras_ssl")  # so that importing it imports nothing heavy
from keras_ssl.core.files import written_aside
for name in ("results.json", "1"):
    aside = written_aside(Path(sys.argv[1]) / name).__enter__()
    aside.mkdir() if name == "1" else aside.write_text("ne")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_the_old_file_and_what_can_be_told_from_it(tmp_path):
    write_text(tmp_path / "results.json", "old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "results.json").read_text() == "old"
    assert len(names(tmp_path)) == 3
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["results.json"]


def test_leftovers_of_a_folder_that_does_not_exist_are_none(tmp_path):
    remove_leftovers(tmp_path / "nothing")
