"""Tell-tales: values of logged numbers that say what has become of a training."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Telltale:
    """A value at which a logged number does not stay in a training that goes well.

    Args:
        metric: name of the number in the logs.
        value: what it is at; NaN for a number that is not finite.
        description: what has become of the training, in a few words.
        kind: of what has happened, for `Method.cures`, such as "representation" or "undecided".
        written: the value as it is shown, such as "ln 128"; "" for the number itself.
        tolerance: float >= 0. Largest distance from the value.
        in_a_row: int >= 1. How often it is there, without a break, before a warning.
        progress: -1 or 1 where a training that has only not begun is there too: the sign of the
            number's changes once it begins. It is then said after the warm-up, if nothing moves.

    Example:

    >>> constant = Telltale("loss", -1.0, "all outputs are alike", in_a_row=2)
    >>> constant.matches(-0.999), constant.matches(-0.9), constant.matches(float("nan"))
    (True, False, False)
    """

    metric: str
    value: float
    description: str
    kind: str = "representation"
    written: str = ""
    tolerance: float = 0.005
    in_a_row: int = 3
    progress: int = 0

    def matches(self, number: float) -> bool:
        """Whether a number is there; NaN is so of the value NaN alone."""
        if math.isnan(self.value):
            return not math.isfinite(number)
        return abs(number - self.value) <= self.tolerance

    def moved(self, number: float, first: float) -> bool:
        """Whether a number makes progress: beyond the value and the first one seen there.

        By more than a quarter of the tolerance, which noise is not.
        """
        sign = self.progress
        return sign * number - max(sign * self.value, sign * first) > self.tolerance / 4

    @property
    def target(self) -> str:
        """The value in words, `ln 128 = 4.852`; "" for NaN."""
        if math.isnan(self.value):
            return ""
        return f"{self.written} = {self.value:.4g}" if self.written else f"{self.value:g}"


def undecided(metric: str, *choices: int, scale: float = 1.0, what: str) -> Telltale:
    """Of a cross-entropy at `scale * ln(choices)`: all choices are equally likely for all images.

    Args:
        metric: name of the number in the logs.
        choices: ints > 1. The number of choices; several where cross-entropies are averaged.
        scale: float > 0. What the cross-entropy is multiplied by.
        what: the choices, in the plural, such as "prototypes".

    Example:

    >>> undecided("swav", 100, what="prototypes").target
    'ln 100 = 4.605'
    """
    value = scale * sum(map(math.log, choices)) / len(choices)
    return Telltale(
        metric,
        value,
        f"all {what} are equally likely for every image: nothing is decided",
        "undecided",
        written=("" if scale == 1 else f"{scale:g} ") + _log_of(set(choices)),
        tolerance=0.002 * value,
        progress=-1,
    )


def _log_of(choices):
    if len(choices) == 1:
        return f"ln {min(choices)}"
    return f"mean ln of {', '.join(map(str, sorted(choices)))}"


ALIKE = "the outputs are the same for all images (representation collapse)"
LARGEST_CLUSTER = "largest_cluster"  # share of a few images, in the logs

# Of numbers that several methods log.
COMMON = (
    Telltale(
        "mutual_information_bound",
        0.0,
        "the loss is at ln N, N the candidates: all of them look alike "
        "(representation collapse, or a training that has not begun)",
        "undecided",
        tolerance=0.01,
        progress=1,
    ),
    Telltale(
        LARGEST_CLUSTER,
        1.0,
        "all images are in one cluster (cluster collapse)",
        "cluster",
        tolerance=0.0,
        in_a_row=2,
    ),
    Telltale(
        "feature_std",
        0.0,
        "the features are the same for all images (representation collapse)",
        "representation",
        tolerance=0.001,
        in_a_row=1,
    ),
    Telltale(
        "feature_largest_share",
        1.0,
        "the features differ along one direction only (dimensional collapse)",
        "dimensional",
        tolerance=0.02,
        in_a_row=2,
    ),
    *(
        Telltale(
            metric,
            math.nan,
            f"{what} are not finite in inference mode, though the loss is (what is only used in "
            "inference, such as the moving statistics of batch normalization, may be the reason)",
            "not finite",
            in_a_row=1,
        )
        for metric, what in (("feature_std", "features"), (LARGEST_CLUSTER, "scores of clusters"))
    ),
)


def of_entropy(metric: str, size: int) -> tuple[Telltale, Telltale]:
    """Of a mean entropy of simplices of `size` entries: at its largest value, and at 0.

    Example:

    >>> [telltale.target for telltale in of_entropy("simplicial_entropy", 13)]
    ['ln 13 = 2.565', '0']
    """
    largest = math.log(size)
    uniform = Telltale(
        metric,
        largest,
        "the simplices are uniform: the softmax selects nothing",
        "uniform codes",
        written=f"ln {size}",
        tolerance=0.002 * largest,
    )
    one_hot = Telltale(
        metric,
        0.0,
        "the simplices are one-hot: no gradient passes the softmax",
        "one-hot codes",
        tolerance=0.002 * largest,
    )
    return uniform, one_hot
