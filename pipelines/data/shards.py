"""Names of record files: which of them a pattern means, and which part of the data each holds."""

import glob
import os
import re

from keras_ssl.core.errors import UserError

_ENDINGS = (".tfrecord", ".tfrec")
_SHARDED = re.compile(r"@(\d+)(?=\.\w+$|$)")  # train.tfrecord@10 or train@10.tfrecord
_NUMBERED = re.compile(r"-(\d{5})-of-(\d{5})")
_PARTS = {
    "train": ("train", "training"),
    "test": ("test",),
    "validation": ("validation", "valid", "val"),
    "unlabeled": ("unlabelled", "unlabeled"),
}


def find_shards(pattern):
    """Files that a pattern means, in order.

    Args:
        pattern: a directory, of which every `*.tfrecord*` counts; `NAME@N`, for the files
            NAME-00000-of-N and so on; a pattern as of a shell; or one file.

    Raises:
        UserError: if there is none, or a directory or `NAME@N` lacks numbered files.
    """
    if "://" in pattern:
        raise UserError(f"{pattern} is not on a local disk: records are read by position from one.")
    whole = os.path.isdir(pattern)
    if whole:
        files = [os.path.join(pattern, name) for name in sorted(os.listdir(pattern))]
        files = [file for file in files if _is_records(file)]
    elif os.path.exists(pattern):
        return [pattern]
    else:
        whole = bool(_SHARDED.search(pattern))
        pattern = _SHARDED.sub(lambda match: f"-?????-of-{int(match[1]):05d}", pattern)
        files = sorted(file for file in glob.glob(pattern) if os.path.isfile(file))
    if not files:
        none = f"No file fits {pattern}"
        raise UserError(
            f"{f'{pattern} has no *.tfrecord files' if os.path.isdir(pattern) else none}. Give a "
            "directory of TFRecord files, a pattern or NAME@N, as tfrecord:PATTERN."
        )
    if whole:
        _check_numbers(files)
    return files


def _is_records(file):
    name = os.path.basename(file)
    return os.path.isfile(file) and name[0] != "." and any(part in name for part in _ENDINGS)


def _check_numbers(files):
    there = set(files)
    for file in files:
        found = _NUMBERED.search(os.path.basename(file))
        for number in range(int(found[2]) if found else 0):
            folder, name = os.path.split(file)
            other = _NUMBERED.sub(f"-{number:05d}-of-{found[2]}", name)
            if os.path.join(folder, other) not in there:
                raise UserError(
                    f"{os.path.join(folder, other)} is missing. Copy it there, or give a pattern "
                    "of the files that are to be read."
                )


def parts_of(files):
    """{"train", "test", "validation", "unlabeled" or "": its files}, by the names of the files.

    Example:

    >>> parts_of(["x/train-0.tfrecord", "x/set-test.tfrecord-00000-of-00001"])
    {'train': ['x/train-0.tfrecord'], 'test': ['x/set-test.tfrecord-00000-of-00001']}
    """
    parts = {}
    for file in files:
        words = re.split(r"[^a-z]+", os.path.basename(file).lower())
        named = (part for part, names in _PARTS.items() if any(name in words for name in names))
        parts.setdefault(next(named, ""), []).append(file)
    return parts
