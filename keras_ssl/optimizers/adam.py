"""Adam, with L2 in the gradient or decoupled decay, that leaves biases and normalization alone."""

from typing import Annotated

import keras
from keras import ops

from keras_ssl.core.bounds import Above, LearningRateOrZero
from keras_ssl.core.serialization import register
from keras_ssl.optimizers.exclusions import VariableRules, l2_decayed


class TorchAdam(VariableRules):
    """Mixin of `Adam` and `AdamW`: torch's epsilon and the rules per variable.

    Keras adds its epsilon to the root of the average that is not corrected: in the first steps, and
    for small gradients, its updates are smaller than those of the published codes.

    Subclasses say in `decayed` what the weight decay does.
    """

    def __init__(
        self,
        learning_rate: LearningRateOrZero,
        *,
        epsilon: Annotated[float, Above(0, 1)] = 1e-8,
        **kwargs,
    ):
        super().__init__(learning_rate, epsilon=epsilon, **kwargs)

    def decayed(self, gradient, variable, rate):
        """The gradient that is averaged, and the weight that is moved by it."""
        raise NotImplementedError

    def update_step(self, gradient, variable, learning_rate):
        rate = self.rate_of(variable, learning_rate)
        gradient, weight = self.decayed(ops.cast(gradient, variable.dtype), variable, rate)
        index, step = self._get_variable_index(variable), ops.cast(self.iterations + 1, "float64")
        mean = self._averaged(self._momentums[index], gradient, self.beta_1)
        square = self._averaged(self._velocities[index], ops.square(gradient), self.beta_2)
        if self.amsgrad:
            largest = self._velocity_hats[index]
            square = ops.maximum(largest, square)
            self.assign(largest, square)
        mean = mean / _start(self.beta_1, step, variable.dtype)
        root = ops.sqrt(square / _start(self.beta_2, step, variable.dtype))
        self.assign(variable, weight - rate * mean / (root + self.epsilon))

    def _averaged(self, slot, value, share):
        """Move the average in `slot` towards `value`; -> the average."""
        average = ops.convert_to_tensor(slot)
        average = average + (value - average) * (1 - share)
        self.assign(slot, average)
        return average


@register
class Adam(TorchAdam, keras.optimizers.Adam):
    """Adam whose weight decay is an L2 penalty: coupled, so that the averages see it.

        g = gradient + weight_decay * p
        m, v = the moving averages of g and g^2, corrected for their zero start
        p = p - learning_rate * m / (sqrt(v) + epsilon)

    Use it where a paper prints "Adam" with a weight decay. The penalty is divided by the root of
    `v` like the rest of the gradient, so that weights with large gradients decay less than by
    `AdamW`, and a weight without any decays by about the learning rate, as long as
    `weight_decay * |p|` is well above `epsilon`.

    Args:
        learning_rate: float > 0 or a `LearningRateSchedule`.
        weight_decay: float >= 0. Coefficient of the L2 penalty; or a schedule, see `VariableRules`.
        exclude_1d: bool. No decay for biases and the parameters of normalization; torch decays
            them too.
        constant_lr_layers: sequence of layer names that learn at `constant_lr`; see
            `VariableRules`.
        constant_lr: float > 0 or None.
        epsilon: float > 0. Added to the root of the corrected average of the squared gradient.
        **kwargs: of `keras.optimizers.Adam` (`beta_1`, `beta_2`, `amsgrad`, `clipnorm`, ...).

    Example:

    >>> weight = keras.Variable([[1.0]])
    >>> Adam(0.1, weight_decay=1e-4).apply([keras.ops.zeros((1, 1))], [weight])
    >>> round(float(weight[0, 0]), 3)  # the penalty's gradient is all there is
    0.9

    Reference: Kingma and Ba, Adam, 2015, algorithm 1, with the L2 penalty and the constants of
    `torch.optim.Adam`; Loshchilov and Hutter, 2019, algorithm 2 (in violet) for the difference.
    """

    def decayed(self, gradient, variable, rate):
        return l2_decayed(gradient, variable, self.decay_of(variable)), variable


@register
class AdamW(TorchAdam, keras.optimizers.AdamW):
    """AdamW with exclusions that survive saving and loading, and torch's epsilon.

        p = p - learning_rate * weight_decay * p
        m, v = the moving averages of gradient and gradient^2, corrected for their zero start
        p = p - learning_rate * m / (sqrt(v) + epsilon)

    Args:
        learning_rate: float > 0 or a `LearningRateSchedule`.
        weight_decay: float >= 0. Share of a weight that is taken off, per unit of learning rate;
            or a schedule, see `VariableRules`.
        exclude_1d: bool. No decay for biases and the parameters of normalization.
        constant_lr_layers: sequence of layer names that learn at `constant_lr`; see
            `VariableRules`.
        constant_lr: float > 0 or None.
        epsilon: float > 0. Added to the root of the corrected average of the squared gradient.
        **kwargs: of `keras.optimizers.AdamW` (`beta_1`, `beta_2`, `clipnorm`, ...).

    Example:

    >>> optimizer = AdamW(1e-3, weight_decay=0.04)
    >>> AdamW.from_config(optimizer.get_config()).weight_decay
    0.04

    Reference: Loshchilov and Hutter, Decoupled weight decay regularization, 2019, algorithm 2, with
    the constants of `torch.optim.AdamW`.
    """

    def decayed(self, gradient, variable, rate):
        weight = ops.convert_to_tensor(variable)
        if self.is_excluded(variable):
            return gradient, weight
        return gradient, weight - weight * self.decay_of(variable) * rate


def _start(share, step, dtype):
    """What an average that began at 0 has seen of its values after so many steps."""
    # In float64: float32 has no 1 - 0.999^step to more than four digits.
    share = ops.convert_to_tensor(share, "float64")
    return ops.cast(1.0 - ops.power(share, step), dtype)
