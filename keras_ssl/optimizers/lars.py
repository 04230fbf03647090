"""LARS: scale each layer's update to the size of the layer's weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from keras import ops

from keras_ssl.core.bounds import Above, LearningRateOrZero, Share
from keras_ssl.core.serialization import register
from keras_ssl.ops.precision import at_least_float32
from keras_ssl.optimizers.exclusions import l2_decayed
from keras_ssl.optimizers.sgd import SGD


@register
class LARS(SGD):
    """Layer-wise adaptive rate scaling, for large batches.

    There are several conventions, and they give different weights:

        original   g = gradient + weight_decay p,  q = eta |p| / |g|  (1 if either norm is 0)
                   m = momentum m + q g,           p = p - learning_rate m
        simclr     the same g and q, but
                   m = momentum m + learning_rate q g,  p = p - m
        larc       q = eta |p| / (|gradient| + weight_decay |p| + 1e-8),  g as above; if |p| or
                   |gradient| is 0 the gradient is used as it is, neither decayed nor scaled
                   m = momentum m + q g,           p = p - learning_rate m
        larc_clip  larc with min(q / learning_rate, 1) for q

    `original` is that of Barlow Twins, VICReg, BYOL and DINO; `larc`, with `exclude_1d=False`, that
    of SwAV and Self-Classifier; `larc_clip`, with `trust_coefficient=0.02`, that of the CIFAR
    recipes of solo-learn and SEM.

    Args:
        learning_rate: float > 0 or a `LearningRateSchedule`.
        variant: "original", "simclr", "larc" or "larc_clip".
        momentum: float in [0, 1].
        trust_coefficient: float > 0. eta: the step as a share of the weights' norm.
        weight_decay: float >= 0. Coefficient of the L2 penalty; or a schedule, see `VariableRules`.
        exclude_1d: bool. Neither decay nor trust ratio for biases and normalization.
        constant_lr_layers: sequence of layer names that learn at `constant_lr`; see
            `VariableRules`.
        constant_lr: float > 0 or None.
        **kwargs: of `keras.optimizers.Optimizer` (`clipnorm`, `gradient_accumulation_steps`, ...).

    Raises:
        UserError: for an unknown `variant`.

    Example:

    >>> import keras
    >>> weight = keras.Variable([[3.0, 4.0]])
    >>> LARS(1.0).apply([keras.ops.convert_to_tensor([[0.0, 2.0]])], [weight])
    >>> round(float(weight[0, 1]), 4)  # a step of 0.001 * 5, whatever the size of the gradient
    3.995

    Reference: You et al., Large batch training of convolutional networks, 2017.
    """

    def __init__(
        self,
        learning_rate: LearningRateOrZero,
        *,
        variant: Literal["original", "simclr", "larc", "larc_clip"] = "original",
        momentum: Share = 0.9,
        trust_coefficient: Annotated[float, Above(0, 10**3)] = 0.001,
        **kwargs,
    ):
        super().__init__(learning_rate, momentum=momentum, **kwargs)
        self.variant = variant
        self.trust_coefficient = trust_coefficient

    def update_step(self, gradient, variable, learning_rate):
        variant = VARIANTS[self.variant]
        rate = self.rate_of(variable, learning_rate)
        gradient = ops.cast(gradient, variable.dtype)
        if not self.is_excluded(variable):
            weight = ops.convert_to_tensor(variable)
            decay, eta = self.decay_of(variable), self.trust_coefficient
            gradient = variant.scale(gradient, weight, decay, eta, rate)
        if variant.rate_in_momentum:
            self.assign_sub(variable, self.accumulate(rate * gradient, variable))
        else:
            self.assign_sub(variable, rate * self.accumulate(gradient, variable))


def scale_original(gradient, weight, decay, eta, rate):
    """Decay, then scale by the ratio of the norms; see `LARS`."""
    gradient = l2_decayed(gradient, weight, decay)
    weight_norm, norm = _norm(weight), _norm(gradient)
    known = ops.logical_and(weight_norm > 0, norm > 0)
    trust = ops.where(known, eta * weight_norm / ops.where(known, norm, 1.0), 1.0)
    return ops.cast(trust, gradient.dtype) * gradient


def scale_larc(gradient, weight, decay, eta, rate):
    """Scale by the ratio with separate norms; a zero norm leaves the gradient alone."""
    return _scale_larc(gradient, weight, decay, eta, clip=lambda trust: trust)


def scale_larc_clip(gradient, weight, decay, eta, rate):
    """`scale_larc` with a ratio that never asks for more than the learning rate."""
    rate = at_least_float32(rate)

    def clip(trust):
        return ops.where(trust < rate, trust / rate, 1.0)  # 1 at a learning rate of 0

    return _scale_larc(gradient, weight, decay, eta, clip)


def _scale_larc(gradient, weight, decay, eta, clip):
    weight_norm, norm = _norm(weight), _norm(gradient)
    trust = clip(eta * weight_norm / (norm + decay * weight_norm + 1e-8))
    scaled = ops.cast(trust, gradient.dtype) * l2_decayed(gradient, weight, decay)
    return ops.where(ops.logical_and(weight_norm > 0, norm > 0), scaled, gradient)


def _norm(x):
    x = at_least_float32(x)  # squares overflow in float16
    return ops.sqrt(ops.sum(ops.square(x)))


@dataclass(frozen=True)
class Variant:
    """One convention: how an update is scaled, and on which side of the momentum the rate is."""

    scale: Callable
    rate_in_momentum: bool = False


VARIANTS = {
    "original": Variant(scale_original),
    "simclr": Variant(scale_original, rate_in_momentum=True),
    "larc": Variant(scale_larc),
    "larc_clip": Variant(scale_larc_clip),
}
