"""The stages of a run: build what the recipe says, fit it, evaluate it, export it.

`run.py` reads the command line and calls these; importing this module imports TensorFlow.
"""

import contextlib
import errno
import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_ssl
from export import export_encoder
from keras_ssl.backbones import resolve_stem
from keras_ssl.backbones.vit import resolve_patch_size
from keras_ssl.core import checkpoints
from keras_ssl.core.checks import UserError
from keras_ssl.core.files import remove_leftovers, write_text, written_aside
from keras_ssl.core.hardware import compile_with_xla, pick_precision, pick_strategy
from keras_ssl.evaluation.callbacks import EventFiles, MetricsLog, OnlineKNN, Throughput
from keras_ssl.evaluation.features import FeatureExtractor
from keras_ssl.evaluation.rows import format_table, write_results
from keras_ssl.evaluation.table import evaluate_features
from keras_ssl.layers.necks import bottleneck_of, simplices_of
from keras_ssl.recipes import Recipe
from pipelines.datasets import ImageData, load
from pipelines.normalization import normalization
from pipelines.policies import policy_for
from pipelines.preprocess import make_preprocess
from pipelines.preview import preview_grid, write_png
from pipelines.views import device_views, steps_per_epoch, train_views

FEATURE_LIMIT = 4  # GiB of features that the table judges at a time


@dataclass(frozen=True)
class Preprocessing:
    """How images of any size become what the encoder takes; fixed by the data it was trained on."""

    image_size: int
    channels: int
    mean: tuple
    std: tuple

    @property
    def function(self):
        """uint8 images of any size -> float images, as in evaluation and serving."""
        return make_preprocess(self.image_size, self.channels, self.mean, self.std)


@dataclass(frozen=True)
class Inputs:
    """The data of a run and how its images become numbers."""

    data: ImageData
    preprocessing: Preprocessing


@dataclass(frozen=True)
class Session:
    """What training takes: everything built, nothing written yet."""

    recipe: Recipe
    inputs: Inputs
    method: keras_ssl.Method
    per_epoch: int


@contextlib.contextmanager
def plain_errors():
    """Say in a line what exceptions of TensorFlow mean where a user can do something."""
    out_of_memory = UserError("Out of memory. Take a smaller --batch_size, network or neck.")
    try:
        yield
    except MemoryError as error:
        raise out_of_memory from error
    except tf.errors.ResourceExhaustedError as error:
        if "no space left" in error.message.lower():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise out_of_memory from error


def settle_precision(recipe):
    """The recipe with the precision that this hardware gets, so that a resumed run keeps it."""
    key, wish = "training.precision", recipe.training.precision
    if wish != "auto":
        return recipe
    chosen = pick_precision()
    settings = {**recipe.settings, key: (chosen, "auto, by the hardware")}
    training = replace(recipe.training, precision=chosen)
    return replace(recipe, settings=settings, training=training)


def load_inputs(recipe, preprocessing=None):
    """Load the data set; by default with its own channel statistics.

    Raises:
        UserError: if its images have other channels than `preprocessing` takes.
    """
    wanted = recipe.data.image_size or None
    data = load(
        recipe.data.dataset,
        data_dir=recipe.data.data_dir,
        image_size=wanted,
        in_memory={"yes": True, "no": False, "auto": None}[recipe.data.in_memory],
    )
    if preprocessing is None:
        mean, std = normalization(data.to_pretrain_on, recipe.data.normalization)
        preprocessing = Preprocessing(wanted or data.image_size, data.channels, mean, std)
    if data.channels != preprocessing.channels:
        raise UserError(
            f"The encoder takes images of {preprocessing.channels} channels. '{data.name}' has "
            f"{data.channels}."
        )
    return Inputs(data, preprocessing)


