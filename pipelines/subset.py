"""Write a balanced subset of a data set as an .npz file.

    python -m pipelines.subset OUT.npz [DATASET] [--train=N] [--test=N] [--seed=S] [--image_size=N]

Without more, it is the subset of CIFAR-10 that the figures of the documents are made with: 10,000
training images (1,000 of each class) and 5,000 test images (500 of each class) of the official
parts, by the official positions in `cifar10_subset.npz` beside this file. CIFAR-10 itself comes
from TensorFlow Datasets, which downloads it once.

Of any other data set, or with other numbers, `--train` and `--test` images of each class are drawn;
with `--test=0` there is no test part.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from pipelines.lazy import stand_in

if __name__ == "__main__":
    stand_in("keras_ssl")

from keras_ssl.core import environment  # noqa: E402
from keras_ssl.core.constants import DATASET_PREFIXES  # noqa: E402
from keras_ssl.core.errors import UserError  # noqa: E402
from keras_ssl.core.files import written_aside  # noqa: E402
from pipelines.data.names import EMBEDDED, SUBSETS, check_exists, check_name  # noqa: E402

_POSITIONS = Path(__file__).with_name("cifar10_subset.npz")
_PER_CLASS = {"train": 1000, "test": 500}


def positions():
    """Official positions of the subset's rows, in order: {"train": (10000,), "test": (5000,)}."""
    with np.load(_POSITIONS) as file:
        return {part: file[part].astype(np.int64) for part in ("train", "test")}


def take(examples, wanted):
    """Images and labels at the wanted official positions, in that order.

    Args:
        examples: iterable of {"id": b"train_00042", "image": uint8 array, "label": int}, the form
            of TensorFlow Datasets; the number in `id` is the official position.
        wanted: int (N,).

    Returns:
        images uint8 (N, height, width, channels), labels int64 (N,).

    Raises:
        UserError: if a position is missing.

    Example:

    >>> examples = [{"id": b"test_3", "image": np.zeros((2, 2, 1), "uint8"), "label": 7}]
    >>> take(examples, np.array([3]))[1]
    array([7])
    """
    row_of = {int(position): row for row, position in enumerate(wanted)}
    images, labels = [None] * len(wanted), np.empty(len(wanted), np.int64)
    for example in examples:
        row = row_of.get(_position(example["id"]))
        if row is not None:
            images[row], labels[row] = example["image"], example["label"]
    missing = sum(image is None for image in images)
    if missing:
        raise UserError(f"{missing} of {len(wanted)} images are not in this copy of CIFAR-10.")
    return np.stack(images), labels


def _position(identity):
    return int(identity.decode().rpartition("_")[2])


def cifar10(data_dir=None):
    """Arrays of the subset of CIFAR-10 that the documents use, by name."""
    from pipelines.data.tfds import find, prepare

    builder = find("cifar10", data_dir)
    prepare(builder, "cifar10")
    arrays = {}
    for part, wanted in positions().items():
        examples = builder.as_dataset(split=part).as_numpy_iterator()
        arrays[f"x_{part}"], arrays[f"y_{part}"] = take(examples, wanted)
    return arrays


def draw(labels, per_class, seed, name="the data set", class_names=None):
    """Positions of a balanced subset.

    One generator, `numpy.random.default_rng(seed)`, draws `rng.choice(candidates, k,
    replace=False)` for each class in the order of the labels, the candidates in ascending order,
    first all of train, then all of test; then it orders the rows of train and those of test by
    `rng.permutation`.

    Args:
        labels: {"train", and perhaps "test": int (N,)}.
        per_class: {the same parts: int >= 1, images of each class}.
        seed: int >= 0.
        name: of the data set, for messages.
        class_names: one per class, to name it by, or `None`.

    Returns:
        {the same parts: int64 (classes * images of each,)}.

    Raises:
        UserError: if a class has too few images; names it.

    Example:

    >>> draw({"train": np.array([1, 0, 1, 0])}, {"train": 1}, seed=0)["train"].shape
    (2,)
    """
    rng = np.random.default_rng(seed)
    classes = range(int(labels["train"].max()) + 1)
    chosen = {}
    for part in labels:
        counts = np.bincount(labels[part], minlength=len(classes))
        if counts.min() < per_class[part]:
            least = int(counts.argmin())
            which = f"{least} ({class_names[least]})" if class_names else least
            fits = f"Take --{part}={counts[least]} or less."
            if not counts[least]:
                rest = "" if part == "train" else ", or take --test=0 for no test part"
                fits = f"Leave that class out of the data{rest}."
            raise UserError(
                f"{name}: class {which} has {counts[least]} {part} images; "
                f"--{part}={per_class[part]} of each class are wanted. {fits}"
            )
        candidates = (np.flatnonzero(labels[part] == number) for number in classes)
        rows = [rng.choice(some, per_class[part], replace=False) for some in candidates]
        chosen[part] = np.concatenate(rows)
    return {part: rng.permutation(rows) for part, rows in chosen.items()}


