"""Runs side by side: only what was measured in the same way, with intervals of the differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.core.errors import UserError
from keras_ssl.core.files import ENCODER, RECIPE, RESULTS
from keras_ssl.evaluation.results import RunResults, read_results
from keras_ssl.evaluation.tables import (
    aligned,
    headings,
    markdown_table,
    name_of,
    number,
    representation_name,
)

_SAMPLES = 10_000


@dataclass(frozen=True)
class NamedRun(RunResults):
    """The results of a run with what tables call it.

    Attributes:
        name: str.

    Example:

    >>> NamedRun([], {}, name="runs/a").find(("pixels", None, None), None) is None
    True
    """

    name: str = ""

    def find(self, representation, column):
        """The result of that representation in that column that has a value, or None."""
        for result in self.results:
            if result.representation == representation and result.column == column:
                return None if result.value is None else result
        return None


def load_run(directory: str | Path, name: str | None = None) -> NamedRun:
    """Read the results of a run.

    Raises:
        UserError: if there is no run or it has not been evaluated, or a file is damaged.

    Example:

    >>> import tempfile
    >>> from keras_ssl.evaluation.results import Measurement, write_results
    >>> folder, found = tempfile.mkdtemp(), Measurement({"accuracy": 97.5}, {"k": 20})
    >>> write_results(folder, found.results("knn", "digits", source="pixels"), {})
    >>> [result.value for result in load_run(folder, "first").results]
    [97.5]
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise UserError(f"There is no run in '{directory}': give the directories of runs.")
    run = read_results(directory)
    if not run.results and not (directory / RESULTS).exists():
        todo = "evaluate the run first, with --mode=evaluate."
        if (directory / RECIPE).exists() and not (directory / ENCODER).exists():
            todo = f"its training has not ended. --resume --workdir={directory} continues it."
        raise UserError(f"'{directory}' has no results.json: {todo}")
    return NamedRun(run.results, run.meta, run.images, str(name or directory))


def compare_runs(
    runs: Sequence[NamedRun], *, markdown: bool = False, seed: int = 0
) -> tuple[str, list[str]]:
    """The runs side by side, and what could not be compared.

    A column is a task under one protocol on one data set, which two of the runs have at least. Each
    cell is followed by its difference from the first trained representation of the first run, with
    the 95 % interval of a paired bootstrap over the test images, where the predictions of both are
    known. The interval covers the choice of test images only, not the seed of the training.

    Args:
        runs: sequence of two `NamedRun` or more.
        markdown: bool. A markdown table instead of one for the terminal.
        seed: int. Draws the bootstrap.

    Returns:
        (str, list of str): the table; and sentences on what was left out and why, such as which
        settings of a protocol differ.

    Raises:
        UserError: for fewer than two runs, two of the same name, or if they have nothing in common;
            the message then says what differs.

    Example:

    >>> from keras_ssl.evaluation.results import Result
    >>> fields = ("pretrained", None, None, "knn", "accuracy")
    >>> results = [Result(*fields, value, "digits", "test", {"k": 20}) for value in (97.5, 98.0)]
    >>> runs = [NamedRun([one], {}, None, name) for one, name in zip(results, "ab")]
    >>> print(compare_runs(runs)[0])
    run  representation          knn
    a    pretrained             97.5
    b    pretrained      98.0 (+0.5)
    <BLANKLINE>
    Differences are from 'pretrained' of a, with 95 % intervals.
    """
    lines, note, left_out = compared_cells(runs, seed=seed)
    table = (markdown_table if markdown else aligned)(lines, texts=2)
    return f"{table}\n\n{note}", left_out


def compared_cells(
    runs: Sequence[NamedRun], *, seed: int = 0
) -> tuple[list[list[str]], str, list[str]]:
    """The table of `compare_runs` before it is formatted.

    Returns:
        (lines of cells, the first of them the heading; what the differences are from; sentences on
        what was left out and why).

    Raises:
        UserError: as `compare_runs`.

    Example:

    >>> from keras_ssl.evaluation.results import Result
    >>> fields = ("pretrained", None, None, "knn", "accuracy")
    >>> results = [Result(*fields, value, "digits", "test", {"k": 20}) for value in (97.5, 98.0)]
    >>> runs = [NamedRun([one], {}, None, name) for one, name in zip(results, "ab")]
    >>> compared_cells(runs)[0][1:]
    [['a', 'pretrained', '97.5'], ['b', 'pretrained', '98.0 (+0.5)']]
    """
    names = [run.name for run in runs]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise UserError(f"Comparing takes two different runs or more. Received {names}.")
    columns, left_out = _common_columns(runs)
    if not columns:
        raise UserError("The runs have no row in common. " + " ".join(left_out))
    reference = _reference(runs[0], columns)
    lines = [["run", "representation", *headings(columns.values())]]
    for run in runs:
        for representation in dict.fromkeys(result.representation for result in run.results):
            cells = [_cell(run, representation, c, runs[0], reference, seed) for c in columns]
            if any(cell != "-" for cell in cells):
                lines.append([run.name, representation_name(*representation), *cells])
    left_out += _without_intervals(runs)
    first = f"'{representation_name(*reference)}' of {runs[0].name}"
    return lines, f"Differences are from {first}, with 95 % intervals.", left_out


