"""Rules per variable: which ones are decayed, and which ones keep a constant learning rate."""

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from keras_ssl.core.bounds import Checked, LearningRate, LearningRateOrZero, Weight
from keras_ssl.core.errors import UserError, did_you_mean
from keras_ssl.core.serialization import constructor_arguments
from keras_ssl.optimizers.replicas import AcrossReplicas


class VariableRules(AcrossReplicas, Checked):
    """Mixin for Keras optimizers: per-variable weight decay and learning rate.

    Put it before the Keras base class. `build` settles the rules once, by the position of each
    variable, because under `tf.distribute` `update_step` sees other objects than `build` did. They
    follow from the constructor's arguments, so a loaded optimizer has them again.

    Subclasses decay in `update_step`, by `decay_of` and `rate_of`; the decay of the Keras base
    class, which knows neither rule, is switched off.

    Args:
        learning_rate: float > 0, or a `LearningRateSchedule`, which is called with the number of
            updates made so far (Keras itself would count micro-batches under accumulation).
        weight_decay: float >= 0, or a schedule such as `keras_ssl.schedules.Cosine`: a registered
            Keras object that is called with the number of updates made so far.
        exclude_1d: bool. Leave out tensors with at most one axis (biases, gamma and beta of batch
            normalization) from the decay, and from whatever else the subclass says.
        constant_lr_layers: sequence of layer names. Variables with one of them in their path
            ("predictor" in "predictor/dense/kernel") learn at `constant_lr` at every step. Keras
            puts the name of a `Sequential` or of a layer into the path, not that of a functional
            model.
        constant_lr: float > 0, or None if `constant_lr_layers` is empty.
        **kwargs: passed on to the Keras optimizer.

    Raises:
        UserError: for a number out of its bounds; if only one of the last two is given; when
            built, if a name is in no variable's path.
    """

    def __init__(
        self,
        learning_rate: LearningRateOrZero,
        *,
        weight_decay: Weight = 0.0,
        exclude_1d: bool = True,
        constant_lr_layers: tuple[str, ...] = (),
        constant_lr: LearningRate | None = None,
        **kwargs,
    ):
        _check_rules(constant_lr_layers, constant_lr)
        super().__init__(learning_rate=learning_rate, weight_decay=weight_decay, **kwargs)
        self.exclude_1d = exclude_1d
        self.constant_lr_layers = tuple(constant_lr_layers)
        self.constant_lr = constant_lr

    def build(self, variables):
        if self.built:
            return
        paths = [_path(variable) for variable in variables]
        _check_layers_exist(self.constant_lr_layers, paths)
        names = set(self.constant_lr_layers)
        self._excluded = tuple(self.exclude_1d and len(v.shape) < 2 for v in variables)
        self._constant = tuple(not names.isdisjoint(path.split("/")) for path in paths)
        self.exclude_from_weight_decay(var_list=variables)  # decay is ours, in `update_step`
        super().build(variables)

    def is_excluded(self, variable):
        """Whether `exclude_1d` applies to `variable`."""
        return self._excluded[self._get_variable_index(variable)]

    def decay_of(self, variable):
        """The weight decay of `variable` at this update, in its dtype; 0 for an excluded one."""
        if self.is_excluded(variable):
            return 0.0
        decay = self.weight_decay
        return _in_dtype(decay(self.iterations) if callable(decay) else decay, variable)

    def rate_of(self, variable, learning_rate):
        """The learning rate of `variable`, in its dtype, where others have `learning_rate`."""
        constant = self._constant[self._get_variable_index(variable)]
        return _in_dtype(self.constant_lr if constant else learning_rate, variable)

    def get_config(self):
        # Keras knows the learning rate, which may be a schedule or a variable.
        own = [name for name in constructor_arguments(type(self)) if name != "learning_rate"]
        config = {**super().get_config(), **{name: getattr(self, name) for name in own}}
        if callable(self.weight_decay):
            config["weight_decay"] = keras.saving.serialize_keras_object(self.weight_decay)
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        decay = config.get("weight_decay")
        if isinstance(decay, dict):
            schedule = keras.saving.deserialize_keras_object(decay, custom_objects=custom_objects)
            config = {**config, "weight_decay": schedule}
        return super().from_config(config, custom_objects=custom_objects)

    def _get_current_learning_rate(self):
        if isinstance(self._learning_rate, LearningRateSchedule):
            # Keras would pass the number of micro-batches under gradient accumulation.
            return self._learning_rate(self.iterations)
        return super()._get_current_learning_rate()


def l2_decayed(gradient, variable, weight_decay):
    """The gradient with the L2 penalty's, `gradient + weight_decay * variable`: coupled decay."""
    gradient = ops.cast(gradient, variable.dtype)
    return gradient + weight_decay * variable


def _in_dtype(value, variable):
    if isinstance(value, (int, float)):  # of which `ops.cast` makes float32 first
        return ops.convert_to_tensor(value, variable.dtype)
    return ops.cast(value, variable.dtype)


def _path(variable):
    return getattr(variable, "path", variable.name)  # a plain tf.Variable has only a name


def _check_rules(layers, constant_lr):
    if bool(layers) != (constant_lr is not None):
        raise UserError(
            "constant_lr_layers and constant_lr go together. Received: "
            f"constant_lr_layers={tuple(layers)}, constant_lr={constant_lr}. Give both or neither."
        )


def _check_layers_exist(layers, paths):
    known = sorted({part for path in paths for part in path.split("/")[:-1]})
    for name in layers:
        if name not in known:
            raise UserError(
                f"constant_lr_layers names '{name}', which is in no variable's path."
                f"{did_you_mean(name, known)} Known: {', '.join(known)}."
            )
