"""Results: what an evaluation found, as fields; written to and read from a run's directory."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Measurement:
    """What one evaluation of features found, before it is said of which encoder and data.

    Attributes:
        metrics: {name: percent}, such as {"accuracy": 97.5, "top5": 99.9}.
        protocol: dict of every setting of the evaluation (JSON values).
        std: {name: standard deviation over repetitions}, for metrics that have one.
        correct: bool (repetitions, test images), which predictions are correct; None where there
            are no predictions.
        details: {name: value} of what else was found, such as the strengths that were chosen.

    Example:

    >>> Measurement({"accuracy": 97.5}, {"k": 20}).accuracy
    97.5
    """

    metrics: dict
    protocol: dict
    std: dict = field(default_factory=dict)
    correct: np.ndarray | None = field(default=None, compare=False, repr=False)
    details: dict = field(default_factory=dict)

    @property
    def accuracy(self):
        """Top-1 accuracy, in percent."""
        return self.metrics["accuracy"]
