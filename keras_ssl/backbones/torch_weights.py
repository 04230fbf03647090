"""Encoders from elsewhere: ResNet-18 and ResNet-50 with the weights of a PyTorch state dict."""

import os
import re

import keras
import numpy as np

from keras_ssl.backbones import create_backbone
from keras_ssl.backbones.state_dict import read_state_dict
from keras_ssl.backbones.torch_resnet import find_resnet, some
from keras_ssl.core.errors import UserError

_NETWORKS = {((2, 2, 2, 2), 2): "resnet18", ((3, 4, 6, 3), 3): "resnet50"}
_STEMS = {(7, 7): "imagenet", (3, 3): "cifar"}
_SIZES = {"imagenet": 224, "cifar": 32}  # to build for; the networks take any
_NORM = ("weight", "bias", "running_mean", "running_var")  # the order of our layers
_LAYER = re.compile(r"stage(\d)_block(\d+)_(shortcut_)?(conv|bn)(\d?)")


def import_weights(
    path: str | os.PathLike | dict[str, np.ndarray],
    *,
    prefix: str | None = None,
    stem_padding: int | None = None,
) -> keras.Model:
    """An encoder with weights that torchvision, solo-learn, lightly or the like have trained.

    The depth, the width, the channels and the stem follow from the weights. Feed it the images that
    the network was trained on: most take `(x / 255 - mean) / std` with the mean and standard
    deviation of ImageNet, channels last here.

    Args:
        path: file of `read_state_dict`, or such a dictionary {name: array}.
        prefix: str or None. What the names of the wanted network begin with, such as "backbone.",
            where a file holds several; None takes the only one that is trained by gradients.
        stem_padding: int or None. Zeros around the images of a 3x3 stem, which no weight shows;
            None takes 2 for checkpoints of solo-learn, whose networks have that, else 1.

    Returns:
        Functional `keras.Model`: float images (batch, height, width, channels) -> features.

    Raises:
        UserError: for a file that cannot be read, or that holds another network.

    Example:

    >>> trained = create_backbone("resnet18", (32, 32, 3), width=4)
    >>> state = {
    ...     name: np.transpose(array, (3, 2, 0, 1)) if array.ndim == 4 else array
    ...     for layer in trained.layers if layer.weights
    ...     for name, array in zip(torch_names(layer.name), layer.get_weights())
    ... }
    >>> images = keras.random.normal((2, 32, 32, 3), seed=1)
    >>> bool(keras.ops.all(import_weights(state)(images) == trained(images)))
    True
    """
    state = path if isinstance(path, dict) else read_state_dict(path)
    return build_encoder(find_resnet(state, prefix), stem_padding)


def build_encoder(found, stem_padding=None):
    """The encoder of a `Found` network.

    Raises:
        UserError: if it is another network than `create_backbone` can build.
    """
    encoder = create_backbone(**architecture(found, stem_padding))
    layers = {layer.name: layer for layer in encoder.layers if layer.weights}
    wanted = {name: torch_names(name) for name in layers}
    _check_names(found.weights, [name for names in wanted.values() for name in names])
    for ours, theirs in wanted.items():
        arrays = [_as_keras(found.weights[name]) for name in theirs]
        for name, array, variable in zip(theirs, arrays, layers[ours].weights, strict=True):
            _check_array(name, array, variable, encoder.name)
        layers[ours].set_weights(arrays)
    return encoder


def architecture(found, stem_padding=None):
    """What `create_backbone` has to build for a `Found` network: its arguments.

    Raises:
        UserError: if it can build no such network.
    """
    name = _NETWORKS.get((found.blocks, found.convolutions))
    shape = found.weights["conv1.weight"].shape
    stem = _STEMS.get(shape[2:])
    if name is None or stem is None:
        raise UserError(
            f"Cannot import a ResNet with {found.blocks} blocks of {found.convolutions} "
            f"convolutions and a first weight of {' x '.join(map(str, shape))}: there are "
            "ResNet-18 and ResNet-50, with a first kernel (last two numbers) of 7 x 7 or 3 x 3."
        )
    if stem_padding is None:
        stem_padding = 2 if stem == "cifar" and found.solo_learn else 1
    (width, channels), size = shape[:2], _SIZES[stem]
    return dict(
        name=name,
        input_shape=(size, size, channels),
        width=width,
        stem=stem,
        stem_padding=stem_padding,
    )


def torch_names(layer):
    """torchvision's names of the weights of one of our layers, in the order of ours.

    Example:

    >>> torch_names("stage1_block2_conv1"), torch_names("stage2_block1_shortcut_conv")
    (['layer1.1.conv1.weight'], ['layer2.0.downsample.0.weight'])
    """
    if layer in ("stem_conv", "stem_bn"):
        kind, module = layer[5:], f"{layer[5:]}1"
    else:
        stage, block, shortcut, kind, index = _LAYER.fullmatch(layer).groups()
        inner = f"downsample.{int(kind == 'bn')}" if shortcut else f"{kind}{index}"
        module = f"layer{stage}.{int(block) - 1}.{inner}"
    return [f"{module}.{part}" for part in (_NORM if kind == "bn" else ("weight",))]


def _as_keras(array):
    """A kernel (out, in, height, width) as (height, width, in, out); vectors stay."""
    return np.transpose(array, (2, 3, 1, 0)) if array.ndim == 4 else array


def _check_names(weights, wanted):
    missing, unknown = set(wanted) - set(weights), set(weights) - set(wanted)
    for names, what in ((missing, "lacks"), (unknown, "has parts that a plain ResNet has not")):
        if names:
            raise UserError(f"The network {what}: {some(sorted(names))}.")


def _check_array(name, array, variable, network):
    expected = tuple(variable.shape)
    if array.shape != expected:
        raise UserError(
            f"'{name}' does not fit a {network}: turned to Keras's order its shape is "
            f"{array.shape}, not {expected}."
        )
    if not np.isfinite(array).all():
        raise UserError(f"'{name}' holds NaN or infinite values.")
