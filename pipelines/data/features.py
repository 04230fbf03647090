"""What a set of TensorFlow Datasets offers: features that can be labels, and splits."""

import functools

import numpy as np

from pipelines.errors import DataError, did_you_mean

_TEST_SPLITS = ("test", "validation")
_UNLABELLED_SPLITS = ("unlabelled", "unlabeled")


def label_of(features, wanted, name):
    """Path of the feature that is the label, or `None`: the wanted one, or else `label`.

    Args:
        features: those of a builder.
        wanted: path of a feature, such as "objects/kind", or "".
        name: of the data set, as the user gave it.

    Raises:
        DataError: if the wanted one is not there, or is not one whole number for each image.
    """
    fitting = [path for path, feature in _flat(features) if _is_label(feature)]
    if not wanted:
        return "label" if "label" in fitting else None
    if wanted not in fitting:
        raise DataError(
            f"'{name}': '{wanted}' is no feature that can be a label."
            f"{did_you_mean(wanted, fitting)} There are: {', '.join(fitting) or 'none'}."
        )
    return wanted


def _flat(features, above=""):
    import tensorflow_datasets as tfds

    for name, feature in features.items():
        if isinstance(feature, tfds.features.FeaturesDict):
            yield from _flat(feature, f"{above}{name}/")
        else:
            yield above + name, feature


def _is_label(feature):
    dtype = getattr(feature.dtype, "as_numpy_dtype", feature.dtype)
    return feature.shape == () and np.dtype(dtype).kind in "biu"


def value_at(tree, path):
    """What lies at a path in nested dictionaries.

    Example:

    >>> value_at({"objects": {"kind": 3}}, "objects/kind")
    3
    """
    return functools.reduce(lambda branch, name: branch[name], path.split("/"), tree)


def splits_of(builder, label, name):
    """{"train", and "test" and "unlabelled" if there are any: the split's own name}.

    Raises:
        DataError: without a split `train`.
    """
    there = builder.info.splits
    if "train" not in there:
        raise DataError(f"'{name}' has no split 'train': {', '.join(there)}.")
    tests = [split for split in _TEST_SPLITS if split in there]
    # The test split of ImageNet has no labels: what serves to evaluate is its validation split.
    labelled = [split for split in tests if len(tests) == 1 or _has_labels(builder, split, label)]
    unlabelled = [split for split in _UNLABELLED_SPLITS if split in there]
    found = {"train": ["train"], "test": labelled or tests, "unlabelled": unlabelled}
    return {part: names[0] for part, names in found.items() if names}


def _has_labels(builder, split, label):
    first = next(iter(builder.as_dataset(split=split).take(1)), None)
    return label is not None and first is not None and int(value_at(first, label)) >= 0


def class_names_of(builder, label):
    """Names of the classes, or `None` where a set has none."""
    names = getattr(value_at(builder.info.features, label), "names", None) if label else None
    return tuple(names) if names else None
