"""What evaluations found, as rows of a table with the hits behind them.

Each function gives a list of pairs (`Row`, bool (repetitions, test images) or None): the rows are
for `write_results`, and the pairs that have hits for `write_hits`.
"""

from keras_ssl.evaluation.rows import Row

CLUSTER_METRICS = ("nmi", "ami", "ari")


def accuracy_rows(result, representation, task, dataset):
    """One row of the accuracy of a `Measurement`: a k-NN or a probe.

    Args:
        result: `Measurement`.
        representation, task, dataset: str, as in `Row`.
    """
    row = _row(representation, task, "accuracy", dataset, result)
    return [(row, result.correct)]


def sweep_rows(results, representation, dataset):
    """One row for each setting of a k-NN, such as "knn k=5 T=0.07" or "knn k=5 euclidean".

    Args:
        results: `Measurement`s, as `knn_sweep` returns them.
        representation, dataset: str, as in `Row`.
    """
    return [
        pair
        for result in results
        for pair in accuracy_rows(result, representation, _knn_task(**result.protocol), dataset)
    ]


def _knn_task(*, k, metric, temperature=None, **_):
    return f"knn k={k} {metric if temperature is None else f'T={temperature:g}'}"


def grid_rows(results, protocol, dataset):
    """Two rows, top-1 and top-5, for each representation.

    Args:
        results: what `probe_grid` returns.
        protocol: str. Name of the protocol, for the heading.
        dataset: str.
    """
    task, pairs = f"linear, {protocol}", []
    for name, result in results.items():
        pairs += accuracy_rows(result, name, task, dataset)
        pairs.append((_row(name, task, "top5", dataset, result), None))
    return pairs


def cluster_rows(result, representation, task, dataset):
    """Four rows of the agreement of clusters: accuracy by the best matching, NMI, AMI and ARI."""
    pairs = accuracy_rows(result, representation, task, dataset)
    for metric in CLUSTER_METRICS:
        pairs.append((_row(representation, task, metric, dataset, result), None))
    return pairs


def corruption_rows(result, representation, dataset, protocol, *, each=False):
    """A row of the mean corruption accuracy; with `each` one more for every corruption.

    Args:
        result: `Measurement`, of `corruption_accuracy`.
        representation, dataset: str.
        protocol: dict. How the images were corrupted and classified.
        each: bool.
    """
    values = {"corrupted": result.accuracy}
    if each:
        values |= result.details["by_corruption"]
    kinds = [name for name, _ in result.details["by_severity"]]
    pairs = []
    for task, value in values.items():
        chosen = [kind == task or task == "corrupted" for kind in kinds]
        row = Row(representation, task, "accuracy", value, dataset, "test", protocol)
        pairs.append((row, result.correct[chosen]))
    return pairs


def _row(representation, task, metric, dataset, result):
    value, std = result.metrics[metric], result.std.get(metric)
    return Row(representation, task, metric, value, dataset, "test", result.protocol, std)
