"""An encoder with a linear classifier on top, and how fast each of its layers may learn."""

import re

import keras

_GROUP = re.compile(r".*?block\d+|[^_]+")  # "stage1_block2_conv1" -> "stage1_block2"


def add_classifier(encoder, num_classes, *, batch_norm_momentum=None, seed=0):
    """A copy of `encoder` with a linear classifier; training it leaves `encoder` as it is.

    Args:
        encoder: functional `keras.Model`, float images -> features (batch, F).
        num_classes: int > 1.
        batch_norm_momentum: float in [0, 1] or None. Share of the running statistics that a step
            keeps, in all batch normalisation; None leaves each layer its own.
        seed: int. Of the classifier's weights.

    Returns:
        Functional `keras.Model`, float images -> float32 logits (batch, num_classes).

    Example:

    >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    >>> add_classifier(encoder, 10).output_shape
    (None, 10)
    """
    copy = keras.models.clone_model(encoder)
    copy.set_weights(encoder.get_weights())
    for layer in _layers(copy):
        if isinstance(layer, keras.layers.BatchNormalization) and batch_norm_momentum is not None:
            layer.momentum = batch_norm_momentum
    head = keras.layers.Dense(
        num_classes,
        kernel_initializer=keras.initializers.GlorotUniform(seed),
        dtype="float32",
        name="logits",
    )
    images = keras.Input(encoder.input_shape[1:], name="images")
    return keras.Model(images, head(copy(images)), name=f"classifier_{encoder.name}")


def layer_groups(model):
    """Names of the groups of layers that learn alike, from the images to the output.

    Layers whose names begin alike, up to a numbered block or the first underscore, are one group:
    "stem", "stage1_block1", ..., "logits".

    Returns:
        {name of the group: [layers with weights]}, in the order of the layers.

    Example:

    >>> names = ["stem_conv", "stem_bn", "block1_conv1", "block1_shortcut_conv"]
    >>> layers = [keras.layers.Dense(2, name=name) for name in names]
    >>> list(layer_groups(keras.Sequential([keras.Input((2,)), *layers])))
    ['stem', 'block1']
    """
    groups = {}
    for layer in _layers(model):
        if layer.variables:
            groups.setdefault(_GROUP.match(layer.name)[0], []).append(layer)
    return groups


def rate_multipliers(model, layer_decay):
    """The share of the learning rate that each trainable variable of `model` gets.

    The last group of `layer_groups` gets 1, each one before it `layer_decay` times as much.

    Args:
        layer_decay: float in (0, 1]. 1 for the same rate everywhere.

    Returns:
        list of floats, in the order of `model.trainable_variables`.

    Reference: Clark et al., ELECTRA, 2020, appendix B ("layerwise LR decay").
    """
    shares = {}
    for depth, layers in enumerate(reversed(layer_groups(model).values())):
        for variable in (v for layer in layers for v in layer.trainable_variables):
            shares[id(variable)] = layer_decay**depth
    return [shares[id(variable)] for variable in model.trainable_variables]


def _layers(model):
    """All layers of `model`, those of nested models in their places."""
    for layer in model.layers:
        yield from _layers(layer) if isinstance(layer, keras.Model) else (layer,)
