"""Build a method by name, and load an encoder back from disk."""

import os
import warnings
from typing import Any

import keras

from keras_ssl.backbones import create_backbone
from keras_ssl.core.errors import lookup
from keras_ssl.layers.necks import add_neck
from keras_ssl.methods import METHODS
from keras_ssl.methods.base import Method


def create(
    method: str,
    *,
    backbone: str | keras.Model = "resnet18",
    input_shape: tuple[int, int, int] = (32, 32, 3),
    neck: dict[str, Any] | None = None,
    **hyper_parameters: Any,
) -> Method:
    """Build a method around a new backbone.

    Args:
        method: str. A name of `keras_ssl.METHODS`, or `sem_` and such a name.
        backbone: str (a name of `keras_ssl.BACKBONES`) or a built functional `keras.Model`.
        input_shape: (height, width, channels) of the views; ignored for a given model.
        neck: dict or None. Arguments of `add_neck`, such as `{"kind": "vq"}`; None for no neck,
            for a `sem_` method for the paper's 5000 simplices of 13.
        **hyper_parameters: of the method's class.

    Returns:
        A `Method`, to be compiled with an optimizer and `jit_compile=False` on a CPU.

    Raises:
        UserError: for an unknown method, backbone or neck, sizes that do not fit, or a model that
            is not built or not pooled.

    Example:

    >>> method = create("sem_byol", backbone="tiny", input_shape=(8, 8, 1),
    ...                 neck={"num_simplices": 4, "simplex_size": 3}, hidden_dim=16)
    >>> method.encoder.output_shape
    (None, 12)
    """
    name = method.removeprefix("sem_")
    cls = lookup(
        {**METHODS, **{f"sem_{key}": value for key, value in METHODS.items()}}, method, "method"
    )
    encoder = backbone
    if isinstance(backbone, str):
        encoder = create_backbone(backbone, input_shape)
    else:
        _warn_of_preprocessing(backbone)
    if neck is not None or method != name:
        encoder = add_neck(encoder, **(neck or {}))
    return cls(encoder, **hyper_parameters)


def _warn_of_preprocessing(backbone):
    own = (keras.layers.Rescaling, keras.layers.Normalization)
    found = [layer.name for layer in getattr(backbone, "layers", ()) if isinstance(layer, own)]
    if found:
        warnings.warn(
            f"Backbone '{backbone.name}' prepares its images itself ({', '.join(found)}), and the "
            "views of `pipelines` are normalized already: build it without, with "
            "include_preprocessing=False, or feed it pixels as it expects them.",
            stacklevel=3,
        )


def load_encoder(path: str | os.PathLike) -> keras.Model:
    """Load `encoder.keras` as an ordinary functional Keras model: float images -> features.

    Example:

    >>> keras_ssl.create_backbone("tiny", (8, 8, 1)).save("encoder.keras")
    >>> load_encoder("encoder.keras").output_shape
    (None, 8)
    """
    return keras.saving.load_model(path, compile=False)
