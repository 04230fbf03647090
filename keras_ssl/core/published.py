"""A number that is printed for a run, and what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
        tau: tau_d of the simplices; None where it was chosen.
        std: standard deviation over runs, in percent; "" where none is printed.
        dataset: what was tested on; "" for the run's own data.
        protocol: {name: value}, what the protocol of a `Result` of this kind has, besides what the
            task says.

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
    protocol: Mapping = field(default_factory=dict)
