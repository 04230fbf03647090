"""Long jobs say how far they are; short ones say nothing."""

import threading

import pytest

from pipelines import progress as module
from pipelines.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand: `clock.now = 5.0`."""

    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def run(clock, seconds, total=None):
    """Count one each second; the times at which a line came, and the lines."""
    times, lines = [], []

    def log(line):
        times.append(clock.now)
        lines.append(line)

    with Progress("Indexing x", "files", total, log=log) as progress:
        for second in range(1, seconds + 1):
            clock.now = float(second)
            progress.add()
    return times, lines


def test_without_a_terminal_a_line_comes_after_5_seconds_and_then_one_a_minute(clock):
    assert run(clock, 200, 1000)[0] == [5.0, 65.0, 125.0, 185.0]


def test_a_short_job_says_nothing(clock, capsys):
    assert run(clock, 4)[1] == [] and capsys.readouterr().out == ""


def test_a_line_has_the_count_and_the_rate(clock):
    assert run(clock, 5, 1234)[1] == ["Indexing x: 5 of 1,234 files, 1 a second."]
    clock.now = 0.0
    assert run(clock, 5)[1] == ["Indexing x: 5 files, 1 a second."]


def test_on_a_terminal_there_is_a_bar_and_no_lines(clock, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run(clock, 4, 4)[1] == []
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1 and shown.endswith("\n")
    pictures = shown.strip().split("\r")
    assert pictures[0].startswith("Indexing x: 1 of 4 files, 1 a second [######....")
    assert pictures[-1].endswith("[########################]")


def test_on_a_terminal_a_job_of_an_instant_leaves_nothing(clock, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with Progress("Indexing x", "files", 1) as progress:
        progress.add()
    assert capsys.readouterr().out == ""


def test_threads_count_together():
    with Progress("Counting", "sheep") as progress:
        threads = [
            threading.Thread(target=lambda: [progress.add() for _ in range(1000)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert "8,000 sheep" in progress._text(1.0)
