"""Judge one representation in every way the table has: k-NN, linear probe, few labels."""

from keras_ssl.core.checks import UserError
from keras_ssl.evaluation.knn import knn_accuracy
from keras_ssl.evaluation.linear_probe import linear_probe, linear_probe_few
from keras_ssl.evaluation.rows_of import accuracy_rows


def evaluate_features(
    representation,
    train,
    train_labels,
    test,
    test_labels,
    *,
    dataset,
    k=20,
    temperature=0.07,
    per_class=10,
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
    pairs, left_out = [], []
    for task, measure in tasks.items():
        try:
            result = measure()
        except UserError as error:
            left_out.append(f"{task}: {error}")
            continue
        pairs += accuracy_rows(result, representation, task, dataset)
    return pairs, left_out
