"""Images from TFRecord files, such as those that `pipelines.convert` writes."""

import os

import numpy as np

from keras_ssl.core.errors import UserError
from pipelines.data.fingerprint import Files
from pipelines.data.image_data import (
    ImageData,
    check_memory,
    common_side,
    dense_labels,
    hold_out_mask,
    keep_in_memory,
    listed_by_reason,
)
from pipelines.data.records import index_records
from pipelines.data.shards import find_shards, parts_of

_ORDER = ("validation", "train", "unlabeled", "test")  # so that what is trained on lies together


def load_tfrecord(pattern, *, image_size=None, in_memory=None, log=print):
    """Read records of `tf.train.Example` with an encoded image, and perhaps a label.

    The image is the feature `image/encoded` or `image`, the label `image/class/label` or `label`.
    Files named train, test (or else validation) and unlabelled are these parts; if none is named
    train, all are the training part. Beside a test part, labeled files named validation are what
    settings are chosen by (`ImageData.validation_rows`). With labels and no test part, about a
    fifth of every class is held out, each image by its own content. Names of the classes come from
    `classes.txt` in their folder, one a line.

    Labels count from 0; those with gaps and without names are numbered anew. Where the smallest is
    1, and the list of classes has no name beyond the largest, they are taken to count from 1, and
    the log says so.

    Args:
        pattern: directory, pattern, NAME@N, or file; see `find_shards`.
        image_size: side of the images; by default theirs if it is one, else a usual size that half
            of them have.
        in_memory: as for `pipelines.data.load.load`.
        log: called with each line for the user.

    Raises:
        UserError: if there is no such file, one is damaged, or the labels do not fit.
    """
    name, files = f"tfrecord:{pattern}", find_shards(pattern)
    parts = _choose_parts(parts_of(files), name, log)
    chosen = [file for part in parts.values() for file in part]
    index = index_records(chosen, log=log)
    rows = {part: index.rows_of(map(os.path.abspath, of)) for part, of in parts.items()}
    if not len(rows["train"]):
        raise UserError(f"{name} has no usable image.{listed_by_reason(index.skipped)}")
    if index.skipped:
        log(f"{name}: skipped {len(index.skipped)} records.{listed_by_reason(index.skipped)}")
    class_names = _class_names(os.path.dirname(os.path.abspath(files[0])))
    labels = _from_zero(index.columns["label"], class_names, name, log)
    known = labels >= 0
    if class_names is None and known.any():
        (dense,), class_names = dense_labels([labels[known]], name, log)
        labels = labels.copy()
        labels[known] = dense
    settings = {"image_size": image_size, "in_memory": in_memory, "log": log}
    return assemble(name, index, rows, labels, class_names, **settings)


def _choose_parts(found, name, log):
    if "train" not in found:
        return {"train": [file for part in found.values() for file in part]}
    parts = {part: found[part] for part in _ORDER if part in found}
    if "validation" in parts and "test" not in parts:
        parts["test"] = parts.pop("validation")
    used = sum(map(len, parts.values()))
    unused = [file for part in found.values() for file in part]
    unused = [file for file in unused if not any(file in part for part in parts.values())]
    if unused:
        others = f"{os.path.basename(unused[0])}{' and others' if len(unused) > 1 else ''}"
        log(f"{name}: {len(unused)} of {used + len(unused)} files are not read ({others}).")
    return parts


def _class_names(folder):
    try:
        with open(os.path.join(folder, "classes.txt"), encoding="utf-8") as file:
            return tuple(file.read().splitlines()) or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}/classes.txt cannot be read: {error}.") from error


def _from_zero(labels, class_names, name, log):
    known = labels[labels >= 0]
    if not len(known):
        return labels
    beyond = class_names is None or known.max() >= len(class_names)
    if known.min() == 1 and beyond:
        log(
            f"{name}: labels run from 1 to {known.max()}; they are taken as 0 to {known.max() - 1}."
        )
        labels, known = np.where(labels > 0, labels - 1, labels), known - 1
    if class_names is not None and known.max() >= len(class_names):
        raise UserError(
            f"{name} has the label {known.max()}, but classes.txt has {len(class_names)} names."
        )
    return labels