def balanced(name, *, train, test, seed, image_size=None, data_dir=None):
    """Arrays of a balanced subset, by name: x_train, y_train, train_index, ..., names.

    `train_index` and `test_index` are positions in the full parts: the official ones where
    TensorFlow Datasets knows them (CIFAR), else those in the order in which the data set is read.

    Args:
        name: of the data set.
        train, test: int >= 1, images of each class; `test` counts only if there is a test part,
            and 0 leaves that out.
        seed: int >= 0.
        image_size, data_dir: as for `pipelines.data.load.load`.

    Raises:
        UserError: if there are no labels, or too few images of a class.
    """
    from pipelines.data.load import load

    official = _official(name, data_dir)
    in_memory = True if official else None  # rows come in the order of the official positions
    data = load(name, data_dir=data_dir, image_size=image_size, in_memory=in_memory)
    if data.train_labels is None:
        raise UserError(f"'{name}' has no labels, so that no class can be drawn from.")
    images = {"train": data.pretraining_images, "test": data.test_images}
    labels = {"train": data.fitting_labels, "test": data.test_labels if test else None}
    labels = {part: some for part, some in labels.items() if some is not None}
    official = {part: of for part, of in official.items() if len(of) == len(labels.get(part, ()))}
    order = {part: np.argsort(of) for part, of in official.items()}  # rows by official position
    order = {part: order.get(part, np.arange(len(some))) for part, some in labels.items()}
    in_order = {part: some[order[part]] for part, some in labels.items()}
    wanted = {"train": train, "test": test}
    chosen = draw(in_order, wanted, seed, f"'{name}'", data.class_names)
    arrays = {"names": np.array(data.class_names)} if data.class_names else {}
    for part, index in chosen.items():
        rows = order[part][index]
        arrays[f"x_{part}"] = images[part][rows]
        arrays[f"y_{part}"] = labels[part][rows]
        arrays[f"{part}_index"] = official[part][rows] if part in official else index
    return arrays


def _official(name, data_dir):
    """{part: official position of each row}, of sets of TensorFlow Datasets that say it."""
    if name.startswith(DATASET_PREFIXES) or name == EMBEDDED:
        return {}
    from pipelines.data.tfds import find, prepare

    stem = name.partition("#")[0]
    if stem.split(":")[0] in SUBSETS:
        return {}
    builder = find(stem, data_dir)
    if "id" not in (builder.info.features or {}):
        return {}
    prepare(builder, stem)
    parts = [part for part in ("train", "test") if part in builder.info.splits]
    try:
        return {
            part: np.array(
                [_position(each["id"].numpy()) for each in builder.as_dataset(split=part)]
            )
            for part in parts
        }
    except (ValueError, TypeError):  # an `id` of another kind
        return {}


def write(path, arrays):
    """Write arrays to an .npz file, whole or not at all."""
    try:
        with written_aside(path) as aside, open(aside, "wb") as file:
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise UserError(f"{path} could not be written: {error.strerror or error}.") from error


def main(arguments=None):
    """The command line: status 2 and one or two lines for a user's mistake."""
    environment.open_streams()
    usage = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("pipelines.subset", None, __doc__, formatter_class=usage)
    parser.add_argument("out", metavar="OUT.npz")
    parser.add_argument("dataset", nargs="?", default="cifar10")
    for part, count in _PER_CLASS.items():
        parser.add_argument(f"--{part}", type=int, default=count, help="images of each class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--image_size", type=int, help="side of the images")
    parser.add_argument("--data_dir", help="where TensorFlow Datasets keeps its files")
    options = vars(parser.parse_args(arguments))
    environment.set_up()  # before TensorFlow is imported
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    out, name, data_dir = options.pop("out"), options.pop("dataset"), options.pop("data_dir")
    usual = {**_PER_CLASS, "seed": 0, "image_size": None}
    try:
        _check(out, options)
        check_name(name)
        check_exists(name)
        if name == "cifar10" and options == usual:
            arrays = cifar10(data_dir)
        else:
            arrays = balanced(name, **options, data_dir=data_dir)
        write(out, arrays)
        print(f"Wrote {out}.")
    except UserError as error:
        parser.exit(2, f"error: {error}\n")


def _check(out, options):
    if not out.endswith(".npz"):
        raise UserError(f"'{out}' is no name for the result: give one that ends in .npz.")
    folder = os.path.dirname(os.path.abspath(out))
    if not os.path.isdir(folder):
        raise UserError(f"{out} could not be written: there is no folder {folder}. Make it first.")
    for option, least in (("train", 1), ("test", 0), ("seed", 0)):
        if options[option] < least:
            raise UserError(f"--{option}={options[option]}: it must be at least {least}.")


if __name__ == "__main__":
    main()
