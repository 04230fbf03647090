"""Schedules as objects, which optimizers and methods hold and files store."""

from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from keras_ssl.core.bounds import Share
from keras_ssl.core.errors import UserError
from keras_ssl.core.serialization import Configured, register
from keras_ssl.schedules.curves import cosine, warmup_cosine


@register
class WarmupCosine(Configured, LearningRateSchedule):
    """Learning rate with a linear warm-up and a cosine decay.

    Args:
        learning_rate: float. The peak, reached at step `warmup_steps`.
        total_steps: int > `warmup_steps`. Updates in the whole run; the rate stays `final` after.
        warmup_steps: int >= 0.
        warmup_start: float. The rate at step 0, if there is a warm-up.
        warmup_inclusive: bool. The step at which the warm-up arrives: False at `warmup_steps` (rate
            t/w of the peak: SimCLR, BYOL, Barlow Twins, VICReg), True one step earlier, so that the
            peak occurs twice (`linspace`: DINO, SwAV, solo-learn).
        final: float. The rate at `total_steps`.
        hold_steps: int > 0. The rate changes every so many steps; steps per epoch for the recipes
            that set it once per epoch (SimSiam, MoCo).

    Raises:
        UserError: if the numbers of steps do not fit.

    Example:

    >>> schedule = WarmupCosine(0.4, total_steps=100, warmup_steps=10)
    >>> [round(float(schedule(step)), 3) for step in (0, 5, 10, 55, 100, 200)]
    [0.0, 0.2, 0.4, 0.2, 0.0, 0.0]

    Reference: Goyal et al., Accurate, large minibatch SGD, 2017 (warm-up); Loshchilov and Hutter,
    SGDR, 2017 (cosine).
    """

    def __init__(
        self,
        learning_rate: float,
        total_steps: int,
        warmup_steps: int = 0,
        *,
        warmup_start: float = 0.0,
        warmup_inclusive: bool = False,
        final: float = 0.0,
        hold_steps: int = 1,
    ):
        _check_warmup(total_steps, warmup_steps, hold_steps)
        self.learning_rate = learning_rate
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.warmup_start = warmup_start
        self.warmup_inclusive = warmup_inclusive
        self.final = final
        self.hold_steps = hold_steps

    def __call__(self, step):
        value = warmup_cosine(
            step,
            self.learning_rate,
            self.total_steps,
            warmup_steps=self.warmup_steps,
            warmup_start=self.warmup_start,
            warmup_inclusive=self.warmup_inclusive,
            final=self.final,
            hold_steps=self.hold_steps,
        )
        return ops.cast(value, "float32")

    def _base_config(self):
        return {}  # the parent's get_config only raises


@register
class Cosine(Configured):
    """Half a cosine from `start` at step 0 to `final` at `total_steps` and after.

    Give it to an optimizer as its `weight_decay`.

    Args:
        start: float.
        total_steps: int > 0. Updates in the whole run.
        final: float.

    Raises:
        UserError: if `total_steps` is not positive.

    Example:

    >>> decay = Cosine(0.04, total_steps=100, final=0.4)
    >>> [round(float(decay(step)), 2) for step in (0, 50, 100, 200)]
    [0.04, 0.22, 0.4, 0.4]

    Reference: Caron et al., Emerging properties in self-supervised vision transformers, 2021, sec.
    3.2 (weight decay).
    """

    def __init__(self, start: float, *, total_steps: int, final: float):
        _check_steps(total_steps)
        self.start = start
        self.total_steps = total_steps
        self.final = final

    def __call__(self, step):
        return ops.cast(cosine(step, self.start, self.final, self.total_steps), "float32")


@register
class CosineEMA(Configured):
    """Momentum of a target network, from `base` at step 0 to `final` at `total_steps` and after.

    Args:
        base: float in [0, 1].
        total_steps: int > 0. Updates in the whole run.
        final: float in [0, 1].

    Raises:
        UserError: if a momentum is outside of [0, 1] or `total_steps` is not positive.

    Example:

    >>> momentum = CosineEMA(0.99, total_steps=100)
    >>> [round(float(momentum(step)), 4) for step in (0, 50, 100)]
    [0.99, 0.995, 1.0]

    Reference: Grill et al., Bootstrap your own latent, 2020, sec. 3.3.
    """

    def __init__(self, base: Share, *, total_steps: int, final: Share = 1.0):
        _check_steps(total_steps)
        self.base = base
        self.total_steps = total_steps
        self.final = final

    def __call__(self, step):
        return ops.cast(cosine(step, self.base, self.final, self.total_steps), "float32")


def _check_warmup(total_steps, warmup_steps, hold_steps):
    if not 0 <= warmup_steps < total_steps:
        raise UserError(
            "warmup_steps must be at least 0 and less than total_steps. Received: "
            f"warmup_steps={warmup_steps}, total_steps={total_steps}. "
            "Train longer or warm up for fewer steps."
        )
    if hold_steps < 1:
        raise UserError(f"hold_steps must be at least 1. Received: {hold_steps}.")


def _check_steps(total_steps):
    if total_steps < 1:
        raise UserError(f"total_steps must be at least 1. Received: {total_steps}.")
