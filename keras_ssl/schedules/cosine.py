"""The cosine as an object: for weight decay and the momentum of a target network."""

from keras import ops

from keras_ssl.core.checks import UserError
from keras_ssl.core.serialization import Configured, register
from keras_ssl.schedules.curves import cosine


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

    def __init__(self, start, *, total_steps, final):
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

    def __init__(self, base, *, total_steps, final=1.0):
        if not (0 <= base <= 1 and 0 <= final <= 1):
            raise UserError(f"A momentum is in [0, 1]. Received: base={base}, final={final}.")
        _check_steps(total_steps)
        self.base = base
        self.total_steps = total_steps
        self.final = final

    def __call__(self, step):
        return ops.cast(cosine(step, self.base, self.final, self.total_steps), "float32")


def _check_steps(total_steps):
    if total_steps < 1:
        raise UserError(f"total_steps must be at least 1. Received: {total_steps}.")
