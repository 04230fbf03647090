"""Train what a recipe says, or resume it."""

import contextlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import keras

import keras_ssl
from keras_ssl.config import Recipe
from keras_ssl.core.detection import detect, machine_memory
from keras_ssl.core.errors import UserError, translate_tf_errors
from keras_ssl.core.files import METRICS, PROJECTOR, SPECTRA, WARNINGS, remove_leftovers
from keras_ssl.layers.necks import simplices_of
from keras_ssl.training import checkpoints
from keras_ssl.training.callbacks import EventFiles, MetricsLog, Throughput
from keras_ssl.training.divergence import StopAtDivergence
from keras_ssl.training.online import OnlineEvaluation, OnlineLinearProbe, online_knn
from keras_ssl.training.projector import ProjectorRank
from keras_ssl.training.spectra import SpectraLog
from keras_ssl.training.watcher import Watcher
from pipelines.data.image_array import as_images
from pipelines.views.stream import device_views, steps_per_epoch, train_views
from stages.build import build_method
from stages.cost import check_memory
from stages.describe import block_of, described, save_description
from stages.devices import set_determinism
from stages.inputs import (
    Inputs,
    check_unchanged,
    load_inputs,
    save_fingerprint,
    save_preprocessing,
    view_settings,
)


@dataclass(frozen=True)
class Session:
    """What training takes: everything built, nothing written yet."""

    recipe: Recipe
    inputs: Inputs
    method: keras_ssl.Method
    per_epoch: int


def prepare(recipe: Recipe) -> Session:
    """Load the data and build the method: what can be wrong with a recipe shows here."""
    training = recipe.training
    set_determinism(recipe)
    with translate_tf_errors():
        inputs = load_inputs(recipe)
        keras.utils.set_random_seed(training.seed)
        keras.config.set_dtype_policy(training.precision)
        check_batch_size(recipe, len(inputs.data.pretraining_images))
        per_epoch = steps_per_epoch(len(inputs.data.pretraining_images), training.batch_size)
        method = build_method(recipe, inputs, per_epoch * training.epochs)
        check_memory(method, None if detect().gpus else machine_memory())
        settings = view_settings(recipe, inputs.preprocessing)  # refuses what does not fit
        if recipe.augment.where == "device":
            method.draw_views = device_views(**settings, on_gpu=bool(detect().gpus))
    return Session(recipe, inputs, method, per_epoch)


def check_batch_size(recipe: Recipe, num_images: int):
    """Refuse batches of more images than there are, whoever chose their size."""
    batch_size, origin = recipe.settings["training.batch_size"]
    if batch_size > num_images:
        raise UserError(
            f"training.batch_size={batch_size} ({origin}) is larger than the data set of "
            f"{num_images} training images: take --batch_size={num_images} or less."
        )


def fit(session: Session, workdir: Path, resume: bool) -> bool:
    """Train as the recipe says, or resume; -> whether it came to its end, and not by a signal."""
    method, total = session.method, session.per_epoch * session.recipe.training.epochs
    directory = Path(workdir) / "checkpoints"
    step = (checkpoints.latest_step(directory) or 0) if resume else 0
    if step:
        check_unchanged(session.inputs.data, workdir)
        checkpoints.restore(method, directory, step)
    for folder in (workdir, directory):
        remove_leftovers(folder)
    save_preprocessing(session.inputs.preprocessing, workdir)
    save_fingerprint(session.inputs.data, workdir)
    lines = described(session, workdir, step)
    save_description(lines, workdir)
    print(block_of(lines))
    saver = checkpoints.Checkpoints(directory, step=step)
    # The saver comes before what records: what they run into costs no epoch.
    speed = Throughput(session.recipe.training.batch_size)
    callbacks = [speed, StopAtDivergence(step=step), saver, *recording_callbacks(session, workdir)]
    try:
        with translate_tf_errors(), contextlib.suppress(checkpoints.Stopped):
            fit_from(session, step, callbacks, saver)
    finally:
        saver.restore_handlers()
    if saver.interrupted:
        print(
            f"\nStopped at step {saver.step} of {total}; its state is saved. "
            f"Resume it by:\n    {program()} --resume --workdir={workdir}"
        )
    return saver.step >= total and not saver.interrupted


def program() -> str:
    """How this program is called: installed, or as a file."""
    name = Path(sys.argv[0]).stem
    return name if name == "keras-ssl" else "python run.py"


def fit_from(
    session: Session,
    step: int,
    callbacks: list[keras.callbacks.Callback],
    saver: checkpoints.Checkpoints,
):
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


def batches_from(session: Session, step: int) -> Iterable:
    """The stream of training batches from a global step on."""
    return train_views(
        session.inputs.data.pretraining_images,
        seed=session.recipe.training.seed,
        start_step=step,
        with_index=session.method.needs_index,
        on_device=session.recipe.augment.where == "device",
        **view_settings(session.recipe, session.inputs.preprocessing),
    )


def recording_callbacks(session: Session, workdir: Path) -> list[keras.callbacks.Callback]:
    """Callbacks that look at a run and change nothing about it."""
    data, evaluation = session.inputs.data, session.recipe.evaluation
    online, watching = None, []
    if evaluation.every_epochs:
        online = OnlineEvaluation(
            readout(session.method.encoder, session.recipe),
            session.inputs.preprocessing.function,
            data.train_images,
            data.train_labels,
            data.test_images,
            data.test_labels,
            probes={
                "knn": online_knn(evaluation.knn_neighbours, evaluation.knn_temperature),
                "linear": OnlineLinearProbe(seed=session.recipe.training.seed),
            },
            every=evaluation.every_epochs,
        )
        watching = [online, SpectraLog(Path(workdir) / SPECTRA, online)]
    log, warmup = Path(workdir) / METRICS, session.recipe.schedule.warmup_epochs
    watching.append(Watcher(Path(workdir) / WARNINGS, online, log=log, warmup_epochs=warmup))
    images = as_images(data.pretraining_images)
    report = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: images.report_lost())
    rank = ProjectorRank(Path(workdir) / PROJECTOR)
    logs = MetricsLog(log), EventFiles(Path(workdir) / "tensorboard")
    return [*watching, rank, report, *logs]


def readout(encoder: keras.Model, recipe: Recipe) -> keras.Model:
    """What is evaluated while training: the features, or the simplices at the downstream tau_d."""
    if simplices_of(encoder) is None:
        return encoder
    return keras_ssl.at_temperature(encoder, recipe.evaluation.downstream_temperature)
