"""Data sets by their names: what each is, and which recipe fits it."""

import os
import re

from keras_ssl.core.constants import DATASET_PREFIXES

DESCRIPTIONS = {
    "digits": "1,797 handwritten digits of 8x8 pixels, part of scikit-learn",
    "npz:PATH": "a file with the arrays x_train, y_train, x_test, y_test",
    "folder:PATH": "a folder of images; its subfolders, if there are any, are the classes",
    "tfrecord:PATTERN": "TensorFlow records of encoded images, such as those of pipelines.convert",
    "NAME": "any image set of TensorFlow Datasets, such as cifar10 or stl10",
    "NAME#FEATURE": "the same with another feature as the label, such as cifar100#coarse_label",
    "imagenet100": "the 100 classes of imagenet2012 that CMC drew",
}

_RECIPE_OF = {
    "digits": "digits",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "imagenet2012": "imagenet",
    "imagenet100": "imagenet",
    "svhn_cropped": "small/svhn",
}
# What a family's published results are of, unless a recipe says otherwise.
PUBLISHED_ON = {
    "digits": "digits",
    "small": "",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "imagenet": "imagenet2012",
}


def recipe_of(dataset):
    """The recipe that fits a data set by its name: that of small images where nothing is known.

    A method that does not have it takes that of the family, which its name begins with.

    Example:

    >>> recipe_of("cifar10:3.0.2"), recipe_of("cifar100#coarse_label"), recipe_of("npz:images.npz")
    ('cifar10', 'cifar100', 'small')
    """
    return _RECIPE_OF.get(re.split("[/:#]", dataset)[0], "small")


def from_anywhere(key, value):
    """The value of a setting, with a path in it written so that it holds in every directory.

    Example:

    >>> from_anywhere("data.dataset", "npz:/data/../images.npz")
    'npz:/images.npz'
    >>> from_anywhere("evaluation.shifted", ("imagenet_v2", "npz:/b.npz"))
    ('imagenet_v2', 'npz:/b.npz')
    """
    if key == "data.data_dir" and value:
        return _absolute(value)
    if key in ("transfer.datasets", "evaluation.shifted"):
        return tuple(from_anywhere("data.dataset", name) for name in value)
    if key == "data.dataset":
        for prefix in DATASET_PREFIXES:
            if value.startswith(prefix) and value != prefix:
                return prefix + _absolute(value.removeprefix(prefix))
    return value


def _absolute(path):
    remote = "://" in path  # a bucket
    return path if remote else os.path.abspath(os.path.expanduser(path))
