"""Judge one representation in every way the table has: k-NN, linear probe, few labels."""

from keras_ssl.evaluation.knn import knn_accuracy
from keras_ssl.evaluation.linear_probe import linear_probe, linear_probe_few
from keras_ssl.evaluation.rows import Row


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
    """Rows of results for the features of one representation.

    Args:
        representation: str. What the features are, as the table shall call it.
        train, test: float (N, F).
        train_labels, test_labels: int (N,).
        dataset: str.
        k, temperature: of the weighted k-NN.
        per_class: int. Labels of each class for the row with few labels.
        seed: int. Draws the subsets of labels and the validation parts.

    Returns:
        List of `Row`, accuracies in percent.
    """
    parts = (train, train_labels, test, test_labels)
    knn = knn_accuracy(*parts, k=min(k, len(train)), temperature=temperature)
    probe = linear_probe(*parts, seed=seed)
    few = linear_probe_few(*parts, per_class=per_class, seed=seed)
    results = {
        "knn": (knn.accuracy, knn.protocol, None),
        "linear": (probe.accuracy, probe.protocol, None),
        f"linear, {per_class} labels/class": (few.accuracy, few.protocol, few.std),
    }
    return [
        Row(representation, task, "accuracy", value, dataset, "test", protocol, std)
        for task, (value, protocol, std) in results.items()
    ]
