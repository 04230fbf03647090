"""The tables that an evaluation ends with."""

from pathlib import Path

from keras_ssl.core.files import write_text
from keras_ssl.evaluation.rows import (
    aligned,
    format_table,
    markdown_table,
    protocol_hash,
    read_results,
)

CLUSTERS = ("k-means", "argmax", "codes")


def write_tables(workdir):
    """Write `results.md`: tables of all that `results.json` has, whenever it was measured."""
    rows = read_results(Path(workdir) / "results.json")
    write_text(Path(workdir) / "results.md", format_tables(rows, markdown=True) + "\n")


def format_tables(rows, *, markdown=False):
    """Accuracies, then the k-NN at other settings, then clusters: those that there are.

    Args:
        rows: iterable of `Row`.
        markdown: bool. Markdown tables instead of ones for the terminal.
    """
    sweep, clusters, others = [], [], []
    for row in rows:
        is_sweep = row.task.startswith("knn k=")
        (clusters if row.task in CLUSTERS else sweep if is_sweep else others).append(row)
    tables = [format_table(part, markdown=markdown) for part in (others, sweep) if part]
    tables += [format_clusters(clusters, markdown=markdown)] if clusters else []
    return "\n\n".join(tables)


def format_clusters(rows, *, markdown=False):
    """A line for each way to find clusters and each representation, a column for each metric.

    `k` is the number of clusters to choose from: only lines of one k are to be compared.

    Example:

    >>> from keras_ssl.evaluation.rows import Row
    >>> row = Row("raw pixels", "k-means", "nmi", 74.0, "digits", "test", {"k": 10})
    >>> print(format_clusters([row]))
    clusters  representation   k   nmi
    k-means   raw pixels      10  74.0
    """
    metrics = list(dict.fromkeys(row.metric for row in rows))
    values = {(_line(row), row.metric): f"{row.value:.1f}" for row in rows}
    lines = [["clusters", "representation", "k", *metrics]]
    for line in dict.fromkeys(map(_line, rows)):
        lines.append([*line[:3], *(values.get((line, metric), "-") for metric in metrics)])
    return markdown_table(lines, texts=2) if markdown else aligned(lines, texts=2)


def _line(row):
    """What the numbers of a line have in common, the first three of which it shows."""
    k = str(row.protocol.get("k", "-"))
    return row.task, row.representation, k, row.dataset, protocol_hash(row.protocol)
