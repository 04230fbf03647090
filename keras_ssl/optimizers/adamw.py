"""Adam with decoupled weight decay that leaves biases and normalisation alone."""

import keras
from keras import ops

from keras_ssl.core.serialization import register
from keras_ssl.optimizers.exclusions import VariableRules


@register
class AdamW(VariableRules, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` with exclusions that survive saving and loading.

        p = p - learning_rate * weight_decay * p, then the step of Adam

    Args:
        learning_rate: float > 0 or a `LearningRateSchedule`.
        weight_decay: float >= 0. Share of a weight that is taken off, per unit of learning rate;
            or a schedule, see `VariableRules`.
        exclude_1d: bool. No decay for biases and the parameters of normalisation.
        constant_lr_layers: sequence of layer names that learn at `constant_lr`; see
            `VariableRules`.
        constant_lr: float > 0 or None.
        **kwargs: of `keras.optimizers.AdamW` (`beta_1`, `beta_2`, `epsilon`, `clipnorm`, ...).

    Example:

    >>> optimizer = AdamW(1e-3, weight_decay=0.04)
    >>> AdamW.from_config(optimizer.get_config()).weight_decay
    0.04

    Reference: Loshchilov and Hutter, Decoupled weight decay regularization, 2019.
    """

    def update_step(self, gradient, variable, learning_rate):
        rate = self.rate_of(variable, learning_rate)
        if not self.is_excluded(variable):
            decay = self.decay_of(variable)
            self.assign_sub(variable, ops.convert_to_tensor(variable) * decay * rate)
        super().update_step(gradient, variable, rate)
