"""Numbers that are printed for runs: what recipes say of their results."""

from keras_ssl.core.published import Published


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
