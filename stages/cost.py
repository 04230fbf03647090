"""What a run costs before it starts: multiply-adds, activations and the memory of a step."""

import math
from types import SimpleNamespace

import keras
import tensorflow as tf

import keras_ssl
from keras_ssl.analysis.cost import StepCost, model_cost, step_cost
from keras_ssl.config import Recipe
from keras_ssl.core.detection import detect, machine_memory
from keras_ssl.core.errors import UserError, translate_tf_errors
from pipelines.data.names import EMBEDDED
from stages.build import build_method
from stages.devices import resolve_auto
from stages.inputs import Inputs, Preprocessing

ASSUMED_SIDE, ASSUMED_IMAGES = 32, 50_000  # of data that have not been read
LARGEST = 3  # variables that a refusal names


def show(recipe: Recipe):
    """Print the cost of a run without its data; the weights are made, and nothing is trained."""
    side = recipe.data.image_size or ASSUMED_SIDE
    channels = 1 if recipe.family == EMBEDDED else 3
    preprocessing = Preprocessing(side, channels, (0.5,) * channels, (0.25,) * channels)
    images = SimpleNamespace(pretraining_images=range(ASSUMED_IMAGES))
    recipe = resolve_auto(recipe)
    keras.config.set_dtype_policy(recipe.training.precision)
    with translate_tf_errors():
        inputs = Inputs(images, preprocessing)
        method = build_method(recipe, inputs, recipe.training.accumulate * recipe.training.epochs)
        assumed = "" if recipe.data.image_size else " (assumed)"
        print(
            f"{recipe.name}, images of {side}x{side}x{channels}{assumed}, "
            f"{ASSUMED_IMAGES:,} of them (assumed), {recipe.training.precision}"
        )
        print(
            "\n".join(f"{name:<11}{text}" for name, text in lines(recipe, inputs, method).items())
        )


def lines(recipe: Recipe, inputs: Inputs, method: keras_ssl.Method) -> dict[str, str]:
    """The cost of the encoder and of a step: {name: line}."""
    side, channels = inputs.preprocessing.image_size, inputs.preprocessing.channels
    encoder = model_cost(method.encoder, (side, side, channels))
    step = cost_of_step(recipe, inputs, method)
    return {
        "encoder": f"{encoder.parameters / 1e6:.2f}M parameters, "
        f"{encoder.multiply_adds / 1e6:,.0f}M multiply-adds and "
        f"{encoder.activations / 1e6:.3f}M activations an image",
        "step": f"{step.multiply_adds / 1e9:,.0f}G multiply-adds for "
        f"{recipe.training.batch_size} images, forward and backward",
        "memory": describe_memory(step),
    }


def describe_memory(step: StepCost) -> str:
    """The estimate of a step's memory in a line."""
    parts = ("state", "gradients", "activations", "views")
    shares = ", ".join(f"{name} {getattr(step, name) / 2**30:.2f}" for name in parts)
    has = machine_memory()
    of = f" of {has / 2**30:.0f}" if has and not detect().gpus else ""
    return f"{step.memory / 2**30:.1f} GiB{of} a step at least: {shares}"


def cost_of_step(recipe: Recipe, inputs: Inputs, method: keras_ssl.Method) -> StepCost:
    """The cost of a step of the whole batch on one device."""
    size, augment = recipe.training.batch_size, recipe.augment
    side, channels = inputs.preprocessing.image_size, inputs.preprocessing.channels
    views = {"global": (size, augment.num_views, side, side, channels)}
    if augment.local_views:
        small = augment.local_pixels(side)
        views["local"] = (size, augment.local_views, small, small, channels)
    if method.needs_index:
        views["index"] = (size,)
    return step_cost(method, views)


def check_memory(method: keras_ssl.Method, has: float | None):
    """Refuse a method whose variables and gradients alone are more than the machine has.

    Args:
        has: float or None. Bytes of memory; None where they are not known.

    Raises:
        UserError: with the largest variables, and what makes them smaller.
    """
    trained = method.trainable_variables
    variables = {id(v): v for v in [*method.variables, *method.optimizer.variables, *trained]}
    needed = sum(map(_bytes, [*variables.values(), *trained]))
    if has is None or needed <= has:
        return
    largest = sorted(trained, key=_bytes, reverse=True)[:LARGEST]
    named = ", ".join(f"{v.path} {tuple(v.shape)}" for v in largest)
    raise UserError(
        f"Weights, gradients and the optimizer's state need {needed / 2**30:.1f} GiB, and there "
        f"are {has / 2**30:.1f}. The largest are {named}: take a smaller neck.num_simplices, "
        "method.hidden_dim or --backbone."
    )


def _bytes(variable):
    return math.prod(variable.shape) * tf.as_dtype(variable.dtype).size
