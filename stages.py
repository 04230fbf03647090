"""The stages of a run: build what the recipe says, fit it, evaluate it, export it.

`run.py` reads the command line and calls these; importing this module imports TensorFlow.
"""

import contextlib
import errno
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_ssl
from export import export_encoder
from keras_ssl.backbones import resolve_stem
from keras_ssl.core import checkpoints
from keras_ssl.core.checks import UserError
from keras_ssl.core.hardware import compile_with_xla, pick_precision, pick_strategy
from keras_ssl.evaluation.callbacks import EventFiles, MetricsLog, OnlineKNN, Throughput
from keras_ssl.evaluation.features import extract
from keras_ssl.evaluation.rows import format_table, write_results
from keras_ssl.evaluation.table import evaluate_features
from keras_ssl.layers.necks import simplices_of
from pipelines.datasets import ImageData, load
from pipelines.policies import policy_for
from pipelines.preprocess import channel_statistics, make_preprocess
from pipelines.views import steps_per_epoch, train_views


@dataclass(frozen=True)
class Inputs:
    """The data of a run and how its images become numbers."""

    data: ImageData
    image_size: int
    mean: tuple
    std: tuple

    @property
    def preprocess(self):
        """Function of the evaluation pipeline: uint8 images of any size -> float images."""
        return make_preprocess(self.image_size, self.data.channels, self.mean, self.std)


