"""Files and folders that are either whole or not there: written aside, then renamed."""

import contextlib
import errno
import io
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

# What a run's directory holds.
RECIPE, RESULTS, PREPROCESSING = "recipe.json", "results.json", "preprocessing.json"
MODEL, ENCODER = "model.keras", "encoder.keras"
METRICS, SPECTRA = "metrics.jsonl", "spectra.jsonl"  # a line for each epoch, or evaluation
PROJECTOR = "projector.jsonl"  # a line for each epoch
WARNINGS = "warnings.jsonl"  # what a training looked like
ANALYSIS, REPORT = "analysis.json", "report.html"
DESCRIPTION = "description.json"  # what the training said when it began

ASIDE = ".writing-"


@contextlib.contextmanager
def written_aside(path: str | Path) -> Iterator[Path]:
    """Give a path to write a file or a folder to; `path` itself changes when the block has ended.

    A reader, a full disk or a crash thus finds the old `path` or the new one, whole. The path given
    lies next to `path` and ends in its name, so that writers which look at the suffix see it.

    Args:
        path: file, replaced if it exists; or folder, which must not exist.

    Raises:
        OSError: if the disk is full or not writable; nothing is left behind.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> with written_aside(path) as aside:
    ...     _ = aside.write_text("1 2 3")
    ...     path.exists()
    False
    >>> path.read_text()
    '1 2 3'
    """
    path = Path(path)
    with _removed(path) as aside:
        yield aside
        _flush(aside)
        os.replace(aside, path)


@contextlib.contextmanager
def numbered_aside(directory: str | Path) -> Iterator[tuple[Path, Callable]]:
    """Give a path to write a folder to, which gets the next free number in `directory` at the end.

    The number is chosen at the end, so that of two writers each gets its own.

    Yields:
        (path, function that names the folder and returns it), to be called last in the block.

    Example:

    >>> import tempfile
    >>> with numbered_aside(tempfile.mkdtemp()) as (aside, publish):
    ...     aside.mkdir()
    ...     publish(lambda number: write_text(aside / "number.txt", str(number))).name
    '1'
    """
    directory = Path(directory)

    def publish(finish: Callable[[int], object]) -> Path:
        while True:
            taken = [int(path.name) for path in directory.iterdir() if path.name.isdecimal()]
            version = directory / str(max(taken, default=0) + 1)
            finish(int(version.name))
            _flush(aside)
            try:
                os.rename(aside, version)
                return version
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise

    with _removed(directory / "version") as aside:
        yield aside, publish


@contextlib.contextmanager
def _removed(path):
    """Give a path next to `path`; what is there in the end is removed, and errors name `path`.

    Its name is drawn: processes in two containers that share a disk may have the same number.
    """
    aside = path.with_name(f"{ASIDE}{secrets.token_hex(4)}-{path.name}")
    try:
        yield aside
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        _remove(aside)


def write_text(path: str | Path, text: str):
    """Replace the file at `path` by `text`, as `written_aside` does."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def json_lines(path: str | Path) -> list[dict]:
    """The lines of JSON of a file that are whole; none where there is no file.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "metrics.jsonl"
    >>> _ = path.write_text('{"epoch": 1}\\n{"epo')
    >>> json_lines(path)
    [{'epoch': 1}]
    """
    path = Path(path)
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):  # cut short by a crash
            found.append(json.loads(line))
    return found


def save_model(save: Callable, path: str | Path):
    """Write what `save` of a Keras model writes, through memory.

    HDF5, which would write to the disk itself, ends the process where that is full.

    Args:
        save: `model.save` or `model.save_weights`.
        path: file, with the suffix that Keras asks for.

    Raises:
        OSError: if the disk is full or not writable; nothing is left behind.
    """
    file = _Memory(Path(path).name)
    save(file)
    with written_aside(path) as aside:
        aside.write_bytes(file.getbuffer())


class _Memory(io.BytesIO):
    """A file in memory with a name, by whose suffix Keras knows what to write."""

    def __init__(self, name):
        super().__init__()
        self._name = name

    def __str__(self):
        return self._name


def remove_leftovers(directory: str | Path):
    """Remove what killed writers have left in `directory`, where nobody may be writing now."""
    for aside in Path(directory).glob(f"{ASIDE}*"):
        _remove(aside)


def _flush(path):
    """Have the disk hold a file, or all files of a folder, before it gets its name."""
    for part in [path, *path.rglob("*")]:
        if part.is_file():
            with open(part, "rb") as file:
                os.fsync(file.fileno())


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