def assemble(name, index, rows, labels, class_names, *, image_size, in_memory, log, hold_out=True):
    """`ImageData` of the rows of an index of records.

    Args:
        name: as the user gave it.
        index: `RecordIndex`.
        rows: {"train", and perhaps "validation", "test" and "unlabeled": positions in the index};
            a validation part without labels is left out.
        labels: int (N,), one for every row of the index; -1 for none.
        class_names: one per class, or `None`.
        image_size, in_memory, log: as for `pipelines.data.load.load`.
        hold_out: whether a fifth is held out of labeled images without a test part.

    Raises:
        UserError: if only some images of a part have labels, or too much memory is needed.
    """
    rows = {part: rows[part] for part in _ORDER if len(rows.get(part, ()))}
    own_test = "test" in rows
    validation = rows.pop("validation", None)
    if hold_out and not own_test and _labels_of(labels, rows["train"], name) is not None:
        rows |= _hold_out(rows["train"], labels, index.columns["key"], log)
    trained = np.concatenate(list(rows.values()))  # and tested: what a run depends on
    side = image_size or _choose_side(index.columns, trained, log)
    if validation is not None and _are_labeled(labels, validation, rows["train"], name=name):
        rows = {"validation": validation, **rows}
    every = np.concatenate(list(rows.values()))
    channels = 1 if index.columns["gray"][every].all() else 3
    if keep_in_memory(in_memory, len(every), side, channels):
        check_memory(len(every), side, channels, name)
        images = index.images(every, side).in_memory(f"Reading {name}", channels, log)
        parts = {part: images[place] for part, place in _places(rows).items()}
    else:
        images = index.images(every, side)
        parts = {part: images.take(place) for part, place in _places(rows).items()}
    own = [rows[part] for part in ("validation", "train") if part in rows]
    train_labels = _labels_of(labels, np.concatenate(own), name)
    return ImageData(
        name,
        parts["train"],
        train_labels,
        parts.get("test"),
        _labels_of(labels, rows["test"], name) if "test" in rows else None,
        class_names if train_labels is not None else None,
        index.skipped,
        parts["pretraining"] if "unlabeled" in rows else None,
        Files((), index.columns["key"][trained]),
        held_out="test" in rows and not own_test,
        validation_rows=np.arange(len(validation)) if "validation" in rows else None,
    )


def _places(rows):
    """Where each part lies in a row of all, and what is pretrained on: train and unlabeled."""
    own, train, pretraining, every = np.cumsum([len(rows.get(part, ())) for part in _ORDER])
    found = {"train": slice(train), "pretraining": slice(own, pretraining)}
    return found | ({"test": slice(pretraining, every)} if "test" in rows else {})


def _labels_of(labels, rows, name):
    labels = labels[rows]
    missing = int((labels < 0).sum())
    if missing == len(labels):
        return None
    if missing:
        raise UserError(
            f"{name}: {missing} of {len(labels)} images of a part have no label. Label all of them "
            "or none, or put those without into files named unlabelled."
        )
    return labels.astype(np.int64)


def _are_labeled(labels, *parts, name):
    return all(_labels_of(labels, rows, name) is not None for rows in parts)


def _hold_out(rows, labels, keys, log):
    test = hold_out_mask(labels[rows], keys[rows], log)
    return {} if test is None else {"train": rows[~test], "test": rows[test]}


def _choose_side(columns, rows, log):
    sides = np.stack([columns["height"][rows], columns["width"][rows]])
    if sides.min() == sides.max():
        return int(sides.min())
    side = common_side(sides.min(axis=0))
    log(f"Images are resized to {side} pixels; --set data.image_size=N takes another size.")
    return side
