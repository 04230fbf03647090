"""The network, the method and its optimizer, as a recipe says."""

import keras
import numpy as np

import keras_ssl
from keras_ssl.config import Recipe
from keras_ssl.config.schema import Optimizer, Training
from keras_ssl.core.errors import UserError
from stages.devices import devices_for, strategy_for
from stages.inputs import Inputs, Preprocessing


def build_encoder(recipe: Recipe, preprocessing: Preprocessing) -> keras.Model:
    """The backbone, with the neck that the recipe asks for, under the current dtype policy."""
    shape = (preprocessing.image_size, preprocessing.image_size, preprocessing.channels)
    encoder = keras_ssl.create_backbone(recipe.backbone.name, shape, **recipe.backbone.options)
    if recipe.neck.kind == "none":
        return encoder
    return keras_ssl.add_neck(encoder, kind=recipe.neck.kind, **recipe.neck.options)


def encoder_in(
    precision: str,
    recipe: Recipe,
    preprocessing: Preprocessing,
    weights: list[np.ndarray] | None = None,
) -> keras.Model:
    """The encoder in another precision than it may have been trained in.

    Without `weights` it is what training started from: the same seed, drawn in the same order.
    """
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(recipe.training.seed)
    encoder = build_encoder(recipe, preprocessing)
    if weights is not None:
        encoder.set_weights(weights)
    return encoder


def float32_encoder(
    recipe: Recipe, preprocessing: Preprocessing, weights: list[np.ndarray] | None = None
) -> keras.Model:
    """`encoder_in` float32: to evaluate, fine-tune and serve."""
    return encoder_in("float32", recipe, preprocessing, weights)


def build_method(recipe: Recipe, inputs: Inputs, steps: int) -> keras_ssl.Method:
    """The method with its optimizer, compiled, for a run of `steps` batches."""
    accumulate = recipe.training.accumulate
    updates = steps // accumulate
    if not updates:
        raise UserError(f"training.accumulate={accumulate} is more than all {steps} steps.")
    devices = devices_for(recipe)
    strategy = strategy_for(recipe, devices)
    check_replicas(recipe.training, strategy.num_replicas_in_sync)
    cls = keras_ssl.METHODS[recipe.base_name]
    facts = {
        "num_images": len(inputs.data.pretraining_images),
        "image_size": inputs.preprocessing.image_size,
        "batch_size": recipe.training.batch_size,
    }
    with strategy.scope():
        method = cls(
            build_encoder(recipe, inputs.preprocessing),
            **method_arguments(recipe, updates, steps // recipe.training.epochs),
            **{name: facts[name] for name in cls.run_facts},
        )
        method.check_views(recipe.augment.num_views, recipe.augment.local_views)
        method.check_batch(recipe.training.batch_size)
        method.compile(optimizer=build_optimizer(recipe, updates), jit_compile=devices.xla.value)
        method.optimizer.build(method.trainable_variables)  # refuses layers that are not there
    return method


def method_arguments(recipe: Recipe, updates: int, per_epoch: int) -> dict:
    """What a method is given: its own settings, and what all methods know of the run."""
    training, arguments = recipe.training, dict(recipe.method)
    if "momentum" in arguments:
        arguments["momentum"] = keras_ssl.CosineEMA(
            arguments["momentum"], final=recipe.schedule.final_momentum, total_steps=updates
        )
    return {**arguments, "steps_per_epoch": per_epoch, "seed": training.seed}


def check_replicas(training: Training, replicas: int):
    """Refuse what several replicas cannot do."""
    if replicas > 1 and training.accumulate > 1:
        raise UserError(
            "training.accumulate needs a single replica: Keras cannot accumulate gradients under "
            "tf.distribute. Take --strategy=none or training.accumulate=1."
        )
    if training.batch_size % replicas:
        raise UserError(
            f"--batch_size={training.batch_size} does not divide over {replicas} replicas: take a "
            f"multiple of {replicas}."
        )


def build_optimizer(recipe: Recipe, updates: int) -> keras.optimizers.Optimizer:
    """The optimizer with its schedule over `updates` updates."""
    schedule, training = recipe.schedule, recipe.training
    per_epoch = updates / training.epochs
    peak = recipe.scaled(recipe.optimizer.learning_rate)
    learning_rate = keras_ssl.WarmupCosine(
        peak,
        total_steps=updates,
        warmup_steps=min(round(schedule.warmup_epochs * per_epoch), updates - 1),
        warmup_start=recipe.scaled(schedule.warmup_start),
        warmup_inclusive=schedule.warmup_inclusive,
        final=recipe.scaled(schedule.final_learning_rate),
        hold_steps=max(1, round(per_epoch)) if schedule.hold == "epoch" else 1,
    )
    options = dict(recipe.optimizer.options)
    if recipe.optimizer.constant_lr or options.get("constant_lr_layers"):
        options["constant_lr"] = recipe.scaled(constant_rate(recipe.optimizer))
    if schedule.final_weight_decay is not None:
        options["weight_decay"] = keras_ssl.Cosine(
            options["weight_decay"], total_steps=updates, final=schedule.final_weight_decay
        )
    return keras_ssl.OPTIMIZERS[recipe.optimizer.name](
        learning_rate,
        clipnorm=recipe.optimizer.clipnorm,
        gradient_accumulation_steps=training.accumulate if training.accumulate > 1 else None,
        **options,
    )


def constant_rate(optimizer: Optimizer) -> float:
    """The learning rate of `constant_lr_layers`, per 256 images."""
    return optimizer.constant_lr or optimizer.learning_rate
