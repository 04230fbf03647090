"""Stochastic gradient descent with momentum and coupled weight decay."""

import keras
from keras import ops

from keras_ssl.core.bounds import LearningRateOrZero, Share
from keras_ssl.core.serialization import register
from keras_ssl.optimizers.exclusions import VariableRules, l2_decayed


@register
class SGD(VariableRules, keras.optimizers.SGD):
    """SGD as the papers' recipes run it.

    It differs from `keras.optimizers.SGD` in two ways that change results: the decay is part of the
    gradient, so it goes through the momentum; and the learning rate stays outside the momentum, so
    a new rate applies at once to the whole buffer.

        g = gradient + weight_decay * p
        m = momentum * m + g
        p = p - learning_rate * m        (nesterov: g + momentum * m in the place of m)

    Args:
        learning_rate: float > 0 or a `LearningRateSchedule`.
        momentum: float in [0, 1].
        nesterov: bool.
        weight_decay: float >= 0. Coefficient of the L2 penalty; or a schedule, see `VariableRules`.
        exclude_1d: bool. No decay for biases and the parameters of normalization.
        constant_lr_layers: sequence of layer names that learn at `constant_lr` (the predictor of
            SimSiam); see `VariableRules`.
        constant_lr: float > 0 or None.
        **kwargs: of `keras.optimizers.Optimizer` (`clipnorm`, `gradient_accumulation_steps`, ...).

    Example:

    >>> weight = keras.Variable([[1.0]])
    >>> SGD(0.1, weight_decay=0.5).apply([keras.ops.ones((1, 1))], [weight])
    >>> round(float(weight[0, 0]), 4)
    0.85

    Reference: Sutskever et al., On the importance of initialization and momentum, 2013; the form is
    that of `torch.optim.SGD`.
    """

    def __init__(
        self,
        learning_rate: LearningRateOrZero,
        *,
        momentum: Share = 0.9,
        nesterov: bool = False,
        **kwargs,
    ):
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, **kwargs)

    def update_step(self, gradient, variable, learning_rate):
        gradient = l2_decayed(gradient, variable, self.decay_of(variable))
        step = self.accumulate(gradient, variable)
        self.assign_sub(variable, self.rate_of(variable, learning_rate) * step)

    def accumulate(self, update, variable):
        """Add `update` to the momentum of `variable`; return the direction to step in."""
        if self.momentum == 0:
            return update
        slot = self.momentums[self._get_variable_index(variable)]
        buffer = self.momentum * ops.convert_to_tensor(slot) + update
        self.assign(slot, buffer)
        return update + self.momentum * buffer if self.nesterov else buffer
