"""The curves behind the schedules: pure functions of the step, in float64.

`step` is an int, an array or an integer tensor of any shape; the value has its shape.
"""

import math

from keras import ops

from keras_ssl.ops.precision import Tensor


def cosine(step: int | Tensor, start: float, final: float, total_steps: int) -> Tensor:
    """Half a cosine from `start` at step 0 to `final` at `total_steps`, and `final` after it.

        final + (start - final) (1 + cos(pi step / total_steps)) / 2

    Serves learning rates, the momentum of a moving average (BYOL, sec. 3.3) and the weight decay of
    DINO.

    Args:
        step: int, array or tensor, >= 0.
        start, final: float.
        total_steps: int > 0.

    Returns:
        float64 tensor of the shape of `step`.

    Example:

    >>> float(cosine(5, 1.0, 0.0, 10))
    0.5

    Reference: Loshchilov and Hutter, SGDR, 2017, eq. 5.
    """
    progress = ops.clip(_float64(step) / total_steps, 0.0, 1.0)
    return final + (start - final) * (1.0 + ops.cos(math.pi * progress)) / 2.0


def linear_then_constant(
    step: int | Tensor, start: float, final: float, ramp_steps: float, *, inclusive: bool = True
) -> Tensor:
    """A straight line from `start` to `final`, and `final` from step `ramp_steps` on.

    Args:
        step: int, array or tensor, >= 0.
        start, final: float.
        ramp_steps: number >= 0. Steps on the line; with 0 the value is `final` throughout.
        inclusive: bool. Whether the last step on the line, `ramp_steps - 1`, has the value `final`
            already (`numpy.linspace`, as the teacher temperature of DINO), or only the one after.

    Returns:
        float64 tensor of the shape of `step`.

    Example:

    >>> [round(float(linear_then_constant(epoch, 0.04, 0.07, 4)), 2) for epoch in range(5)]
    [0.04, 0.05, 0.06, 0.07, 0.07]
    """
    step = _float64(step)
    increments = max(ramp_steps - 1 if inclusive else ramp_steps, 1)
    return ops.where(step < ramp_steps, start + (final - start) * step / increments, final)


def warmup_cosine(
    step: int | Tensor,
    peak: float,
    total_steps: int,
    *,
    warmup_steps: int = 0,
    warmup_start: float = 0.0,
    warmup_inclusive: bool = False,
    final: float = 0.0,
    hold_steps: int = 1,
) -> Tensor:
    """A linear warm-up to `peak`, then half a cosine to `final` at `total_steps`.

    The cosine begins at step `warmup_steps`, with `peak`. See `WarmupCosine` for the arguments.

    Example:

    >>> values = warmup_cosine([0, 1, 2, 6, 10], 1.0, 10, warmup_steps=2)
    >>> [round(float(value), 2) for value in values]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    # Everything in units of `hold_steps`: within one, the step number does not move.
    step = ops.floor(_float64(step) / hold_steps)
    total, warmup = total_steps / hold_steps, warmup_steps / hold_steps
    rising = linear_then_constant(step, warmup_start, peak, warmup, inclusive=warmup_inclusive)
    return ops.where(step < warmup, rising, cosine(step - warmup, peak, final, total - warmup))


def _float64(step):
    return ops.cast(step, "float64")