@contextlib.contextmanager
def plain_errors():
    """Say in a line what TensorFlow's own exceptions mean where a user can do something."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        if "space" in error.message.lower() or "file" in error.message.lower():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise UserError("Out of memory. Take a smaller --batch_size or backbone.width.") from error


def load_inputs(recipe):
    """Load the data set and its channel statistics."""
    wanted = recipe.data.image_size or None
    data = load(recipe.data.dataset, data_dir=recipe.data.data_dir, image_size=wanted)
    mean, std = channel_statistics(data.train_images)
    return Inputs(data, wanted or data.image_size, mean, std)


def build_encoder(recipe, inputs):
    """The backbone, with the neck that the recipe asks for, under the current dtype policy."""
    shape = (inputs.image_size, inputs.image_size, inputs.data.channels)
    encoder = keras_ssl.create_backbone(recipe.backbone.name, shape, **recipe.backbone.options)
    if recipe.neck.kind == "none":
        return encoder
    neck = asdict(recipe.neck)
    del neck["kind"]
    return keras_ssl.sem_neck(encoder, **neck)


def build_method(recipe, inputs, steps):
    """The method with its optimizer, compiled, for a run of `steps` batches."""
    updates = max(1, steps // recipe.training.accumulate)
    arguments = dict(recipe.method)
    if "momentum" in arguments:
        arguments["momentum"] = keras_ssl.CosineEMA(
            arguments["momentum"], final=recipe.schedule.final_momentum, total_steps=updates
        )
    strategy = pick_strategy(recipe.training.strategy)
    if strategy.num_replicas_in_sync > 1 and recipe.training.accumulate > 1:
        raise UserError(
            "training.accumulate needs a single replica: Keras cannot accumulate gradients under "
            "tf.distribute. Take --strategy=none or training.accumulate=1."
        )
    with strategy.scope():
        encoder = build_encoder(recipe, inputs)
        method = keras_ssl.METHODS[recipe.base_name](encoder, **arguments)
        method.compile(
            optimizer=build_optimizer(recipe, updates), jit_compile=compile_with_xla(strategy)
        )
    return method


def build_optimizer(recipe, updates):
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
    if options.get("constant_lr_layers"):
        options.setdefault("constant_lr", peak)
    return keras_ssl.OPTIMIZERS[recipe.optimizer.name](
        learning_rate,
        clipnorm=recipe.optimizer.clipnorm,
        gradient_accumulation_steps=training.accumulate if training.accumulate > 1 else None,
        **options,
    )


def fit(recipe, workdir, resume):
    """Train as the recipe says, or go on; -> (method, inputs), or None if a signal ended it."""
    training = recipe.training
    inputs = load_inputs(recipe)
    keras.utils.set_random_seed(training.seed)
    keras.config.set_dtype_policy(pick_precision(training.precision))
    per_epoch = steps_per_epoch(len(inputs.data.train_images), training.batch_size)
    method = build_method(recipe, inputs, per_epoch * training.epochs)
    directory = Path(workdir) / "checkpoints"
    step = (checkpoints.latest_step(directory) or 0) if resume else 0
    if step:
        checkpoints.restore(method, directory, step)
    print(describe(recipe, inputs, method, per_epoch, workdir, step))
    saver = checkpoints.Checkpoints(directory, step=step)
    views = recipe.augment
    batches = train_views(
        inputs.data.train_images,
        policy=policy_for(views.policy, views.num_views, **views.overrides),
        batch_size=training.batch_size,
        seed=training.seed,
        start_step=step,
        mean=inputs.mean,
        std=inputs.std,
        image_size=inputs.image_size,
    )
    callbacks = [Throughput(training.batch_size), *watchers(recipe, inputs, method, workdir), saver]
    try:
        with plain_errors():
            fit_from(method, batches, step, per_epoch, training.epochs, callbacks, saver)
    finally:
        saver.restore_handlers()
    if saver.interrupted:
        print(
            f"\nStopped at step {saver.step} of {per_epoch * training.epochs}; its state is saved. "
            f"Go on with:\n    python run.py --resume --workdir={workdir}"
        )
        return None
    return method, inputs


def fit_from(method, views, step, per_epoch, epochs, callbacks, saver):
    """`fit` from a global step, which may lie in the middle of an epoch."""
    epoch, done = divmod(step, per_epoch)
    common = {"callbacks": callbacks, "shuffle": False}
    if done:
        rest = per_epoch - done
        method.fit(views, initial_epoch=epoch, epochs=epoch + 1, steps_per_epoch=rest, **common)
        views, epoch = views.skip(rest), epoch + 1
    if epoch < epochs and not saver.interrupted:
        method.fit(views, initial_epoch=epoch, epochs=epochs, steps_per_epoch=per_epoch, **common)


def watchers(recipe, inputs, method, workdir):
    """Callbacks that look at a run and change nothing about it."""
    data, every = inputs.data, recipe.evaluation.every_epochs
    online = []
    if every:
        online.append(
            OnlineKNN(
                readout(method.encoder, recipe),
                inputs.preprocess,
                data.train_images,
                data.train_labels,
                data.test_images,
                data.test_labels,
                every=every,
                k=recipe.evaluation.knn_neighbours,
                temperature=recipe.evaluation.knn_temperature,
            )
        )
    workdir = Path(workdir)
    return [*online, MetricsLog(workdir / "metrics.jsonl"), EventFiles(workdir / "tensorboard")]


def readout(encoder, recipe):
    """What k-NN reads while training: the features, or the simplices at the downstream tau_d."""
    if simplices_of(encoder) is None:
        return encoder
    return keras_ssl.at_temperature(encoder, recipe.evaluation.downstream_temperature)


def describe(recipe, inputs, method, per_epoch, workdir, step):
    """The block that says what will run."""
    data, training = inputs.data, recipe.training
    strategy = method.distribute_strategy
    base = recipe.optimizer.learning_rate
    width = f", width {recipe.backbone.width}" if recipe.backbone.width else ""
    stem = ""
    if recipe.backbone.name.startswith("resnet") and recipe.backbone.name != "resnet8":
        chosen = recipe.backbone.stem
        stem = f", {resolve_stem(inputs.image_size) if chosen == 'auto' else chosen} stem"
    labels = f", {data.num_classes} classes" if data.num_classes else ", no labels"
    test = f" + {len(data.test_images):,} test" if data.test_images is not None else ""
    trained = millions(method.trainable_variables)
    backbone = millions(keras_ssl.backbone_of(method.encoder).trainable_variables)
    lines = {
        "method": f"{recipe.name}: {trained} parameters to train",
        "backbone": f"{recipe.backbone.name}{width}{stem}: {backbone} parameters",
        "data": f"{data.name}: {len(data.train_images):,} train{test} images, "
        f"{inputs.image_size}x{inputs.image_size}x{data.channels}{labels}",
        "batch": f"{training.batch_size} images (global) x {recipe.augment.num_views} views, "
        f"{per_epoch} steps an epoch, {training.epochs} epochs",
        "learning": f"{recipe.optimizer.name}, {base:g} per 256 images, so {recipe.scaled(base):g}",
        "precision": keras.config.dtype_policy().name,
        "replicas": str(strategy.num_replicas_in_sync),
        "results": str(workdir),
    }
    if recipe.neck.kind == "sem":
        neck = recipe.neck
        lines["neck"] = (
            f"sem: {neck.num_simplices} simplices of {neck.simplex_size}, tau {neck.temperature:g}"
        )
    if step:
        lines["resumed"] = f"at step {step} of {per_epoch * training.epochs}"
    return "\n".join(f"{name:<11}{text}" for name, text in lines.items()) + "\n"


def millions(variables):
    """The number of weights in `variables`, as people say it."""
    count = sum(int(np.prod(variable.shape)) for variable in variables)
    return f"{count / 1e6:.2f}M" if count >= 1e5 else f"{count:,}"


def float32_encoder(recipe, inputs, weights=None):
    """The encoder in float32, whatever it was trained in: to evaluate, fine-tune and serve.

    Without `weights` it is what training started from: the same seed, drawn in the same order.
    """
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(recipe.training.seed)
    encoder = build_encoder(recipe, inputs)
    if weights is not None:
        encoder.set_weights(weights)
    return encoder


def save_models(method, encoder, workdir):
    """`model.keras` to train on, `encoder.keras` to fine-tune; each whole or not at all."""
    for model, name in ((method, "model.keras"), (encoder, "encoder.keras")):
        aside = Path(workdir) / f".writing-{name}"
        try:
            model.save(aside)
            os.replace(aside, Path(workdir) / name)
        finally:
            aside.unlink(missing_ok=True)


def representations(encoder, recipe):
    """One model with every representation that the table judges: {row name: features}."""
    if simplices_of(encoder) is None:
        return keras.Model(encoder.input, {"pretrained": encoder.output})
    outputs = {"pretrained, backbone": keras_ssl.backbone_of(encoder)(encoder.input)}
    for tau in recipe.evaluation.temperatures:
        outputs[f"pretrained, SEM tau_d={tau:g}"] = keras_ssl.at_temperature(encoder, tau).output
    return keras.Model(encoder.input, outputs)


def evaluate(recipe, inputs, encoder, workdir):
    """Judge the encoder beside raw pixels and random weights; write and print the table."""
    data = inputs.data
    if data.train_labels is None or data.test_labels is None:
        print("No table: it needs labels for train and test images.")
        return
    untrained = keras_ssl.backbone_of(float32_encoder(recipe, inputs))
    features = {"raw pixels": [flat(data.train_images), flat(data.test_images)]}
    for model in (
        keras.Model(untrained.input, {"random weights": untrained.output}),
        representations(encoder, recipe),
    ):
        train, test = (
            extract(model, images, inputs.preprocess)
            for images in (data.train_images, data.test_images)
        )
        features.update({name: [train[name], test[name]] for name in train})
    rows, left_out = [], []
    for name, (train, test) in features.items():
        more, missing = evaluate_features(
            name,
            train,
            data.train_labels,
            test,
            data.test_labels,
            dataset=data.name,
            k=recipe.evaluation.knn_neighbours,
            temperature=recipe.evaluation.knn_temperature,
            per_class=recipe.evaluation.labels_per_class,
        )
        rows += more
        left_out += missing
    write_results(Path(workdir) / "results.json", rows, {"method": recipe.name})
    print("\n".join([format_table(rows), *(f"Left out: {why}" for why in dict.fromkeys(left_out))]))


def flat(images):
    """Images as rows of numbers in [0, 1]."""
    return images.reshape(len(images), -1).astype("float32") / 255


def export(recipe, inputs, encoder, workdir):
    """Write the SavedModel of the encoder and print how to load what the run leaves."""
    with plain_errors():
        version = export_encoder(
            encoder,
            inputs.preprocess,
            Path(workdir) / "export" / "encoder",
            downstream_temperature=recipe.evaluation.downstream_temperature,
        )
    print(SNIPPETS.format(workdir=workdir, version=version, channels=inputs.data.channels))


SNIPPETS = """
To go on training:    import keras, keras_ssl
                      method = keras.saving.load_model("{workdir}/model.keras")
To fine-tune:         import keras_ssl
                      encoder = keras_ssl.load_encoder("{workdir}/encoder.keras")
To serve:             import tensorflow as tf
                      serve = tf.saved_model.load("{version}").signatures["serving_default"]
                      serve(images=tf.zeros((1, 32, 32, {channels}), tf.uint8))
"""


def load_trained(recipe, inputs, workdir):
    """The trained encoder of a finished run, in float32."""
    path = Path(workdir) / "encoder.keras"
    if not path.exists():
        raise UserError(
            f"'{workdir}' has no encoder.keras yet: its training has not ended. "
            f"Go on with --resume --workdir={workdir}."
        )
    trained = keras_ssl.load_encoder(path)
    shape = trained.input_shape[1:]
    wanted = (inputs.image_size, inputs.image_size, inputs.data.channels)
    if shape != wanted:
        raise UserError(f"The encoder takes images {shape}. '{inputs.data.name}' has {wanted}.")
    return trained
