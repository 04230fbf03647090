"""Networks of an encoder and a classifier, trained repeatedly from the same initial weights."""

import math
import re

import keras
import numpy as np
from keras import ops

from keras_ssl.core.errors import lookup
from keras_ssl.evaluation.probes.sgd_training import SCHEDULES
from keras_ssl.evaluation.representation import FeatureExtractor
from keras_ssl.ops.precision import full_float32

_GROUP = re.compile(r".*?block\d+|[^_]+")  # "stage1_block2_conv1" -> "stage1_block2"


def batch_norm_momentum(num_images: int, batch_size: int) -> float:
    """max(1 - 10 / s, 0.9) for s steps per epoch: statistics of about a tenth of an epoch.

    Example:

    >>> batch_norm_momentum(10_000, 20), batch_norm_momentum(1_000, 50)
    (0.98, 0.9)

    Reference: Lavoie et al., Simplicial Embeddings, appendix B.5; Kornblith et al.,
    arXiv:1805.08974 (its fine-tuning protocol).
    """
    return max(1 - 10 * batch_size / num_images, 0.9)


class LayerwiseSGD(keras.optimizers.SGD):
    """SGD with momentum 0.9, a weight decay that may change and rates per layer.

    The decay is part of the gradient and excludes biases and normalization; the learning rate is
    inside the momentum, as in Keras.

    Args:
        multipliers: list of floats. Factor of the learning rate of each variable.
        nesterov: bool. Whether the momentum is Nesterov's.
    """

    def __init__(self, multipliers, nesterov=True):
        super().__init__(learning_rate=0.0, momentum=0.9, nesterov=nesterov)
        self.multipliers = multipliers
        self.decay = keras.Variable(0.0, trainable=False, name="decay")

    def update_step(self, gradient, variable, learning_rate):
        """One variable's update, with the decay in its gradient and at its own learning rate."""
        if len(variable.shape) > 1:
            gradient = gradient + ops.cast(self.decay, variable.dtype) * variable
        factor = self.multipliers[self._get_variable_index(variable)]
        super().update_step(gradient, variable, factor * learning_rate)

    def restart(self, weight_decay):
        """Reset all state: momentum, step count and weight decay."""
        for variable in self.variables:
            variable.assign(ops.zeros_like(variable))
        self.decay.assign(weight_decay)


class _Rates(keras.callbacks.Callback):
    """Sets the learning rate of every step of a `fit` of one epoch; ends a divergence."""

    def __init__(self, peak, steps, schedule):
        super().__init__()
        self.peak, self.steps = peak, steps
        self.factor_at = lookup(SCHEDULES, schedule, "schedule")

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = self.peak * self.factor_at(batch / self.steps)

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = not math.isfinite(logs["loss"])


class Trainer:
    """A model that is trained repeatedly from the same initial weights, compiled once.

    Args:
        model: functional `keras.Model`, float images -> logits.
        batches: endless `tf.data.Dataset` of (float images, class numbers), the same at every pass.
        batch_size: int. Images in each of them.
        preprocess: callable `uint8 batch -> float batch`, for images that are scored.
        layer_decay, encoder_rate: floats in (0, 1]. See `rate_multipliers`.
        nesterov: bool. Whether the momentum is Nesterov's.
        per_256: bool. Whether learning rates are those of 256 images.
        jit_compile: whether XLA compiles the step.
    """

    def __init__(
        self,
        model,
        batches,
        *,
        batch_size,
        preprocess,
        layer_decay,
        encoder_rate=1.0,
        nesterov=True,
        per_256=True,
        jit_compile=False,
    ):
        self.model = model
        self.batches = batches
        self.batch_size = batch_size
        self.rate_factor = batch_size / 256 if per_256 else 1.0
        self.start = model.get_weights()
        self.logits = FeatureExtractor(model, preprocess)
        multipliers = rate_multipliers(model, layer_decay, encoder_rate)
        self.optimizer = LayerwiseSGD(multipliers, nesterov)
        model.compile(
            self.optimizer,
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=jit_compile,
        )

    def train(self, learning_rate, weight_decay, *, steps, schedule):
        """Train from the initial weights; a loss that is not finite ends it early.

        Args:
            learning_rate: float > 0. Peak, of the batch or per 256 images of it.
            weight_decay: float >= 0.
            steps: int > 0.
            schedule: a name of `SCHEDULES`.
        """
        self.model.set_weights(self.start)
        self.optimizer.restart(weight_decay)
        rates = _Rates(learning_rate * self.rate_factor, steps, schedule)
        self.model.fit(
            self.batches, steps_per_epoch=steps, callbacks=[rates], shuffle=False, verbose=0
        )

    def ranks(self, images, labels):
        """How many classes come before the right one of uint8 images: int (N,), 0 for the best.

        All others after a divergence, so that no image is classified correctly.
        """
        # Its logits may be finite all the same: a ReLU may turn NaN to 0.
        if not all(np.isfinite(weights).all() for weights in self.model.get_weights()):
            return np.full(len(labels), self.model.output_shape[-1])
        with full_float32():
            logits = self.logits(images)
        own = np.take_along_axis(logits, labels[:, None], axis=1)
        earlier = (logits == own) & (np.arange(logits.shape[1]) < labels[:, None])
        return np.sum(~(logits <= own) | earlier, axis=1)  # NaN comes before anything


def add_classifier(
    encoder: keras.Model,
    num_classes: int,
    *,
    batch_norm_momentum: float | None = None,
    seed: int = 0,
) -> keras.Model:
    """A copy of `encoder` with a linear classifier; training it leaves `encoder` unchanged.

    Args:
        encoder: functional `keras.Model`, float images -> features (batch, F).
        num_classes: int > 1.
        batch_norm_momentum: float in [0, 1] or None. Momentum of the running statistics in all
            batch normalization; None leaves each layer its own.
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


def layer_groups(model: keras.Model) -> dict[str, list[keras.layers.Layer]]:
    """Groups of layers that share a learning rate, from the images to the output.

    Layers whose names are equal up to a numbered block or the first underscore are one group:
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


def rate_multipliers(
    model: keras.Model, layer_decay: float, encoder_rate: float = 1.0
) -> list[float]:
    """The factor of the learning rate of each trainable variable of `model`.

    The last group of `layer_groups` gets 1, each one before it `layer_decay` times as much.

    Args:
        layer_decay: float in (0, 1]. 1 for the same rate everywhere.
        encoder_rate: float in (0, 1]. Another factor of all groups but the last, the classifier.

    Returns:
        list of floats, in the order of `model.trainable_variables`.

    Reference: Clark et al., ELECTRA, 2020, appendix B ("layerwise LR decay").
    """
    factors = {}
    for depth, layers in enumerate(reversed(layer_groups(model).values())):
        for variable in (v for layer in layers for v in layer.trainable_variables):
            factors[id(variable)] = layer_decay**depth * (encoder_rate if depth else 1.0)
    return [factors[id(variable)] for variable in model.trainable_variables]


def _layers(model):
    """All layers of `model`, with nested models replaced by their layers."""
    for layer in model.layers:
        yield from _layers(layer) if isinstance(layer, keras.Model) else (layer,)
