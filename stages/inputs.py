"""The data of a run, and how its images become what the encoder takes."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from keras_ssl.config import Recipe
from keras_ssl.config.schema import Data
from keras_ssl.core.errors import UserError
from keras_ssl.core.files import PREPROCESSING, RECIPE, write_text, written_aside
from pipelines.data.fingerprint import changes, fingerprint
from pipelines.data.image_array import cropped
from pipelines.data.load import ImageData, load
from pipelines.images.decoding import tried_square
from pipelines.preprocessing import make_preprocess, normalization
from pipelines.views.policies import policy_for
from pipelines.views.preview import first_batch, preview_grid, write_png

FINGERPRINT = "fingerprint.npz"


@dataclass(frozen=True)
class Preprocessing:
    """How images of any size become what the encoder takes; fixed by the data it was trained on.

    `crop_fraction` alone is that of the command, `data.test_crop`.
    """

    image_size: int
    channels: int
    mean: tuple
    std: tuple
    crop_fraction: float = 1.0

    @property
    def function(self) -> Callable:
        """uint8 images of any size -> float images, as in evaluation and serving."""
        return make_preprocess(**asdict(self))

    def decode(self, content, is_jpeg, orientation, height, width):
        """The middle square of an encoded image as evaluation reads it, and why not; in graphs."""
        sizes = self.image_size, self.crop_fraction
        return tried_square(content, is_jpeg, orientation, height, width, *sizes)

    def facts(self) -> dict:
        """What distinguishes it from others, as earlier versions wrote it where nothing is cut."""
        facts = asdict(self)
        if self.crop_fraction == 1:
            del facts["crop_fraction"]
        return facts


@dataclass(frozen=True)
class Inputs:
    """The data of a run and how its images become numbers."""

    data: ImageData
    preprocessing: Preprocessing

    def at_crop(self, crop_fraction: float) -> "Inputs":
        """The same with another crop of the images that are evaluated."""
        parts = {
            part: cropped(images, crop_fraction)
            for part, images in vars(self.data).items()
            if part in ("train_images", "test_images") and images is not None
        }
        preprocessing = replace(self.preprocessing, crop_fraction=crop_fraction)
        return Inputs(replace(self.data, **parts), preprocessing)


def in_memory(settings: Data) -> bool | None:
    """`data.in_memory` of the section `data`, as `pipelines.data.load.load` takes it."""
    return {"yes": True, "no": False, "auto": None}[settings.in_memory]


def load_inputs(recipe: Recipe, preprocessing: Preprocessing | None = None) -> Inputs:
    """Load the data set; by default with its own channel statistics.

    Raises:
        UserError: if its images have other channels than `preprocessing` takes.
    """
    wanted = recipe.data.image_size or None
    data = load(
        recipe.data.dataset,
        data_dir=recipe.data.data_dir,
        image_size=wanted,
        in_memory=in_memory(recipe.data),
    )
    if preprocessing is None:
        mean, std = normalization(data.pretraining_images, recipe.data.normalization)
        preprocessing = Preprocessing(wanted or data.image_size, data.channels, mean, std)
    if data.channels != preprocessing.channels:
        raise UserError(
            f"The encoder takes images of {preprocessing.channels} channels. '{data.name}' has "
            f"{data.channels}."
        )
    fraction = recipe.data.test_crop
    if fraction < 1 and _are_kept(data.evaluation_images, preprocessing.image_size):
        print(
            f"data.test_crop={fraction:g} changes nothing here: the images are kept in memory in "
            "the size of a view. Files are read whole with --set data.in_memory=no."
        )
    return Inputs(data, preprocessing).at_crop(fraction)


def _are_kept(images, side):
    return isinstance(images, np.ndarray) and images.shape[1:3] == (side, side)


def save_preprocessing(preprocessing: Preprocessing, workdir: str | Path):
    """Write `preprocessing.json`, which the encoder needs wherever it goes."""
    text = json.dumps(asdict(preprocessing), indent=1) + "\n"
    write_text(Path(workdir) / PREPROCESSING, text)


def save_fingerprint(data: ImageData, workdir: str | Path):
    """Write `fingerprint.npz`, by which a later command knows what has changed."""
    with written_aside(Path(workdir) / FINGERPRINT) as aside, open(aside, "wb") as file:
        np.savez_compressed(file, **fingerprint(data))


def changes_since(data: ImageData, workdir: str | Path) -> str | None:
    """What has changed in the data of a run, in words.

    Returns:
        "" if nothing has, or if they are others; `None` if the run has no fingerprint.
    """
    path = Path(workdir) / FINGERPRINT
    try:
        with np.load(path) as file:
            before = {name: file[name] for name in ("data", "kind", "names", "keys", "labels")}
    except FileNotFoundError:  # of a run that an earlier version began
        return None
    except Exception as error:  # a damaged archive raises whatever it likes
        raise UserError(f"{path} is damaged. Remove it to continue without it.") from error
    return changes(before, fingerprint(data)) if _is_same(data.name, str(before["data"])) else ""


def _is_same(name, other):
    """Whether two names mean one data set, however its path is written."""
    (kind, _, path), (other_kind, _, other_path) = name.partition(":"), other.partition(":")
    paths = (os.path.realpath(os.path.expanduser(some)) for some in (path, other_path))
    return name == other or bool(path) and kind == other_kind and len(set(paths)) == 1


def _dataset_of(workdir):
    settings = json.loads((Path(workdir) / RECIPE).read_text(encoding="utf-8"))["settings"]
    return settings.get("data.dataset", {}).get("value", "")


def check_unchanged(data: ImageData, workdir: str | Path):
    """Refuse to train on where the data are no longer those that the training began with.

    Raises:
        UserError: says what has changed, or that other images were held out.
    """
    changed = changes_since(data, workdir)
    if changed is None and data.held_out:
        raise UserError(
            f"The run in '{workdir}' has no {FINGERPRINT}. Unless that was removed, an earlier "
            f"version began the run, which held out other images of '{data.name}' than this one "
            "does, and was trained on most of those that are held out now. Start a new run in "
            "another --workdir."
        )
    if changed:
        advice = (
            "start a new run in another --workdir."
            if data.held_out
            else "start a new run. To resume all the same, with other steps than an unbroken run "
            f"has, remove {Path(workdir) / FINGERPRINT}."
        )
        raise UserError(
            f"'{data.name}' has changed since the run in '{workdir}' began: {changed}. Bring the "
            f"data back as they were, or {advice}"
        )


def print_changes(data: ImageData, workdir: str | Path):
    """Say it where the data are no longer those that the run in `workdir` was trained on."""
    changed = changes_since(data, workdir)
    if changed:
        print(f"'{data.name}' has changed since the training: {changed}. It is read as it is now.")
    if changed is None and data.held_out and _is_same(data.name, _dataset_of(workdir)):
        print(
            f"Most test images of '{data.name}' were trained on, so that accuracies say too much: "
            f"'{workdir}' has no {FINGERPRINT}. Unless that was removed, an earlier version began "
            "the run, which held out other images. Start a new run in another --workdir, or give "
            "another --dataset."
        )


def view_settings(recipe: Recipe, preprocessing: Preprocessing) -> dict:
    """What the views of a run are drawn with, wherever that happens."""
    augment = recipe.augment
    small = {**augment.overrides, "crop_scale": augment.local_scale}
    local = augment.policy if augment.local_policy == "same" else augment.local_policy
    return {
        "policy": policy_for(augment.policy, augment.num_views, **augment.overrides),
        "local_policy": policy_for(local, 1, **small) * augment.local_views,
        "batch_size": recipe.training.batch_size,
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "image_size": preprocessing.image_size,
        "local_size": augment.local_pixels(preprocessing.image_size),
    }


def describe_data(inputs: Inputs) -> str:
    """The images of a run in a line."""
    data, size = inputs.data, inputs.preprocessing.image_size
    labels = f", {data.num_classes} classes" if data.num_classes else ", no labels"
    counts = {"validation": data.validation_rows, "test": data.test_images}
    more = [f" + {len(of):,} {part}" for part, of in counts.items() if of is not None]
    return (
        f"{data.name}: {len(data.pretraining_images):,} train{''.join(more)} images, "
        f"{size}x{size}x{data.channels}{labels}"
    )


def preview(recipe: Recipe, directory: Path, count: int = 8) -> Path:
    """Write `preview.png`: views of the first images of a run, as the network gets them."""
    if recipe.data.dataset.startswith("npz:"):  # of which a few rows are enough
        recipe = recipe.with_({"data.in_memory": "no"}, origin="--mode=preview")
    inputs = load_inputs(recipe)
    settings = view_settings(recipe, inputs.preprocessing)
    images = inputs.data.pretraining_images
    print(f"data       {describe_data(inputs)}")
    settings["batch_size"] = min(settings["batch_size"], len(images))
    batch = first_batch(images, seed=recipe.training.seed, **settings)
    grid = preview_grid(images, batch, count, mean=settings["mean"], std=settings["std"])
    directory.mkdir(parents=True, exist_ok=True)
    return write_png(grid, directory / "preview.png")
