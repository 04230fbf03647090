"""Other data sets than that of a run, as its encoder takes them and its classes are numbered."""

import functools
from dataclasses import replace

import numpy as np

from keras_ssl.core.errors import UserError
from pipelines.data.image_array import cropped
from pipelines.data.load import load, load_test_part
from pipelines.data.names import EMBEDDED, is_member
from stages.inputs import in_memory


def load_other(name, recipe, preprocessing):
    """A data set with the channels that the encoder takes.

    Raises:
        UserError: if it cannot be read, lacks labels or a test part, or is in color where the
            encoder takes gray.
    """
    # Arrays stay in their own size, from which the preprocessing resizes as in evaluation.
    settings = {
        "data_dir": recipe.data.data_dir,
        "image_size": None if keeps_its_size(name) else preprocessing.image_size,
        "in_memory": in_memory(recipe.data),
    }
    data = load(name, **settings)
    if data.train_labels is None or data.test_labels is None:
        lacks = "is no test part" if data.test_images is None else "are no labels for both parts"
        raise UserError(f"It needs labelled train and test images; there {lacks}.")
    parts = {
        part: in_channels(getattr(data, part), preprocessing.channels, name)
        for part in ("train_images", "test_images")
    }
    return replace(data, **parts)


def shifted_part(dataset, settings, data):
    """The test part of `dataset`, in the size, the channels and the class numbers of `data`.

    Two sets at most are kept for other representations; of the many that one name stands for none.
    Arrays stay in their own size where the images of `data` are not square.

    Args:
        dataset: str.
        settings: the section `data` of the recipe.
        data: `ImageData` of the run.

    Raises:
        UserError: if it cannot be read, has no labels, or classes that the train labels of `data`
            lack.
    """
    height, width = data.train_images.shape[1:3]
    size = None if height != width and keeps_its_size(dataset) else height
    read = _loaded.__wrapped__ if is_member(dataset) else _loaded
    part = read(dataset, settings.data_dir, size, in_memory(settings))
    if part.labels is None:
        raise UserError(f"'{part.name}' has no labels for its test images.")
    images = in_channels(part.images, data.channels, part.name)
    images = cropped(images, settings.test_crop)
    return replace(part, images=images, labels=labels_in(data, part))


@functools.lru_cache(maxsize=2)
def _loaded(dataset, data_dir, image_size, in_memory):
    """Read once for all representations, where there are no more than two sets."""
    settings = {"image_size": image_size, "in_memory": in_memory}
    return load_test_part(dataset, data_dir=data_dir, **settings)


def keeps_its_size(dataset):
    """Whether a data set is arrays, which can be read in their own size, whatever that is."""
    return dataset == EMBEDDED or dataset.startswith("npz:")


def in_channels(images, channels, name):
    """Images with so many channels: gray ones are replicated, without a copy.

    Raises:
        UserError: for colors that would have to become gray.
    """
    if images.shape[-1] == channels:
        return images
    if images.shape[-1] > channels:
        raise UserError(
            f"The encoder takes gray images, and '{name}' has {images.shape[-1]} channels: make it "
            "gray first."
        )
    return np.broadcast_to(images, (*images.shape[:-1], channels))


def labels_in(data, part):
    """The labels of `part` as the classes of `data` are numbered: by name where both have names.

    Raises:
        UserError: for classes that the train labels of `data` lack.
    """
    labels, names = part.labels, part.class_names
    number = {name: label for label, name in enumerate(data.class_names or ())}
    if _named(names) and _named(data.class_names):
        labels = np.array([number.get(name, -1) for name in names])[labels]
    elif _named(data.class_names) and _are_numbers(data.class_names):
        labels = np.array([number.get(str(label), -1) for label in labels.tolist()])
    elif _named(names) and _are_numbers(names):
        labels = np.array([int(name) for name in names])[labels]
    unknown = ~np.isin(labels, data.train_labels)
    if unknown.any():
        some = [names[label] if names else label for label in np.unique(part.labels[unknown])]
        more = ", ..." if len(some) > 5 else ""
        raise UserError(
            f"'{part.name}' has classes that '{data.name}' has no train image of: "
            f"{', '.join(map(str, some[:5]))}{more}. Classes are matched by their names where both "
            "data sets have names, otherwise by their numbers."
        )
    return labels


def _named(names):
    """Whether names say more than the numbers of the classes."""
    return names is not None and any(name != str(label) for label, name in enumerate(names))


def _are_numbers(names):
    """Whether the names are the labels that a file had, which were numbered anew."""
    return all(name.isdigit() for name in names)
