"""Tell-tales: values of logged numbers that say what has become of a training."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Telltale:
    """A value at which a logged number does not stay in a training that goes well.

    Args:
        metric: name of the number in the logs.
        value: what it is at; NaN for a number that is not finite.
        means: what has become of the training, in a few words.
        cure: what usually helps.
        written: the value as it is shown, such as "ln 128"; "" for the number itself.
        tolerance: float >= 0. Largest distance from the value.
        looks: int >= 1. How often in a row it is seen there before it is said.
        progress: -1 or 1 where a training that has only not begun is there too: the sign of the
            number's changes once it begins. It is then said after the warm-up, if nothing moves.

    Example:

    >>> constant = Telltale("loss", -1.0, "all outputs are alike", "stop the gradient", looks=2)
    >>> constant.seen(-0.999), constant.seen(-0.9), constant.seen(float("nan"))
    (True, False, False)
    """

    metric: str
    value: float
    means: str
    cure: str
    written: str = ""
    tolerance: float = 0.005
    looks: int = 3
    progress: int = 0

    def seen(self, number: float) -> bool:
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
    def place(self) -> str:
        """The value in words, `ln 128 = 4.852`; "" for NaN."""
        if math.isnan(self.value):
            return ""
        return f"{self.written} = {self.value:.4g}" if self.written else f"{self.value:g}"


def undecided(metric: str, *choices: int, scale: float = 1.0, what: str, cure: str) -> Telltale:
    """Of a cross-entropy at `scale * ln(choices)`: all choices are equally likely for all images.

    Args:
        metric: name of the number in the logs.
        choices: ints > 1. The number of choices; several where cross-entropies are averaged.
        scale: float > 0. What the cross-entropy is multiplied by.
        what: the choices, in the plural, such as "prototypes".
        cure: what usually helps.

    Example:

    >>> undecided("swav", 100, what="prototypes", cure="a smaller method.epsilon").place
    'ln 100 = 4.605'
    """
    value = scale * sum(map(math.log, choices)) / len(choices)
    return Telltale(
        metric,
        value,
        f"all {what} are equally likely for every image: nothing is decided",
        cure,
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
        "a smaller learning rate with a longer warm-up, or a smaller method.temperature",
        tolerance=0.01,
        progress=1,
    ),
    Telltale(
        LARGEST_CLUSTER,
        1.0,
        "all images are in one cluster (cluster collapse)",
        "less weight on agreement against an even use of the clusters (such as a smaller "
        "method.beta), or a smaller learning rate",
        tolerance=0.0,
        looks=2,
    ),
    Telltale(
        "feature_std",
        0.0,
        "the features are the same for all images (representation collapse)",
        "what the method has against it: stop-gradient, predictor, momentum, negatives or a "
        "variance term; a smaller learning rate",
        tolerance=0.001,
        looks=1,
    ),
    Telltale(
        "feature_largest_share",
        1.0,
        "the features differ along one direction only (dimensional collapse)",
        "a decorrelating term or more negatives; weaker augmentations",
        tolerance=0.02,
        looks=2,
    ),
    *(
        Telltale(
            metric,
            math.nan,
            f"{what} are not finite in inference mode, though the loss is",
            "--precision=float32, or a smaller learning rate; look at what is only used in "
            "inference, such as the moving statistics of batch normalization",
            looks=1,
        )
        for metric, what in (("feature_std", "features"), (LARGEST_CLUSTER, "scores of clusters"))
    ),
)


def of_entropy(metric: str, size: int) -> tuple[Telltale, Telltale]:
    """Of a mean entropy of simplices of `size` entries: at its largest value, and at 0.

    Example:

    >>> [telltale.place for telltale in of_entropy("simplicial_entropy", 13)]
    ['ln 13 = 2.565', '0']
    """
    largest = math.log(size)
    uniform = Telltale(
        metric,
        largest,
        "the simplices are uniform: the softmax selects nothing",
        "a smaller neck.temperature",
        written=f"ln {size}",
        tolerance=0.002 * largest,
    )
    one_hot = Telltale(
        metric,
        0.0,
        "the simplices are one-hot: no gradient passes the softmax",
        "a larger neck.temperature",
        tolerance=0.002 * largest,
    )
    return uniform, one_hot
