"""Image sets of TensorFlow Datasets: small ones as arrays, large ones as records read by place."""

import functools
import itertools
import urllib.parse
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import UserError, did_you_mean
from pipelines.data.image_data import SAMPLE, ImageData, check_memory, common_side, keep_in_memory
from pipelines.data.names import EMBEDDED, PER_CLASS, SUBSETS
from pipelines.data.records import index_records
from pipelines.data.tfrecord import assemble
from pipelines.files import progress
from pipelines.images.resizing import resize_to_square

_LISTS = Path(__file__).parents[1] / "class_lists"
_TEST_SPLITS = ("test", "validation")
_UNLABELED_SPLITS = ("unlabelled", "unlabeled")


def load_from_catalog(name, *, data_dir=None, image_size=None, in_memory=None, log=print):
    """Read the splits `train`, `validation` and `test` of a TensorFlow Datasets set.

    Images of one square size stay as they are; others become squares of `image_size`, by default a
    usual size that half of the first hundred have. The test part is the first of `test` and
    `validation` that has labels. Where both have, `validation` comes before the other training
    images and `validation_rows` says so: settings are chosen by it, nothing is pretrained on it. A
    split `unlabelled` (STL-10) adds to what is pretrained on; others, such as `extra` of SVHN, are
    not read. Sets that do not fit into memory stay in their record files.

    Args:
        name: as TensorFlow Datasets writes it: name, name/config or name:version; with
            `#FEATURE` behind it, that feature is the label, as in `cifar100#coarse_label`.
            `imagenet100` is imagenet2012 with the 100 classes of `class_lists/imagenet100.txt`,
            labels 0 to 99 in the order of their WordNet ids; `mini_imagenet` has those of
            `class_lists/mini_imagenet.txt`, of each the first 500 images of the split `train` for
            training and the next 100 for testing, in the order in which its files have them.
        data_dir: where TensorFlow Datasets keeps its files; by default its own place.
        image_size: side of the images.
        in_memory: as for `pipelines.data.load.load`.
        log: called with each line for the user.

    Raises:
        UserError: if the name is unknown, the set cannot be loaded, or it is not one of images.
    """
    return _load(name, splits_of, data_dir, image_size, in_memory, log)


def load_test_split(name, *, data_dir=None, image_size=None, in_memory=None, log=print):
    """Read the test part alone, of a set that may have no split `train`.

    Args:
        name, data_dir, image_size, in_memory, log: as for `load_from_catalog`.

    Returns:
        (images, labels or `None`, class names or `None`).

    Raises:
        UserError: as `load_from_catalog` does, but for the split `train`.
    """
    if _base(name) in PER_CLASS:
        data = _load(name, splits_of, data_dir, image_size, in_memory, log)
        return data.test_images, data.test_labels, data.class_names
    data = _load(name, _only_test, data_dir, image_size, in_memory, log)
    return data.train_images, data.train_labels, data.class_names


def _base(name):
    """A name without feature and version."""
    return name.partition("#")[0].split(":")[0]


def _only_test(builder, label, name):
    """The split to evaluate on, in the place of the training part, as `_load` takes it."""
    there = builder.info.splits
    tests = {split: split for split in _TEST_SPLITS if split in there}
    if "train" in there:
        tests = splits_of(builder, label, name)
    split = tests.get("test", tests.get("validation"))
    if split is None:
        raise UserError(f"'{name}' has no split 'test' or 'validation': {', '.join(there)}.")
    return {"train": split}


def _load(name, choose, data_dir, image_size, in_memory, log):
    """`ImageData` of the splits that `choose(builder, label, name)` says."""
    stem, _, wanted = name.partition("#")
    base = _base(name)
    source = SUBSETS.get(base, base) + stem.removeprefix(base)
    builder = find(source, data_dir)
    features = builder.info.features
    if "image" not in (features or {}):
        raise UserError(f"'{name}' has no feature 'image': {', '.join(features or ['none'])}.")
    label = label_of(features, wanted, name)
    prepare(builder, source)
    splits = choose(builder, label, name)
    channels = features["image"].shape[-1]
    if channels not in (1, 3):
        raise UserError(f"'{name}' has images of {channels} channels; 1 or 3 are needed.")
    settings = {"image_size": image_size, "in_memory": in_memory, "log": log}
    if base in SUBSETS:
        of = {"wanted": classes_of(base), "per_class": PER_CLASS.get(base)}
        splits = {"train": splits["train"]} if base in PER_CLASS else splits
        return _from_records(name, builder, splits, label, **of, **settings)
    side = image_size or _choose_size(builder, splits["train"], log)
    count = sum(builder.info.splits[split].num_examples for split in splits.values())
    if not keep_in_memory(in_memory, count, side, channels):
        settings |= {"image_size": side, "in_memory": False}
        return _from_records(name, builder, splits, label, **settings)
    check_memory(count, side, channels, name)
    return _from_arrays(name, builder, splits, label, side, log)