def paired_bootstrap(
    first: ArrayLike, second: ArrayLike, *, seed: int = 0, samples: int = _SAMPLES
) -> tuple[float, float, float]:
    """Difference of two accuracies on the same images, and the interval of its bootstrap.

    Images are drawn with replacement, the same ones for both; of repetitions the mean of each image
    counts.

    Args:
        first, second: bool (images,) or (repetitions, images).
        seed: int.
        samples: int >= 1.

    Returns:
        (difference, low, high): second minus first in percentage points, 2.5 and 97.5 percentiles.

    Raises:
        UserError: if they are not of the same number of images.

    Example:

    >>> half = np.arange(400) % 2 == 0
    >>> paired_bootstrap(half, half)
    (0.0, 0.0, 0.0)

    Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
    """
    first, second = (np.atleast_2d(x).mean(axis=0) for x in (first, second))
    if first.shape != second.shape:
        raise UserError(
            "Paired predictions must be of the same images. "
            f"Received {len(first)} and {len(second)}."
        )
    # Drawing images is drawing how often each value of the difference comes.
    values, counts = np.unique(np.round(second - first, 9), return_counts=True)
    draw = np.random.RandomState(seed)
    drawn = draw.multinomial(len(first), counts / len(first), size=samples) @ values / len(first)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return tuple(100.0 * float(x) for x in (np.mean(second - first), low, high))


def protocol_differences(first, second):
    """What differs between two protocols: {setting: (in the first, in the second)}.

    A setting that one of them does not have is None there.

    Example:

    >>> protocol_differences({"k": 20, "metric": "cosine"}, {"k": 5, "metric": "cosine"})
    {'k': (20, 5)}
    """
    names = dict.fromkeys([*first, *second])
    pairs = {name: (first.get(name), second.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _common_columns(runs):
    """{column: a result} of the columns that two runs have; and why others are left out."""
    owners, columns = {}, {}
    for run in runs:
        for result in run.results:
            columns.setdefault(result.column, result)
            owners.setdefault(result.column, set()).add(run.name)
    left_out, alone = {}, {}
    for column, result in columns.items():
        if len(owners[column]) > 1:
            continue
        (owner,) = owners[column]
        others = [
            other
            for other in columns.values()
            if _subject(other) == _subject(result) and owners[other.column] - {owner}
        ]
        if others:
            left_out[_why(result, owner, others, owners)] = None
        else:  # a line for each task
            line = (owner, name_of(result), f"{result.dataset}/{result.split}")
            alone.setdefault(line, {})[result.metric] = None
            left_out[line] = None
    common = {column: result for column, result in columns.items() if len(owners[column]) > 1}
    return common, [_only(x, alone[x]) if x in alone else x for x in left_out]


def _subject(result):
    return name_of(result), result.metric, result.dataset, result.split


def _only(line, metrics):
    owner, task, data = line
    return f"Only {owner} has '{task}' ({', '.join([*metrics, data])})."


def _why(result, owner, others, owners):
    """Which settings of a protocol differ from those of another run, the most similar one."""
    found = [(other, protocol_differences(result.protocol, other.protocol)) for other in others]
    other, differences = min(found, key=lambda pair: len(pair[1]))
    text = "; ".join(f"{name} is {a}, not {b}" for name, (a, b) in differences.items())
    whose = ", ".join(sorted(owners[other.column] - {owner}))
    what = f"'{name_of(result)}' ({result.metric}, {result.dataset}/{result.split})"
    return f"Not compared: {what} of {owner} has another protocol than that of {whose}: {text}."


def _without_intervals(runs):
    known = [run for run in runs if any(result.correct is not None for result in run.results)]
    missing = [run.name for run in runs if run not in known]
    sentences = [f"No intervals with {', '.join(missing)}: no results.npz."] if missing else []
    if len({run.images for run in known}) > 1:
        sentences.append("No intervals: the runs were tested on different images.")
    return sentences


def _reference(run, columns):
    """The first trained representation in the columns, or the first of all."""
    every = dict.fromkeys(result.representation for result in run.results)
    there = [one for one in every if any(run.find(one, column) for column in columns)]
    trained = [one for one in there or every if one[0] in ("pretrained", "fine-tuned")]
    return (trained or there or list(every))[0]


def _cell(run, representation, column, first, reference, seed):
    result, base = run.find(representation, column), first.find(reference, column)
    if result is None:
        return "-"
    text = number(result)
    if base is None or base is result:
        return text
    difference = f"{result.value - base.value:+.1f}"
    if base.correct is None or result.correct is None or first.images != run.images:
        return f"{text} ({difference})"
    _, low, high = paired_bootstrap(base.correct, result.correct, seed=seed)
    return f"{text} ({difference} [{low:+.1f}, {high:+.1f}])"
