"""Train one classifier again and again from the same start, at other rates each time."""

import math
import re

import keras
import numpy as np
from keras import ops

from keras_ssl.core.errors import lookup
from keras_ssl.evaluation.features import FeatureExtractor
from keras_ssl.ops.precision import full_float32

# The share of the peak that is left of a learning rate at a share of the training.
SCHEDULES = {
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "steps": lambda done: 0.1 ** ((done >= 0.6) + (done >= 0.8)),
}


def batch_norm_momentum(num_images, batch_size):
    """max(1 - 10 / s, 0.9) for s steps per epoch: statistics of about a tenth of an epoch.

    Example:

    >>> batch_norm_momentum(10_000, 20), batch_norm_momentum(1_000, 50)
    (0.98, 0.9)

    Reference: Lavoie et al., Simplicial Embeddings, appendix B.5; Kornblith et al.,
    arXiv:1805.08974 (its fine-tuning protocol).
    """
    return max(1 - 10 * batch_size / num_images, 0.9)


class LayerwiseSGD(keras.optimizers.SGD):
    """SGD with Nesterov momentum 0.9, whose weight decay may change and whose layers may differ.

    The decay is part of the gradient and spares biases and normalisation; the learning rate is
    inside of the momentum, as Keras has it.

    Args:
        multipliers: list of floats, of the learning rate of each variable.
    """

    def __init__(self, multipliers):
        super().__init__(learning_rate=0.0, momentum=0.9, nesterov=True)
        self.multipliers = multipliers
        self.decay = keras.Variable(0.0, trainable=False, name="decay")

    def update_step(self, gradient, variable, learning_rate):
        if len(variable.shape) > 1:
            gradient = gradient + ops.cast(self.decay, variable.dtype) * variable
        share = self.multipliers[self._get_variable_index(variable)]
        super().update_step(gradient, variable, share * learning_rate)

    def restart(self, weight_decay):
        """Forget every step made so far."""
        for variable in self.variables:
            variable.assign(ops.zeros_like(variable))
        self.decay.assign(weight_decay)


class _Rates(keras.callbacks.Callback):
    """Sets the learning rate of every step of a `fit` of one epoch; ends it if the loss does."""

    def __init__(self, peak, steps, schedule):
        super().__init__()
        self.peak, self.steps = peak, steps
        self.share_at = lookup(SCHEDULES, schedule, "schedule")

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = self.peak * self.share_at(batch / self.steps)

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = not math.isfinite(logs["loss"])


class Trainer:
    """A model that is trained from the same start again and again, compiled once.

    Args:
        model: functional `keras.Model`, float images -> logits.
        batches: endless `tf.data.Dataset` of (float images, class numbers), the same at every pass.
        batch_size: int. Images in each of them.
        preprocess: callable `uint8 batch -> float batch`, for images that are scored.
        layer_decay: float in (0, 1]. See `rate_multipliers`.
        jit_compile: whether XLA compiles the step.
    """

    def __init__(self, model, batches, *, batch_size, preprocess, layer_decay, jit_compile=False):
        self.model = model
        self.batches = batches
        self.batch_size = batch_size
        self.start = model.get_weights()
        self.logits = FeatureExtractor(model, preprocess)
        self.optimizer = LayerwiseSGD(rate_multipliers(model, layer_decay))
        model.compile(
            self.optimizer,
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=jit_compile,
        )

    def train(self, learning_rate, weight_decay, *, steps, schedule):
        """Start anew and train; a loss that is not finite ends it early.

        Args:
            learning_rate: float > 0. Peak, per 256 images of a batch.
            weight_decay: float >= 0.
            steps: int > 0.
            schedule: a name of `SCHEDULES`.
        """
        self.model.set_weights(self.start)
        self.optimizer.restart(weight_decay)
        rates = _Rates(learning_rate * self.batch_size / 256, steps, schedule)
        self.model.fit(
            self.batches, steps_per_epoch=steps, callbacks=[rates], shuffle=False, verbose=0
        )

    def accuracy(self, images, labels):
        """Top-1 accuracy in percent on uint8 images; 0 of a network that has diverged."""
        # Its logits may be finite all the same: a ReLU may turn NaN to 0.
        if not all(np.isfinite(weights).all() for weights in self.model.get_weights()):
            return 0.0
        with full_float32():
            return 100.0 * float(np.mean(self.logits(images).argmax(axis=1) == labels))


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