def classes_of(subset):
    """WordNet ids of the classes of a subset of ImageNet, in order of its labels.

    Example:

    >>> classes_of("imagenet100")[:2]
    ('n01558993', 'n01692333')
    """
    lines = (_LISTS / f"{subset}.txt").read_text().splitlines()
    return tuple(line.split()[0] for line in lines if not line.startswith("#"))


def _from_records(
    name, builder, splits, label, wanted=None, per_class=None, *, image_size, in_memory, log
):
    """`ImageData` from the record files of a set.

    Args:
        wanted: names of the classes that are read; `None` for all.
        per_class: {part: images of each class}, all of the split for training; `None` for all
            images of each split.
    """
    form = getattr(builder.info.file_format, "value", "unknown")
    if form != "tfrecord":
        raise UserError(
            f"'{name}' is prepared as {form} files; what is not kept in memory is read from "
            "tfrecord files. Prepare it with file_format='tfrecord', or take a smaller "
            "image_size."
        )
    files = {
        part: [str(path) for path in builder.info.splits[split].filepaths]
        for part, split in splits.items()
    }
    index = index_records(
        [file for part in files.values() for file in part],
        image_keys=("image",),
        label_keys=(label,) if label else (),
        log=log,
    )
    labels, class_names = index.columns["label"], class_names_of(builder, label)
    if wanted is not None:
        labels, class_names = _renumbered(labels, class_names, wanted), wanted
    rows = {part: index.rows_of(of) for part, of in files.items()}
    if wanted is not None:
        rows = {part: of[labels[of] >= 0] for part, of in rows.items()}
    if per_class is not None:
        rows = _first_of_each(rows["train"], labels, per_class, name, class_names)
    if not len(rows["train"]):
        raise UserError(f"'{name}' has no usable image.")
    settings = {"image_size": image_size, "in_memory": in_memory, "log": log}
    return assemble(name, index, rows, labels, class_names, hold_out=False, **settings)


def _first_of_each(rows, labels, per_class, name, class_names):
    """{part: the next so many rows of each class}, in their order.

    Raises:
        UserError: if a class has too few.
    """
    found = [rows[labels[rows] == number] for number in range(len(class_names))]
    fewest, needed = min(found, key=len), sum(per_class.values())
    if len(fewest) < needed:
        which = class_names[next(n for n, of in enumerate(found) if of is fewest)]
        raise UserError(
            f"'{name}': class {which} has {len(fewest)} images; {needed} are needed. Prepare the "
            "whole split 'train'."
        )
    parts, start = {}, 0
    for part, count in per_class.items():
        parts[part] = np.sort(np.concatenate([of[start : start + count] for of in found]))
        start += count
    return parts


def _renumbered(labels, names, wanted):
    """Labels by the place of their class in `wanted`, -1 for the classes that are not in it."""
    number = {name: place for place, name in enumerate(wanted)}
    table = np.array([number.get(name, -1) for name in names] + [-1])
    return table[labels]


def _choose_size(builder, split, log):
    height, width, _ = builder.info.features["image"].shape
    if height is not None and height == width:
        return height
    examples = itertools.islice(builder.as_dataset(split=split), SAMPLE)
    side = common_side([min(example["image"].shape[:2]) for example in examples])
    log(f"Images are resized to {side} pixels; --set data.image_size=N takes another size.")
    return side


def _from_arrays(name, builder, splits, label, side, log):
    # Validation first and unlabeled last: what is trained on and what is pretrained on are slices.
    parts = [part for part in ("validation", "train", "unlabeled") if part in splits]
    images, labels = _read(name, builder, [splits[part] for part in parts], label, side, log)
    sizes = {part: builder.info.splits[splits[part]].num_examples for part in parts}
    own = sizes.get("validation", 0)
    count = own + sizes["train"]
    test_images = test_labels = None
    if "test" in splits:
        test_images, test_labels = _read(name, builder, [splits["test"]], label, side, log)
        test_labels = _known(test_labels)
    train_labels = _known(labels[:count])
    return ImageData(
        name,
        images[:count],
        train_labels,
        test_images,
        test_labels,
        class_names_of(builder, label) if train_labels is not None else None,
        with_unlabeled=images[own:] if "unlabeled" in splits else None,
        validation_rows=np.arange(own) if own else None,
    )


