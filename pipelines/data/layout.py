"""Which folders are the parts of a data set, and where its images and classes lie."""

import itertools
import os

from pipelines.data.listing import (
    IMAGES,
    files_in,
    folders_in,
    has_files,
    has_image,
    identity_of,
)
from pipelines.data.part_names import TESTS, is_annotations, parts_of, unclear_pairs
from pipelines.errors import DataError

_PICTURES = ("images", "image", "imgs", "img", "pictures", "photos", "jpegimages")
_TABLES = (".csv", ".tsv", ".json", ".xlsx", ".parquet")
_NAMED = 5


def alike(test, within, train):
    """Where the classes of the test part lie: as deep as in the training part, if they do.

    Args:
        test: path of the test part.
        within: path below the training part, of the folder with its classes.
        train: name of the training part, which may come again below: seg_train/seg_train.
    """
    found = os.path.join(descend(test), "")
    own = [os.path.basename(test) if name == train else name for name in within.split(os.sep)]
    for below in (within, os.path.join(*own)):
        folder = os.path.normpath(os.path.join(test, below))
        if found.startswith(os.path.join(folder, "")):
            return folder
    return test


def descend(root, log=lambda line: None):
    """The folder that counts: `root`, or the one in it that holds everything."""
    folder, seen = root, set()
    while identity_of(folder) not in seen:
        seen.add(identity_of(folder))
        name, others = _only_one(folder)
        if name is None:
            break
        if others:
            log(f"{folder}: images are read from {name}. Not read: {_listed(others)}.")
        folder = os.path.join(folder, name)
    if folder != root:
        log(f"{root}: images are read from {folder}; what lies there gives parts and classes.")
    return folder


def _only_one(folder):
    """The one folder with images to read in a folder, or `None`, and what lies beside it."""
    names = folders_in(folder)
    parts = parts_of(names)
    if any(part in ("train", *TESTS) for part in parts.values()) and len(names) > 1:
        return None, []
    loose = files_in(folder, IMAGES)
    pictures = [name for name in names if name.casefold() in _PICTURES]
    if pictures and any(map(is_annotations, names)):
        _check_one_of_pictures(folder, pictures)
        return pictures[0], [name for name in names if name != pictures[0]] + loose
    named = [name for name in names if parts[name] != "unlabeled"] or names
    filled = (name for name in named if has_files(os.path.join(folder, name), has_image))
    filled = list(itertools.islice(filled, 2))
    if len(filled) != 1 or parts[filled[0]] in ("train", *TESTS) or loose:
        return None, []
    others = [name for name in names if name != filled[0]]
    return filled[0], [name for name in others if has_files(os.path.join(folder, name))]


def _check_one_of_pictures(folder, pictures):
    if len(pictures) > 1:
        raise DataError(
            f"{folder} has {' and '.join(pictures)} beside annotations: each could hold the "
            f"images. Give the one to read, such as {folder}/{pictures[0]}; or, if these are "
            "classes, give them other names."
        )


def choose(top, log):
    """Paths of the training part, which may be `top` itself, and of the test part if any."""
    found = {}
    for name, part in parts_of(folders_in(top)).items():
        found.setdefault(part, []).append(name)
    train, tests = found.get("train", ()), [part for part in TESTS if part in found]
    if not train:
        if tests:
            test = found[tests[0]][0]
            raise DataError(
                f"{top} has a folder {test}, which would be a test part, but no folder train. Put "
                f"the training images into {top}/train; or give {top}/{test} itself; or, if "
                "it is a class, give it another name."
            )
        _check_clear(top, found.get(None, ()))
        return [top]
    _check_one(top, train, "training")
    used = next((part for part in tests if any(has_files(f"{top}/{n}") for n in found[part])), "")
    test = found[used] if used else []
    if used:
        _check_one(top, test, "test")
    others = [name for names in found.values() for name in names if name not in (train[0], *test)]
    others = [name for name in others if has_files(os.path.join(top, name))]
    classes = [name for name in others if name in found.get(None, ())]
    classes = [name for name in classes if has_files(os.path.join(top, name), has_image)]
    if not tests and classes:
        raise DataError(
            f"{top} has a folder {train[0]}, which would be the training part, beside "
            f"{_listed(classes)} with images. If these are classes too, give {train[0]} another "
            f"name; if not, give {top}/{train[0]} itself."
        )
    log(
        f"{top}: {train[0]} is the training part"
        + (f", {test[0]} the test part." if test else ".")
        + (f" Not read: {_listed(others)}." if others else "")
    )
    return [os.path.join(top, name) for name in (train[0], *test)]


def _check_clear(top, names):
    for pair in unclear_pairs(names):
        if all(has_files(os.path.join(top, name), has_image) for name in pair):
            raise DataError(
                f"{top} has {' and '.join(pair)}, which could be parts or classes. If they are "
                "parts, call them train and test; if they are classes, give one another name."
            )


def check_no_parts(folder, names):
    """Refuse a folder of a class that has parts: its test images would be trained on."""
    found = parts_of(names)
    tests = [name for name in names if found[name] in TESTS]
    if tests and "train" in found.values():
        train = next(name for name in names if found[name] == "train")
        raise DataError(
            f"{folder} has {train} and {tests[0]}, but lies where images or classes are expected. "
            "Give that folder itself, or put parts above classes, as train/CLASS and test/CLASS."
        )


def _check_one(top, names, part):
    if len(names) > 1:
        raise DataError(
            f"{top} has {' and '.join(names)}: each could be the {part} part. Leave one there, or "
            "put their files together."
        )


def _listed(names):
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def tell_tables(folders, log):
    """Say which tables of some folders are not read."""
    tables = [
        os.path.join(folder, name) for folder in folders for name in files_in(folder, _TABLES)
    ]
    if tables:
        log(
            f"Not read: {_listed(tables)}. Labels come from folders: put the images of each class "
            "into one of its own, or give arrays as npz:PATH."
        )
