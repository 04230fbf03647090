"""What the columns of the tables of results are, in a sentence each."""

from collections.abc import Sequence

from keras_ssl.evaluation.results import Result
from keras_ssl.evaluation.tables import CLUSTER_TASKS

_METRICS = {
    "accuracy": "accuracy: of the best one-to-one matching of clusters and classes.",
    "nmi": "nmi, ami, ari: agreement with the classes, 100 is perfect; by chance nmi grows with k, "
    "ami and ari are about 0.",
    "used": "used: percent of the clusters with at least one test image.",
}


def legend_of(title: str, results: Sequence[Result]) -> str:
    """Sentences on what the table of that title shows of these results; "" where it says it itself.

    Example:

    >>> result = Result("pixels", None, None, "knn", "accuracy", 97.5, "digits", "test", {"k": 20})
    >>> legend_of("Accuracy in percent", [result])
    'knn: a vote of the 20 nearest train images; nothing is trained.'
    """
    if title == "Clusters":
        return _of_clusters([one for one in results if one.task in CLUSTER_TASKS])
    if title == "Accuracy in percent":
        return _of_accuracies({one.task: one.protocol for one in reversed(results)})
    return ""


def _of_accuracies(protocols):
    words = []
    if "knn" in protocols:
        k = protocols["knn"].get("k")
        nearest = f"{k} nearest" if k else "nearest"
        words.append(f"knn: a vote of the {nearest} train images; nothing is trained.")
    if "linear" in protocols:
        words.append(
            "linear: logistic regression on the labels of all train images; the encoder stays as "
            "it is."
        )
    if "few labels" in protocols:
        protocol = protocols["few labels"]
        per_class, subsets = protocol["per_class"], protocol.get("subsets", "several")
        words.append(
            f"linear, {per_class} labels/class: the same with {per_class} labels of each class, "
            f"mean ± standard deviation over {subsets} subsets."
        )
    return " ".join(words)


def _of_clusters(results):
    metrics = {one.metric for one in results}
    words = ["k: how many clusters there are to choose from; compare lines of one k only."]
    return " ".join(words + [text for name, text in _METRICS.items() if name in metrics])