def _known(labels):
    return labels if labels.min() >= 0 else None


def _read(name, builder, splits, label, side, log):
    """Images of splits, one behind the other, and labels, -1 for none."""

    def square(example):
        number = -1 if label is None else tf.cast(value_at(example, label), tf.int64)
        return resize_to_square(example["image"], side), number

    counts = [builder.info.splits[split].num_examples for split in splits]
    channels = builder.info.features["image"].shape[-1]
    images = np.empty((sum(counts), side, side, channels), np.uint8)
    labels, row = np.empty(len(images), np.int64), 0
    with progress(f"Reading {name}", "images", len(images), log=log) as bar:
        for split in splits:
            examples = builder.as_dataset(split=split)
            examples = examples.map(square, num_parallel_calls=tf.data.AUTOTUNE)
            for some, numbers in examples.batch(256).as_numpy_iterator():
                images[row : row + len(some)], labels[row : row + len(some)] = some, numbers
                row += len(some)
                bar.update(len(some))
    return images, labels


def find(name, data_dir=None):
    """The builder of a TensorFlow Datasets set.

    Raises:
        UserError: if there is none of that name.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            f"'{name}' would come from TensorFlow Datasets, which cannot be imported ({error}). "
            "Install it: pip install tensorflow-datasets."
        ) from error
    try:
        return tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # TFDS raises what its many builders raise
        known = tfds.list_builders(with_community_datasets=False)
        if name.split("/")[0].split(":")[0] in known:
            what = _first_line(error)
            raise UserError(
                f"'{name}' cannot be loaded from TensorFlow Datasets: {what}"
            ) from error
        suggestion = did_you_mean(name, [EMBEDDED, *SUBSETS, *known])
        raise UserError(
            f"Unknown data set '{name}'.{suggestion} Use digits, npz:PATH, folder:PATH, "
            "tfrecord:PATTERN or a name of TensorFlow Datasets."
        ) from error


def prepare(builder, name):
    """Download and prepare a set, unless it lies prepared on this machine.

    Raises:
        UserError: if that fails, which may take TensorFlow Datasets minutes without a network.
    """
    try:
        builder.download_and_prepare()
    except Exception as error:  # network, disk, checksums, manual downloads
        raise UserError(
            f"'{name}' could not be downloaded and prepared: {_reason(error)}\n"
            "Prepare it where there is a network and give its folder as data_dir, or use npz:, "
            "folder: or tfrecord:."
        ) from error


def _reason(error):
    """Why a download failed: the host that gave no answer, or what the error says first."""
    cause = error
    while cause is not None:
        url = getattr(getattr(cause, "request", None), "url", None)
        if url and getattr(cause, "response", None) is None:
            return f"no answer from {urllib.parse.urlsplit(url).hostname}."
        cause = cause.__cause__ or cause.__context__
    return _first_line(error)


def _first_line(error):
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no details'}"


def label_of(features, wanted, name):
    """Path of the feature that is the label, or `None`: the wanted one, or else `label`.

    Args:
        features: those of a builder.
        wanted: path of a feature, such as "objects/kind", or "".
        name: of the data set, as the user gave it.

    Raises:
        UserError: if the wanted one is not there, or is not one whole number for each image.
    """
    fitting = [path for path, feature in _flat(features) if _is_label(feature)]
    if not wanted:
        return "label" if "label" in fitting else None
    if wanted not in fitting:
        raise UserError(
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
    """{"train", and "test", "validation" and "unlabeled" if there are any: the split's own name}.

    "validation" only beside another test part, where both have labels.

    Raises:
        UserError: without a split `train`.
    """
    there = builder.info.splits
    if "train" not in there:
        raise UserError(f"'{name}' has no split 'train': {', '.join(there)}.")
    tests = [split for split in _TEST_SPLITS if split in there]
    # The test split of ImageNet has no labels: what serves to evaluate is its validation split.
    labeled = [split for split in tests if len(tests) == 1 or _has_labels(builder, split, label)]
    unlabeled = [split for split in _UNLABELED_SPLITS if split in there]
    found = {"train": ["train"], "test": labeled or tests, "unlabeled": unlabeled}
    found["validation"] = labeled[1:]
    return {part: names[0] for part, names in found.items() if names}


def _has_labels(builder, split, label):
    first = next(iter(builder.as_dataset(split=split).take(1)), None)
    return label is not None and first is not None and int(value_at(first, label)) >= 0


def class_names_of(builder, label):
    """Names of the classes, or `None` where a set has none."""
    names = getattr(value_at(builder.info.features, label), "names", None) if label else None
    return tuple(names) if names else None
