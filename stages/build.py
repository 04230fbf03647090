"""The network, the method and its optimizer, as a recipe says."""

import keras
import numpy as np

import keras_ssl
from keras_ssl.config import Recipe
from keras_ssl.config.schema import Backbone, Optimizer, Training
from keras_ssl.core.errors import UserError
from stages.devices import devices_for, strategy_for
from stages.inputs import Inputs, Preprocessing


def build_encoder(
    recipe: Recipe, preprocessing: Preprocessing, backbone: Backbone | None = None
) -> keras.Model:
    """The backbone, with the neck that the recipe asks for, under the current dtype policy.

    The recipe's own backbone, unless another one is given.
    """
    shape = (preprocessing.image_size, preprocessing.image_size, preprocessing.channels)
    backbone = backbone or recipe.backbone
    encoder = keras_ssl.create_backbone(backbone.name, shape, **backbone.options)
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
    if recipe.backbone.other and "second_encoder" not in cls.run_facts:
        raise UserError(
            f"backbone.second={recipe.backbone.second}: {recipe.base_name} has no second branch. "
            "Leave it out, or take vicreg, simclr or barlow_twins."
        )
    facts = {
        "num_images": len(inputs.data.pretraining_images),
        "image_size": inputs.preprocessing.image_size,
        "batch_size": recipe.training.batch_size,
    }
    with strategy.scope():
        encoder = build_encoder(recipe, inputs.preprocessing)
        other = recipe.backbone.other
        facts["second_encoder"] = other and build_encoder(recipe, inputs.preprocessing, other)
        method = cls(
            encoder,
            **method_arguments(recipe, updates, steps // recipe.training.epochs),
            **{name: facts[name] for name in cls.run_facts},
        )
        method.check_views(recipe.augment.num_views, recipe.augment.local_views)
        method.check_batch(recipe.training.batch_size)
        optimizer = build_optimizer(recipe, updates, method)
        method.compile(optimizer=optimizer, jit_compile=devices.xla.value)
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
    if training.batch_size % replicas:
        raise UserError(
            f"--batch_size={training.batch_size} does not divide over {replicas} replicas: take a "
            f"multiple of {replicas}."
        )


def build_optimizer(
    recipe: Recipe, updates: int, method: keras_ssl.Method | None = None
) -> keras.optimizers.Optimizer:
    """The optimizer with its schedule over `updates` updates.

    With a `method`, layers of the recipe's `constant_lr_layers` that it does not train are left
    out: a method may be set to have no predictor, or one that stays as it is.
    """
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
    missing = method is not None and missing_layers(recipe, method)
    if missing:
        names = options["constant_lr_layers"]
        options["constant_lr_layers"] = tuple(name for name in names if name not in missing)
    given = recipe.optimizer.constant_lr and not missing
    if given or options.get("constant_lr_layers"):
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


def missing_layers(recipe: Recipe, method: keras_ssl.Method) -> list[str]:
    """Layers that the recipe, and not the user, gives a rate of their own, and no one trains."""
    keys = ("optimizer.constant_lr_layers", "optimizer.constant_lr")
    asked = any(key in recipe.settings and recipe.settings[key][1].explicit for key in keys)
    names = recipe.optimizer.options.get("constant_lr_layers", ())
    if not names or asked:
        return []
    trained = {part for v in method.trainable_variables for part in v.path.split("/")[:-1]}
    return [name for name in names if name not in trained]


def constant_rate(optimizer: Optimizer) -> float:
    """The learning rate of `constant_lr_layers`, per 256 images."""
    return optimizer.constant_lr or optimizer.learning_rate