def build_encoder(recipe, preprocessing):
    """The backbone, with the neck that the recipe asks for, under the current dtype policy."""
    shape = (preprocessing.image_size, preprocessing.image_size, preprocessing.channels)
    encoder = keras_ssl.create_backbone(recipe.backbone.name, shape, **recipe.backbone.options)
    if recipe.neck.kind == "none":
        return encoder
    return keras_ssl.add_neck(encoder, kind=recipe.neck.kind, **recipe.neck.options)


def build_method(recipe, inputs, steps):
    """The method with its optimizer, compiled, for a run of `steps` batches."""
    accumulate = recipe.training.accumulate
    updates = steps // accumulate
    if not updates:
        raise UserError(f"training.accumulate={accumulate} is more than all {steps} steps.")
    strategy = pick_strategy(recipe.training.strategy)
    check_replicas(recipe.training, strategy.num_replicas_in_sync)
    cls = keras_ssl.METHODS[recipe.base_name]
    facts = {
        "num_images": len(inputs.data.to_pretrain_on),
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
        method.compile(
            optimizer=build_optimizer(recipe, updates), jit_compile=compile_with_xla(strategy)
        )
        method.optimizer.build(method.trainable_variables)  # refuses layers that are not there
    return method


def method_arguments(recipe, updates, per_epoch):
    """What a method is told: its own settings, and what all methods know of the run."""
    training, arguments = recipe.training, dict(recipe.method)
    if "momentum" in arguments:
        arguments["momentum"] = keras_ssl.CosineEMA(
            arguments["momentum"], final=recipe.schedule.final_momentum, total_steps=updates
        )
    return {**arguments, "steps_per_epoch": per_epoch, "seed": training.seed}


def check_replicas(training, replicas):
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


def constant_rate(optimizer):
    """The learning rate of `constant_lr_layers`, per 256 images."""
    return optimizer.constant_lr or optimizer.learning_rate


def prepare(recipe):
    """Load the data and build the method: what can be wrong with a recipe shows here."""
    training = recipe.training
    with plain_errors():
        inputs = load_inputs(recipe)
        keras.utils.set_random_seed(training.seed)
        keras.config.set_dtype_policy(training.precision)
        per_epoch = steps_per_epoch(len(inputs.data.to_pretrain_on), training.batch_size)
        method = build_method(recipe, inputs, per_epoch * training.epochs)
        settings = view_settings(recipe, inputs.preprocessing)  # refuses what does not fit
        if recipe.augment.where == "device":
            method.draw_views = device_views(**settings)
    return Session(recipe, inputs, method, per_epoch)


def fit(session, workdir, resume):
    """Train as the recipe says, or go on; -> whether the training came to its end."""
    method, total = session.method, session.per_epoch * session.recipe.training.epochs
    directory = Path(workdir) / "checkpoints"
    step = (checkpoints.latest_step(directory) or 0) if resume else 0
    if step:
        checkpoints.restore(method, directory, step)
    for folder in (workdir, directory):
        remove_leftovers(folder)
    save_preprocessing(session.inputs.preprocessing, workdir)
    print(describe(session, workdir, step))
    saver = checkpoints.Checkpoints(directory, step=step)
    # The saver comes before the watchers: what they run into costs no epoch.
    speed = Throughput(session.recipe.training.batch_size)
    callbacks = [speed, saver, *watchers(session, workdir)]
    try:
        with plain_errors(), contextlib.suppress(checkpoints.Stopped):
            fit_from(session, step, callbacks, saver)
    finally:
        saver.restore_handlers()
    if saver.interrupted and saver.step < total:
        print(
            f"\nStopped at step {saver.step} of {total}; its state is saved. "
            f"Go on with:\n    python run.py --resume --workdir={workdir}"
        )
    return saver.step >= total


def fit_from(session, step, callbacks, saver):
    """`fit` from a global step, which may lie in the middle of an epoch."""
    per_epoch, epochs = session.per_epoch, session.recipe.training.epochs
    epoch, done = divmod(step, per_epoch)
    parts = [(epoch, epoch + 1, per_epoch - done)] if done else []
    parts.append((epoch + len(parts), epochs, per_epoch))
    for first, last, steps in parts:
        if first < last and not saver.interrupted:
            session.method.fit(
                batches_from(session, saver.step),
                initial_epoch=first,
                epochs=last,
                steps_per_epoch=steps,
                callbacks=callbacks,
                shuffle=False,
                verbose=1 if sys.stdout.isatty() else 2,  # a bar, or a line per epoch in a log
            )


def batches_from(session, step):
    """The stream of training batches from a global step on."""
    return train_views(
        session.inputs.data.to_pretrain_on,
        seed=session.recipe.training.seed,
        start_step=step,
        with_index=session.method.needs_index,
        on_device=session.recipe.augment.where == "device",
        **view_settings(session.recipe, session.inputs.preprocessing),
    )


def view_settings(recipe, preprocessing):
    """What the views of a run are drawn with, wherever that happens."""
    augment = recipe.augment
    small = {**augment.overrides, "crop_scale": augment.local_scale}
    return {
        "policy": policy_for(augment.policy, augment.num_views, **augment.overrides),
        "local_policy": policy_for(augment.policy, 1, **small) * augment.local_views,
        "batch_size": recipe.training.batch_size,
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "image_size": preprocessing.image_size,
        "local_size": augment.local_pixels(preprocessing.image_size),
    }


def preview(recipe, directory, count=8):
    """Write `preview.png`: views of the first images of a run, as the network gets them."""
    inputs = load_inputs(recipe)
    settings = view_settings(recipe, inputs.preprocessing)
    images = inputs.data.to_pretrain_on
    settings["batch_size"] = min(settings["batch_size"], len(images))
    stream = train_views(images, seed=recipe.training.seed, with_index=True, **settings)
    batch = next(iter(stream))
    grid = preview_grid(images, batch, count, mean=settings["mean"], std=settings["std"])
    directory.mkdir(parents=True, exist_ok=True)
    return write_png(grid, directory / "preview.png")


def watchers(session, workdir):
    """Callbacks that look at a run and change nothing about it."""
    data, judge = session.inputs.data, session.recipe.evaluation
    online = []
    if judge.every_epochs:
        online.append(
            OnlineKNN(
                readout(session.method.encoder, session.recipe),
                session.inputs.preprocessing.function,
                data.train_images,
                data.train_labels,
                data.test_images,
                data.test_labels,
                every=judge.every_epochs,
                k=judge.knn_neighbours,
                temperature=judge.knn_temperature,
            )
        )
    workdir = Path(workdir)
    return [*online, MetricsLog(workdir / "metrics.jsonl"), EventFiles(workdir / "tensorboard")]


def readout(encoder, recipe):
    """What k-NN reads while training: the features, or the simplices at the downstream tau_d."""
    if simplices_of(encoder) is None:
        return encoder
    return keras_ssl.at_temperature(encoder, recipe.evaluation.downstream_temperature)


def describe(session, workdir, step):
    """The block that says what will run."""
    recipe, method, per_epoch = session.recipe, session.method, session.per_epoch
    data, training = session.inputs.data, recipe.training
    size = session.inputs.preprocessing.image_size
    crops = ""
    if recipe.augment.local_views:
        side = recipe.augment.local_pixels(size)
        crops = f" + {recipe.augment.local_views} local of {side}x{side}"
    labels = f", {data.num_classes} classes" if data.num_classes else ", no labels"
    test = f" + {len(data.test_images):,} test" if data.test_images is not None else ""
    trained = millions(method.trainable_variables)
    backbone = millions(keras_ssl.backbone_of(method.encoder).trainable_variables)
    lines = {
        "method": f"{recipe.name}: {trained} parameters to train",
        "backbone": f"{describe_backbone(recipe.backbone, size)}: {backbone} parameters",
        "data": f"{data.name}: {len(data.to_pretrain_on):,} train{test} images, "
        f"{size}x{size}x{data.channels}{labels}",
        "batch": f"{training.batch_size} images (global) x {recipe.augment.num_views} views"
        f"{crops}, {per_epoch} steps an epoch, {training.epochs} epochs",
        "learning": describe_rates(recipe),
        "precision": keras.config.dtype_policy().name,
        "replicas": str(method.distribute_strategy.num_replicas_in_sync),
        "results": str(workdir),
    }
    if recipe.neck.kind != "none":
        lines["neck"] = describe_neck(recipe.neck)
    if step:
        lines["resumed"] = f"at step {step} of {per_epoch * training.epochs}"
    return "\n".join(f"{name:<11}{text}" for name, text in lines.items()) + "\n"


def describe_rates(recipe):
    """The optimizer and its learning rates in a line."""
    optimizer = recipe.optimizer
    rate, layers = optimizer.learning_rate, optimizer.options.get("constant_lr_layers")
    text = f"{optimizer.name}, {rate:g} per 256 images, so {recipe.scaled(rate):g}"
    if layers:
        rate = constant_rate(optimizer)
        text += f"; {', '.join(layers)}: {rate:g} per 256, so always {recipe.scaled(rate):g}"
    return text


def describe_backbone(backbone, image_size):
    """A backbone in a line, with what it chooses by the size of the images."""
    parts = [backbone.name]
    if backbone.width:
        parts.append(f"width {backbone.width}")
    if backbone.name.startswith("resnet") and backbone.name != "resnet8":
        stem = resolve_stem(image_size) if backbone.stem == "auto" else backbone.stem
        parts.append(f"{stem} stem")
    if backbone.name.startswith("vit_"):
        side = backbone.patch_size or resolve_patch_size(image_size)
        parts.append(f"patches of {side}x{side}")
    return ", ".join(parts)


def describe_neck(neck):
    """A neck in a line."""
    sizes = f"{neck.num_simplices} simplices of {neck.simplex_size}"
    if neck.kind == "vq":
        sizes = f"{neck.num_simplices} codebooks of {neck.simplex_size} vectors of {neck.code_dim}"
    tau = f", tau {neck.temperature:g}" if "temperature" in neck.options else ""
    embedder = "" if neck.embedder == "linear" else f", {neck.embedder} embedder"
    return f"{neck.kind}: {sizes}{tau}{embedder}"


def millions(variables):
    """The number of weights in `variables`, as people say it."""
    count = sum(int(np.prod(variable.shape)) for variable in variables)
    return f"{count / 1e6:.2f}M" if count >= 1e5 else f"{count:,}"


def float32_encoder(recipe, preprocessing, weights=None):
    """The encoder in float32, whatever it was trained in: to evaluate, fine-tune and serve.

    Without `weights` it is what training started from: the same seed, drawn in the same order.
    """
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(recipe.training.seed)
    encoder = build_encoder(recipe, preprocessing)
    if weights is not None:
        encoder.set_weights(weights)
    return encoder


def save_models(session, workdir):
    """Write `model.keras` to train on and `encoder.keras` to fine-tune; -> the latter's model."""
    weights = session.method.encoder.get_weights()
    encoder = float32_encoder(session.recipe, session.inputs.preprocessing, weights)
    for model, name in ((session.method, "model.keras"), (encoder, "encoder.keras")):
        with written_aside(Path(workdir) / name) as aside:
            model.save(aside)
    return encoder


def representations(encoder, recipe):
    """Every representation of the trained encoder that the table judges: {row name: model}."""
    if bottleneck_of(encoder) is None:
        return {"pretrained": encoder}
    models = {"pretrained, backbone": keras_ssl.backbone_of(encoder)}
    if simplices_of(encoder) is None:
        return {**models, f"pretrained, {recipe.neck.kind}": encoder}
    for tau in recipe.evaluation.temperatures:
        models[f"pretrained, SEM tau_d={tau:g}"] = keras_ssl.at_temperature(encoder, tau)
    return models


def evaluate(recipe, inputs, encoder, workdir):
    """Judge the encoder beside raw pixels and random weights; write and print the table."""
    data = inputs.data
    if data.train_labels is None or data.test_labels is None:
        print("No table: it needs labels for train and test images.")
        return
    untrained = keras_ssl.backbone_of(float32_encoder(recipe, inputs.preprocessing))
    models = {"raw pixels": None, "random weights": untrained, **representations(encoder, recipe)}
    rows, left_out = [], []
    for name, model in models.items():  # one at a time: wide ones fill the memory
        with plain_errors():
            more, missing = judge(name, model, recipe, inputs)
        rows += more
        left_out += missing
    write_results(Path(workdir) / "results.json", rows, {"method": recipe.name})
    print("\n".join([format_table(rows), *(f"Left out: {why}" for why in dict.fromkeys(left_out))]))


def judge(name, model, recipe, inputs):
    """Rows for one representation: that of `model`, or raw pixels for None."""
    data = inputs.data
    count = len(data.train_images) + len(data.test_images)
    width = np.prod(data.train_images.shape[1:]) if model is None else model.output_shape[-1]
    needed = 4 * count * int(width) / 2**30
    if needed > FEATURE_LIMIT:
        return [], [f"{name}: its features need {needed:.0f} GiB; {FEATURE_LIMIT} is the limit."]
    if model is None:
        train, test = flat(data.train_images), flat(data.test_images)
    else:
        extract = FeatureExtractor(model, inputs.preprocessing.function)
        train, test = extract(data.train_images), extract(data.test_images)
    return evaluate_features(
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


def flat(images):
    """Images as rows of numbers in [0, 1]."""
    return images[:].reshape(len(images), -1).astype("float32") / 255


def export(recipe, preprocessing, encoder, workdir):
    """Write the SavedModel of the encoder and print how to load what the run leaves."""
    with plain_errors():
        version = export_encoder(
            encoder,
            preprocessing.function,
            Path(workdir) / "export" / "encoder",
            downstream_temperature=recipe.evaluation.downstream_temperature,
        )
    shape = (1, preprocessing.image_size, preprocessing.image_size, preprocessing.channels)
    print(SNIPPETS.format(workdir=workdir, version=version, shape=shape))


def save_preprocessing(preprocessing, workdir):
    """Write `preprocessing.json`, which the encoder needs wherever it goes."""
    text = json.dumps(asdict(preprocessing), indent=1) + "\n"
    write_text(Path(workdir) / "preprocessing.json", text)


def load_trained(workdir):
    """The trained encoder of a finished run, in float32, and its preprocessing.

    Raises:
        UserError: if the training has not ended, or a file is damaged.
    """
    path = Path(workdir) / "encoder.keras"
    if not path.exists():
        raise UserError(
            f"'{workdir}' has no encoder.keras yet: its training has not ended. "
            f"Go on with --resume --workdir={workdir}."
        )
    try:
        encoder = keras_ssl.load_encoder(path)
        stored = json.loads((Path(workdir) / "preprocessing.json").read_text(encoding="utf-8"))
        return encoder, Preprocessing(**stored)
    except (ValueError, KeyError, TypeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"Cannot read the encoder of '{workdir}': {reason}") from error


SNIPPETS = """
To go on training:    import keras, keras_ssl
                      method = keras.saving.load_model("{workdir}/model.keras")
To fine-tune:         import keras_ssl
                      encoder = keras_ssl.load_encoder("{workdir}/encoder.keras")
To serve:             import tensorflow as tf
                      serve = tf.saved_model.load("{version}").signatures["serving_default"]
                      serve(images=tf.zeros({shape}, tf.uint8))
"""
