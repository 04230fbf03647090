"""Files of a user, threads that read them, and how far they are."""

import itertools
import os
import threading

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines import files
from pipelines.data.folder_index import FileStore
from pipelines.data.names import check_path
from pipelines.files import in_threads, progress


@pytest.mark.parametrize(
    "kind, wanted", [("npz", "an .npz file"), ("folder", "a folder of images")]
)
def test_a_path_that_does_not_exist_is_answered_with_the_form(kind, wanted):
    with pytest.raises(UserError, match=f"/no/x does not exist. Give {wanted}, as {kind}:PATH."):
        check_path(kind, "/no/x")


def test_files_are_read_by_their_number_and_have_names_that_can_be_printed(tmp_path):
    paths = []
    for number, name in enumerate(["ж.png", "with spaces", "x" * 250, os.fsdecode(b"\xff")]):
        path = os.path.join(tmp_path, name)
        with open(path, "w") as file:
            file.write(str(number))
        paths.append(path)
    store = FileStore(paths, "")
    read = tf.data.Dataset.range(4).map(store.read)
    assert list(read.as_numpy_iterator()) == [b"0", b"1", b"2", b"3"]
    assert store.name_of(0).endswith("ж.png") and store.name_of(3).encode()


def test_results_come_in_order_and_few_are_taken_ahead():
    taken = []
    items = (taken.append(number) or number for number in itertools.count())
    results = in_threads(np.square, items, threads=2)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    results.close()
    assert len(taken) < 200


def test_threads_work_at_the_same_time_and_an_error_reaches_the_reader():
    barrier = threading.Barrier(2, timeout=10)
    assert len(list(in_threads(lambda _: barrier.wait(), range(2), threads=2))) == 2
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda number: 1 // number, [1, 0], threads=2))


@pytest.fixture
def at_once(monkeypatch):
    """Lines come with every step."""
    monkeypatch.setitem(files._LOGGED, "mininterval", 0.0)
    monkeypatch.setitem(files._LOGGED, "delay", 1e-9)


def counted(steps, total=None, unit="files"):
    lines = []
    with progress("Indexing x", unit, total, log=lines.append) as bar:
        for _ in range(steps):
            bar.update()
    return lines


def test_without_a_terminal_a_line_comes_after_5_seconds_and_then_one_a_minute(monkeypatch):
    now = 1000.0
    monkeypatch.setattr("tqdm.std.time", lambda: now)
    lines = []
    with progress("Indexing x", "files", 1234, log=lambda line: lines.append((now, line))) as bar:
        for _ in range(200):
            now += 1
            bar.update(6)
    assert [when - 1000 for when, _ in lines] == [5, 65, 125, 185]
    assert lines[0][1] == "Indexing x: 30 of 1,234 files,  6.00 files/s"
    assert lines[-1][1] == "Indexing x: 1,110 of 1,234 files,  6.00 files/s"


def test_a_short_job_says_nothing(capsys):
    assert counted(4) == [] and capsys.readouterr().out == ""


@pytest.mark.usefixtures("at_once")
def test_a_line_has_the_count_and_the_rate(capsys):
    lines = counted(2, 1234)
    assert [line.split(", ")[0] for line in lines] == [
        "Indexing x: 1 of 1,234 files",
        "Indexing x: 2 of 1,234 files",
    ]
    assert lines[-1].endswith(" files/s")
    assert counted(1)[0].startswith("Indexing x: 1 files, ")
    assert counted(1, 2**21, unit="bytes")[0].startswith("Indexing x: 1.00 of 2.00M")
    assert capsys.readouterr().out == ""


def test_on_a_terminal_there_is_a_bar_and_no_lines(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    lines = []
    with progress("Indexing x", "files", 4, log=lines.append) as bar:
        bar.start_t -= 10
        bar.last_print_t -= 10
        bar.update(4)
    shown = capsys.readouterr().out
    assert not lines and "Indexing x: 100%" in shown and "4/4" in shown


def test_on_a_terminal_a_job_of_an_instant_leaves_nothing(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    counted(1, 1)
    assert capsys.readouterr().out == ""
