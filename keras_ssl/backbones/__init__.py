"""Backbones: networks from images to feature vectors, by name."""

import inspect
from typing import Any

import keras

from keras_ssl.backbones.resnet import resnet14, resnet18, resnet50
from keras_ssl.backbones.small import resnet8, tiny
from keras_ssl.backbones.vit import vit_small, vit_tiny
from keras_ssl.core.errors import UserError, did_you_mean, lookup

__all__ = [
    "BACKBONES",
    "create_backbone",
    "resnet14",
    "resnet18",
    "resnet50",
    "resnet8",
    "tiny",
    "vit_small",
    "vit_tiny",
]

BACKBONES = {
    "resnet8": resnet8,
    "resnet14": resnet14,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "tiny": tiny,
    "vit_tiny": vit_tiny,
    "vit_small": vit_small,
}


def create_backbone(name: str, input_shape: tuple[int, int, int], **options: Any) -> keras.Model:
    """Build the backbone called `name` for images of `input_shape`.

    Args:
        name: a key of `BACKBONES`.
        input_shape: (height, width, channels), sides of at least 8 pixels.
        **options: options of that backbone, such as `width`.

    Returns:
        Functional `keras.Model`: float images (batch, height, width, channels) -> float32
        features (batch, F).

    Raises:
        UserError: for an unknown name or option, or a size that cannot be built.

    Example:

    >>> create_backbone("resnet18", (32, 32, 3), width=16).output_shape
    (None, 128)
    """
    build = lookup(BACKBONES, name, "backbone")
    taken = set(inspect.signature(build).parameters) - {"input_shape", "name"}
    for option in options:
        if option not in taken:
            raise UserError(
                f"Backbone '{name}' has no option '{option}'.{did_you_mean(option, taken)} "
                f"It takes: {', '.join(sorted(taken))}."
            )
    return build(input_shape, **options)
