"""Make classes loadable by Keras, with a config derived from `__init__`."""

import inspect

import keras

from keras_ssl.core.bounds import Checked

PACKAGE = "keras_ssl"

register = keras.saving.register_keras_serializable(package=PACKAGE)


_LIBRARIES = ("keras", "tensorflow", "builtins")  # their classes write their own config


def constructor_arguments(cls: type) -> list[str]:
    """Names of the arguments that `cls`, and bases that are no library's, take in `__init__`."""
    names = []
    for base in cls.__mro__:
        if base.__module__.split(".")[0] in _LIBRARIES or "__init__" not in vars(base):
            continue
        for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items():
            variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            if name != "self" and not variadic and name not in names:
                names.append(name)
    return names


class Configured(Checked):
    """Mixin: `get_config` from the signature, for classes that store every argument under its name.

    Put it before the Keras base class. `from_config` revives nested Keras objects, so that a
    constructor may take layers, models and schedules. Arguments are `Checked` by their annotations.
    """

    def get_config(self) -> dict:
        config = self._base_config()
        for name in constructor_arguments(type(self)):
            config[name] = keras.saving.serialize_keras_object(getattr(self, name))
        return config

    def _base_config(self):
        if isinstance(self, keras.Model):
            # Keras refuses the config of a subclassed model that takes models as arguments.
            dtype = keras.saving.serialize_keras_object(self.dtype_policy)
            return {"name": self.name, "trainable": self.trainable, "dtype": dtype}
        parent = super().get_config if hasattr(super(), "get_config") else dict
        return parent()

    @classmethod
    def from_config(cls, config: dict):
        return cls(**{name: _revive(value) for name, value in config.items()})


def _revive(value):
    if isinstance(value, dict) and "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_revive(item) for item in value)
    return value
