"""The cosine as an object: for values besides the learning rate that change over a run."""

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
        if total_steps < 1:
            raise UserError(f"total_steps must be at least 1. Received: {total_steps}.")
        self.start = start
        self.total_steps = total_steps
        self.final = final

    def __call__(self, step):
        return ops.cast(cosine(step, self.start, self.final, self.total_steps), "float32")
