"""Results: one row for each number, with the protocol behind it; as JSON and as a table."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from keras_ssl.core.errors import UserError
from keras_ssl.core.files import write_text
from keras_ssl.evaluation.strict_json import finite_or_none, to_json


@dataclass(frozen=True)
class Row:
    """One number and what it takes to compare it.

    Attributes:
        representation: what was evaluated, such as "raw pixels"; a line of the table.
        task: how, such as "knn" or "linear"; a column of the table.
        metric: "accuracy" (top-1), "top5", ... in percent.
        value: float.
        dataset: name of the data.
        split: the part that was scored, such as "test".
        protocol: dict of every setting of the evaluation (JSON values).
        std: standard deviation over repetitions, or None.

    Example:

    >>> row = Row("raw pixels", "knn", "accuracy", 97.5, "digits", "test", {"k": 20})
    >>> print(format_table([row]))
    representation   knn
    raw pixels      97.5
    """

    representation: str
    task: str
    metric: str
    value: float
    dataset: str
    split: str
    protocol: dict
    std: float | None = None


def protocol_hash(protocol):
    """Twelve hexadecimal digits; equal for equal settings in whatever order.

    Example:

    >>> protocol_hash({"k": 20, "metric": "cosine"}) == protocol_hash({"metric": "cosine", "k": 20})
    True
    """
    canonical = to_json(protocol, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def write_results(path, rows, meta):
    """Write `{"meta": ..., "rows": [...]}` to `path`; an interrupted write leaves the old file.

    Rows that the file already holds stay, unless one of the new ones is of the same thing: same
    representation, task, metric, data, split and protocol. So does what it says of the run.

    Args:
        path: file to write; its folder must exist.
        rows: iterable of `Row`. Values without a finite number become null.
        meta: dict of JSON values about the run as a whole.
    """
    records = [
        {**asdict(row), "value": finite_or_none(row.value), "std": finite_or_none(row.std)}
        | {"protocol_hash": protocol_hash(row.protocol)}
        for row in rows
    ]
    rows = {_subject(record): record for record in [*_read(path)["rows"], *records]}  # old places
    table = {"meta": {**read_meta(path), **meta}, "rows": list(rows.values())}
    write_text(path, to_json(table, indent=2) + "\n")


def read_meta(path):
    """What `write_results` left at `path` about the run as a whole; nothing without such a file.

    Raises:
        UserError: if it holds no table of results.
    """
    return _read(path)["meta"]


def read_results(path):
    """The rows that `write_results` left at `path`, as `Row`s; none where there is no such file.

    Rows without a finite number are left out.

    Raises:
        UserError: if it holds no table of results.
    """
    names = [field.name for field in fields(Row)]
    records = [record for record in _read(path)["rows"] if record.get("value") is not None]
    return [Row(**{name: record.get(name) for name in names}) for record in records]


def _subject(record):
    names = ("representation", "task", "metric", "dataset", "split", "protocol_hash")
    return tuple(record.get(name) for name in names)


def _read(path):
    try:
        table = json.loads(Path(path).read_text(encoding="utf-8"))
        return {"meta": dict(table.get("meta", {})), "rows": list(table["rows"])}
    except FileNotFoundError:
        return {"meta": {}, "rows": []}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"'{path}' is not a table of results: move it away.") from None


def format_table(rows, *, markdown=False):
    """A line for each representation, a column for each task, percent with one decimal.

    Numbers share a column only if data, split and protocol agree; columns that would otherwise
    look alike carry the protocol's hash. Lines and columns keep the order of the rows.

    Args:
        rows: iterable of `Row`.
        markdown: bool. A markdown table instead of one for the terminal.
    """
    rows = list(rows)
    columns = list(dict.fromkeys(_column(row) for row in rows))
    cells = {(row.representation, _column(row)): _number(row) for row in rows}
    lines = [["representation", *headings(columns)]]
    for name in dict.fromkeys(row.representation for row in rows):
        lines.append([name, *(cells.get((name, column), "-") for column in columns)])
    return markdown_table(lines) if markdown else aligned(lines)


def _column(row):
    return row.task, row.metric, row.dataset, row.split, protocol_hash(row.protocol)


def headings(columns):
    """What to call columns (task, metric, dataset, split, protocol hash), no longer than needed."""
    short = [task if metric == "accuracy" else f"{task} {metric}" for task, metric, *_ in columns]
    return [
        name if short.count(name) == 1 else f"{name} {dataset}/{split} [{digits}]"
        for name, (_, _, dataset, split, digits) in zip(short, columns, strict=True)
    ]


def _number(row):
    spread = "" if row.std is None else f" ±{row.std:.1f}"
    return f"{row.value:.1f}{spread}"


def aligned(lines, *, texts=1):
    """Lines of cells for the terminal: the first `texts` columns to the left, others to the right.

    Example:

    >>> print(aligned([["run", "knn"], ["a", "98.6"]]))
    run   knn
    a    98.6
    """
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < texts else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown_table(lines, *, texts=1):
    """Lines of cells as a markdown table, the first of them its heading; as `aligned`."""
    rule = ["---"] * texts + ["---:"] * (len(lines[0]) - texts)
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
