"""The momentum of a moving average of weights, rising towards 1 as training ends."""

from keras import ops

from keras_ssl.core.checks import UserError
from keras_ssl.core.serialization import Configured, register
from keras_ssl.schedules.curves import cosine


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
        if total_steps < 1:
            raise UserError(f"total_steps must be at least 1. Received: {total_steps}.")
        self.base = base
        self.total_steps = total_steps
        self.final = final

    def __call__(self, step):
        return ops.cast(cosine(step, self.base, self.final, self.total_steps), "float32")
