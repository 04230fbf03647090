"""The tables that an evaluation ends with."""

from keras_ssl.evaluation.rows import aligned, format_table, markdown_table

CLUSTERS = ("k-means", "argmax", "codes")


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

    Example:

    >>> from keras_ssl.evaluation.rows import Row
    >>> row = Row("raw pixels", "k-means", "nmi", 74.0, "digits", "test", {})
    >>> print(format_clusters([row]))
    clusters  representation   nmi
    k-means   raw pixels      74.0
    """
    metrics = list(dict.fromkeys(row.metric for row in rows))
    values = {(row.task, row.representation, row.metric): f"{row.value:.1f}" for row in rows}
    lines = [["clusters", "representation", *metrics]]
    for task, name in dict.fromkeys((row.task, row.representation) for row in rows):
        lines.append([task, name, *(values.get((task, name, metric), "-") for metric in metrics)])
    return markdown_table(lines, texts=2) if markdown else aligned(lines, texts=2)
