"""Numbers that are printed for runs: what recipes say of their results."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A number that is printed for a run, and what was measured.

    Args:
        value: percent, with the digits that are printed.
        place: where it is printed, such as "SEM, table 1".
        task: what measured it: a value of `evaluation.probe`, or another task of a `Result`;
            "online" for a classifier that was trained along with the encoder, "linear" for a
            linear probe that has no name here.
        metric: "accuracy", "top5" or "nmi".
        readout: what was read of the encoder, as in a `Result`; "" for the simplices where `tau` is
            given, else the backbone's features or, of clusters, whatever gives them.
        tau: tau_d of the simplices.
        std: standard deviation over runs, in percent; "" where none is printed.
        dataset: what was tested on; "" for the run's own data.
        share: fraction of the labels that was trained on; None for all.

    Example:

    >>> Published("73.9", "SEM, table 1", "sem_sgd", tau=0.1, std="0.2").metric
    'accuracy'
    """

    value: str
    place: str
    task: str = "linear"
    metric: str = "accuracy"
    readout: str = ""
    tau: float | None = None
    std: str = ""
    dataset: str = ""
    share: float | None = None


def online(value: str, place: str = "solo-learn, README") -> Published:
    """The accuracy of a classifier that was trained along with the encoder."""
    return Published(value, place, "online")


def sem(value: str, place: str = "SEM, table 1", **what) -> Published:
    """An accuracy by the linear probe of SEM's paper: "73.9±0.2" has a standard deviation.

    Example:

    >>> sem("73.9±0.2", tau=0.1).std
    '0.2'
    """
    return _with_std(value, place=place, task=what.pop("task", "sem_sgd"), **what)


def cplearn(accuracy: str, nmi: str, place: str, task: str = "adam") -> tuple[Published, Published]:
    """Accuracy and NMI of a row of CPLearn's tables, as `sem` reads them."""
    clusters = _with_std(nmi, place=place, task="argmax", metric="nmi")
    return _with_std(accuracy, place=place, task=task), clusters


def _with_std(text, **what):
    value, _, std = text.partition("±")
    return Published(value, std=std, **what)
