"""Judge one representation in every way the table has: k-NN, linear probe, few labels."""

import functools

from keras_ssl.core.constants import KNN_NEIGHBOURS, KNN_TEMPERATURE
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.knn import METRICS, knn_accuracy, knn_sweep
from keras_ssl.evaluation.probes.linear import linear_probe, linear_probe_few, linear_probe_share
from keras_ssl.evaluation.rows_of import accuracy_rows, sweep_rows


def evaluate_features(
    representation,
    train,
    train_labels,
    test,
    test_labels,
    *,
    dataset,
    k=KNN_NEIGHBOURS,
    temperature=KNN_TEMPERATURE,
    per_class=10,
    shares=(),
    sweep=False,
    seed=0,
):
    """Rows of results for the features of one representation, and the hits behind them.

    Args:
        representation: str. What the features are, as the table shall call it.
        train, test: float (N, F).
        train_labels, test_labels: int (N,).
        dataset: str.
        k, temperature: of the weighted k-NN.
        per_class: int. Labels of each class for the row with few labels.
        shares: floats in (0, 1]. A row for each: the linear probe with so many of the labels.
        sweep: bool. Whether there are rows for the settings of `knn_sweep` besides.
        seed: int. Draws the subsets of labels and the validation parts.

    Returns:
        `(pairs, left_out)`: list of (`Row`, bool (repetitions, test images), which of them it got
        right), accuracies in percent; and for each task that the data do not allow (a class with
        too few images, say) a sentence that tells why.
    """
    parts = (train, train_labels, test, test_labels)
    tasks = {
        "knn": lambda: knn_accuracy(*parts, k=min(k, len(train)), temperature=temperature),
        "linear": lambda: linear_probe(*parts, seed=seed),
        f"linear, {per_class} labels/class": lambda: linear_probe_few(
            *parts, per_class=per_class, seed=seed
        ),
    }
    for share in shares:
        tasks[f"linear, {100 * share:g} % of labels"] = functools.partial(
            linear_probe_share, *parts, share=share, seed=seed
        )
    pairs, left_out = [], []
    for task, measure in tasks.items():
        try:
            pairs += accuracy_rows(measure(), representation, task, dataset)
        except UserError as error:
            left_out.append(f"{task}: {error}")
    if sweep:
        more, missing = _swept(parts, representation, dataset)
        pairs, left_out = pairs + more, left_out + missing
    return pairs, left_out


def _swept(parts, representation, dataset):
    """Rows of the k-NN at all its settings, and why some are missing."""
    pairs, left_out = [], []
    for metric in METRICS:
        try:
            results, too_many = knn_sweep(*parts, metrics=(metric,))
        except UserError as error:  # of one metric: rows of zeros have distances, no directions
            left_out.append(f"knn, {metric}: {error}")
            continue
        pairs += sweep_rows(results, representation, dataset)
        left_out += [f"knn, {metric}, {why}" for why in too_many]
    return pairs, left_out
