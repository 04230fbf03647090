"""Runs side by side: only what was measured alike, with intervals of the differences."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.hits import read_hits, row_key
from keras_ssl.evaluation.rows import aligned, headings, markdown_table

_SAMPLES = 10_000


@dataclass(frozen=True)
class RunResults:
    """What is compared of a run.

    Attributes:
        name: str. As the table shall call it.
        rows: list of the rows of its results.json.
        hits: {row key: bool (repetitions, images)}.
        images: str or None. Digest of the test images that the hits are of.
    """

    name: str
    rows: list
    hits: dict
    images: str | None

    def row(self, representation, column):
        """The row of that representation in that column, or None."""
        for row in self.rows:
            if row["representation"] == representation and column_of(row) == column:
                return row
        return None


def load_run(directory, name=None):
    """Read results.json of a run, and results.npz if it is there.

    Raises:
        UserError: if there is no table of results, or a file is damaged.
    """
    path = Path(directory) / "results.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        for row in rows:
            column_of(row), row["representation"], row["value"], row["protocol"]
    except FileNotFoundError:
        raise UserError(
            f"'{directory}' has no results.json: evaluate the run first, with --mode=evaluate."
        ) from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"'{path}' is not a table of results: move it away.") from None
    return RunResults(str(name or directory), rows, *read_hits(path.with_suffix(".npz")))


def compare_runs(runs, *, markdown=False, seed=0):
    """The runs side by side, and what could not be compared.

    A column is a task under one protocol on one data set, which two of the runs have at least. Each
    cell is followed by its difference from the first trained representation of the first run, with
    the 95 % interval of a paired bootstrap over the test images where both have their hits. The
    interval covers the choice of test images only, not that of the seed which a run trained with.

    Args:
        runs: sequence of two `RunResults` or more.
        markdown: bool. A markdown table instead of one for the terminal.
        seed: int. Draws the bootstrap.

    Returns:
        (str, list of str): the table; and sentences on what was left out and why, such as which
        settings of a protocol differ.

    Raises:
        UserError: for fewer than two runs, two of the same name, or if they have nothing in common;
            the message then says what differs.
    """
    names = [run.name for run in runs]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise UserError(f"Comparing takes two different runs or more. Received {names}.")
    columns, left_out = _common_columns(runs)
    if not columns:
        raise UserError("The runs have no row in common. " + " ".join(left_out))
    reference = _reference(runs[0], columns)
    lines = [["run", "representation", *headings(columns)]]
    for run in runs:
        for representation in dict.fromkeys(row["representation"] for row in run.rows):
            cells = [_cell(run, representation, c, runs[0], reference, seed) for c in columns]
            if any(cell != "-" for cell in cells):
                lines.append([run.name, representation, *cells])
    left_out += _without_intervals(runs)
    table = (markdown_table if markdown else aligned)(lines, texts=2)
    note = f"Differences are from '{reference}' of {runs[0].name}, with 95 % intervals."
    return f"{table}\n\n{note}", left_out


def paired_bootstrap(first, second, *, seed=0, samples=_SAMPLES):
    """Difference of two accuracies on the same images, and the interval of its bootstrap.

    Images are drawn with replacement, for both alike; of repetitions the mean of each image counts.

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
    first, second = (np.atleast_2d(hits).mean(axis=0) for hits in (first, second))
    if first.shape != second.shape:
        raise UserError(
            f"Paired hits must be of the same images. Received {len(first)} and {len(second)}."
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
    """Columns that two runs have, in order; and why others are left out."""
    owners, protocols = {}, {}
    for run in runs:
        for row in run.rows:
            owners.setdefault(column_of(row), set()).add(run.name)
            protocols[column_of(row)] = row["protocol"]
    common = [column for column, names in owners.items() if len(names) > 1]
    left_out = []
    for column in owners:
        if column not in common:
            others = [c for c in owners if c[:4] == column[:4] and owners[c] - owners[column]]
            left_out.append(_why(column, others, owners, protocols))
    return common, list(dict.fromkeys(left_out))


def _why(column, others, owners, protocols):
    what, (owner,) = _what(column), owners[column]
    if not others:
        return f"Only {owner} has {what}."
    other = min(others, key=lambda c: len(protocol_differences(protocols[column], protocols[c])))
    differences = protocol_differences(protocols[column], protocols[other])
    text = "; ".join(f"{name} is {a}, not {b}" for name, (a, b) in differences.items())
    whose = ", ".join(sorted(owners[other] - {owner}))
    return f"Not compared: {what} of {owner} has another protocol than that of {whose}: {text}."


def _without_intervals(runs):
    missing = [run.name for run in runs if not run.hits]
    sentences = [f"No intervals with {', '.join(missing)}: no results.npz."] if missing else []
    digests = {run.images for run in runs if run.hits}
    if len(digests) > 1:
        sentences.append("No intervals: the runs were tested on different images.")
    return sentences


def _reference(run, columns):
    """The first representation in the columns that is no baseline, or the first of all."""
    every = dict.fromkeys(row["representation"] for row in run.rows)
    there = [name for name in every if any(run.row(name, column) for column in columns)]
    names = there or list(every)
    return next((name for name in names if name.startswith("pretrained")), names[0])


def _cell(run, representation, column, first, reference, seed):
    row, base = run.row(representation, column), first.row(reference, column)
    if row is None or row["value"] is None:
        return "-"
    text = f"{row['value']:.1f}" + ("" if row.get("std") is None else f" ±{row['std']:.1f}")
    if base is None or base["value"] is None or base is row:
        return text
    difference = f"{row['value'] - base['value']:+.1f}"
    pair = [one.hits.get(row_key(r)) for one, r in ((first, base), (run, row))]
    if any(hits is None for hits in pair) or first.images != run.images:
        return f"{text} ({difference})"
    _, low, high = paired_bootstrap(*pair, seed=seed)
    return f"{text} ({difference} [{low:+.1f}, {high:+.1f}])"


def column_of(row):
    """What numbers must share to stand in one column: all but the representation and the value.

    Args:
        row: dict, a row of results.json.

    Returns:
        (task, metric, dataset, split, protocol hash).
    """
    return row["task"], row["metric"], row["dataset"], row["split"], row["protocol_hash"]


def _what(column):
    task, metric, dataset, split, _ = column
    return f"'{task}' ({metric}, {dataset}/{split})"
