"""The block that says what will run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

import keras_ssl
from keras_ssl.backbones.stems import resolve_stem
from keras_ssl.backbones.vit import resolve_patch_size
from keras_ssl.config import Recipe
from keras_ssl.config.schema import Backbone, Neck
from keras_ssl.core.detection import detect
from keras_ssl.core.files import DESCRIPTION, write_text
from keras_ssl.core.hardware import device_line
from stages.build import constant_rate, missing_layers
from stages.cost import cost_of_step, describe_memory
from stages.devices import devices_for
from stages.inputs import describe_data

if TYPE_CHECKING:
    from stages.training import Session


def describe(session: "Session", workdir: Path, step: int) -> str:
    """The block that says what will run."""
    return block_of(described(session, workdir, step))


def block_of(lines: dict[str, str]) -> str:
    """Lines under their names, for the terminal."""
    return "\n".join(f"{name:<11}{text}" for name, text in lines.items()) + "\n"


def described(session: "Session", workdir: Path, step: int) -> dict[str, str]:
    """What will run, and what it costs: {name: line}."""
    recipe, method, per_epoch = session.recipe, session.method, session.per_epoch
    training = recipe.training
    size = session.inputs.preprocessing.image_size
    crops = ""
    if recipe.augment.local_views:
        side = recipe.augment.local_pixels(size)
        crops = f" + {recipe.augment.local_views} local of {side}x{side}"
    trained = millions(method.trainable_variables)
    backbone = millions(keras_ssl.backbone_of(method.encoder).trainable_variables)
    lines = {
        "method": f"{recipe.name}: {trained} parameters to train",
        "backbone": f"{describe_backbone(recipe.backbone, size)}: {backbone} parameters",
        "data": describe_data(session.inputs),
        "batch": f"{training.batch_size} images (global) x {recipe.augment.num_views} views"
        f"{crops}, {per_epoch} steps an epoch, {training.epochs} epochs",
        "learning": describe_rates(recipe, missing_layers(recipe, method)),
        **describe_devices(recipe, method),
        "memory": describe_memory(cost_of_step(recipe, session.inputs, method)),
        "results": str(workdir),
    }
    if recipe.neck.kind != "none":
        lines["neck"] = describe_neck(recipe.neck)
    if step:
        lines["resumed"] = f"at step {step} of {per_epoch * training.epochs}"
    return lines


def save_description(lines: dict[str, str], workdir: Path):
    """Write `description.json`, for reports of the run, which another machine may write."""
    write_text(Path(workdir) / DESCRIPTION, json.dumps(lines, indent=1) + "\n")


def read_description(workdir: Path) -> dict[str, str]:
    """What `save_description` wrote; nothing of a run that an earlier version began."""
    path = Path(workdir) / DESCRIPTION
    try:
        lines = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(text) for name, text in lines.items()}
    except (FileNotFoundError, ValueError, AttributeError):
        return {}


def describe_devices(recipe: Recipe, method: keras_ssl.Method) -> dict[str, str]:
    """What computes the run, and how: {name: line}."""
    hardware = detect()
    devices = devices_for(recipe, hardware)
    replicas, compiled = devices.replicas.why, "by XLA: the first step may take minutes"
    if not devices.xla.value:
        compiled = f"not by XLA: {devices.xla.why}"
    count = str(method.distribute_strategy.num_replicas_in_sync)
    return {
        "device": f"{device_line(hardware)}; TensorFlow {hardware.tensorflow}",
        "precision": keras.config.dtype_policy().name,
        "compiled": compiled,
        "replicas": f"{count} ({replicas})" if replicas else count,
        "views": f"drawn on the {recipe.augment.where}",
    }


def describe_rates(recipe: Recipe, missing: Sequence[str] = ()) -> str:
    """The optimizer and its learning rates in a line; of layers that are `missing`, none."""
    optimizer = recipe.optimizer
    rate, layers = optimizer.learning_rate, optimizer.options.get("constant_lr_layers", ())
    layers = [name for name in layers if name not in missing]
    text = f"{optimizer.name}, {rate:g} per 256 images, so {recipe.scaled(rate):g}"
    if layers:
        rate = constant_rate(optimizer)
        text += f"; {', '.join(layers)}: {rate:g} per 256, so always {recipe.scaled(rate):g}"
    return text


def describe_backbone(backbone: Backbone, image_size: int) -> str:
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


def describe_neck(neck: Neck) -> str:
    """A neck in a line."""
    sizes = f"{neck.num_simplices} simplices of {neck.simplex_size}"
    if neck.kind == "vq":
        sizes = f"{neck.num_simplices} codebooks of {neck.simplex_size} vectors of {neck.code_dim}"
    tau = f", tau {neck.temperature:g}" if "temperature" in neck.options else ""
    embedder = "" if neck.embedder == "linear" else f", {neck.embedder} embedder"
    return f"{neck.kind}: {sizes}{tau}{embedder}"


def millions(variables: list[keras.Variable]) -> str:
    """The number of weights in `variables`, as people say it."""
    count = sum(int(np.prod(variable.shape)) for variable in variables)
    return f"{count / 1e6:.2f}M" if count >= 1e5 else f"{count:,}"
