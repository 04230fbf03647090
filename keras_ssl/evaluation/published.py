"""Measured next to published: the numbers of a run that are of the kind of a printed one."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keras_ssl.core.constants import DATASET_PREFIXES
from keras_ssl.core.published import Published
from keras_ssl.evaluation.probes.sgd import PROBES
from keras_ssl.evaluation.results import Result


@dataclass(frozen=True)
class Target:
    """What is printed for a run.

    Attributes:
        results: the printed numbers.
        dataset: what the run trained on.
        differ: settings of the published training that the run does not have, as "key=value".
        measured: settings of the published evaluation that the run does not have, likewise.
        augmented: whether the published probe trained on augmented images.

    Example:

    >>> target = Target((Published("97", "a paper", "knn"),), "digits", ("training.epochs=1000",))
    >>> result = Result("pretrained", None, None, "knn", "accuracy", 95.0, "digits", "test", {})
    >>> pairs(target, [result])[0][1].value
    95.0
    """

    results: Sequence[Published]
    dataset: str
    differ: Sequence[str] = ()
    measured: Sequence[str] = ()
    augmented: bool = False


def pairs(target: Target, results: Iterable[Result]) -> list[tuple[Published, Result | None]]:
    """Every printed number with the measured one of its kind: the same task and data, read alike.

    Numbers on other data than the run's own are left out where nothing was measured on them.
    """
    results, found = list(results), []
    for printed in target.results:
        same = [result for result in results if same_kind(printed, result, target)]
        if same or not printed.dataset:
            found.append((printed, same[-1] if same else None))
    return found


def same_kind(printed: Published, result: Result, target: Target) -> bool:
    """Whether a result is of the task, data, metric and representation of a printed number."""
    if result.value is None or (result.task, result.metric) != (printed.task, printed.metric):
        return False
    if result.source not in ("pretrained", "fine-tuned"):
        return False
    if not _same_data(result.dataset, printed.dataset or target.dataset):
        return False
    if any(result.protocol.get(name) != value for name, value in printed.protocol.items()):
        return False
    if printed.task in PROBES and ("view" in result.protocol) != target.augmented:
        return False
    if printed.task == "shifted probe" and target.measured:  # of another probe
        return False
    return printed.task == "argmax" or _reads_alike(printed, result)


def _reads_alike(printed, result):
    if printed.tau is None and not printed.readout:
        return result.readout in (None, "backbone")
    chosen = printed.tau is None and printed.task == "finetune"  # a result has what was chosen
    readout = printed.readout or "simplices"
    return result.readout == readout and (chosen or result.tau == printed.tau)


def _same_data(ours, printed):
    """Whether a data set is the printed one, in whatever version and configuration."""
    if ours.startswith(DATASET_PREFIXES) or "/" in printed:
        return re.sub(r":[\d.*]+", "", ours) == printed
    return (ours if "#" in ours else re.split("[/:]", ours)[0]) == printed
