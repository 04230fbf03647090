"""One look at every record of some files: where it lies, and what its image claims to be."""

import os

import numpy as np
import tensorflow as tf

from pipelines.data.fingerprint import key_of
from pipelines.data.framing import records_in
from pipelines.errors import DataError
from pipelines.images.claims import Unusable
from pipelines.images.reading import check_content
from pipelines.progress import Progress
from pipelines.threads import in_threads

COLUMNS = {
    "shard": np.int32,
    "offset": np.int64,
    "length": np.int64,
    "height": np.int32,
    "width": np.int32,
    "orientation": np.uint8,
    "jpeg": bool,
    "gray": bool,
    "label": np.int64,
    "key": np.uint64,
}


def scan_all(shards, image_keys, label_keys, log):
    """Look at all records of some files.

    Args:
        shards: paths of the files.
        image_keys, label_keys: names of the features, of which the first that is there counts.
        log: called with each line for the user.

    Returns:
        Columns (N,) by the names of `COLUMNS`, the name of the feature of the image, and
        (record, reason) of those that hold no usable image.

    Raises:
        DataError: for a file that cannot be read, is cut off or is of another form; names it.
    """

    tables, skipped, features = [_columns([])], [], set()
    size = sum(os.path.getsize(shard) for shard in shards) / 2**20
    with Progress(f"Indexing {os.path.dirname(shards[0])}", "MiB", size, log=log) as progress:

        def scan(number):
            return _scan(number, shards[number], image_keys, label_keys, progress)

        for table, passed, feature in in_threads(scan, range(len(shards))):
            tables.append(table)
            skipped += passed
            features |= {feature} - {None}
    if len(features) > 1:
        names = ", ".join(sorted(features))
        raise DataError(f"The images have different names in the files: {names}.")
    columns = {name: np.concatenate([table[name] for table in tables]) for name in COLUMNS}
    return columns, next(iter(features), image_keys[0]), tuple(skipped)


def _columns(rows):
    columns = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    pairs = zip(COLUMNS.items(), columns, strict=True)
    return {name: np.array(column, dtype) for (name, dtype), column in pairs}


def _scan(number, shard, image_keys, label_keys, progress):
    """Columns of one file, what was skipped, and the name of the feature of the image."""
    rows, skipped, feature = [], [], None
    for offset, record in records_in(shard):
        progress.add(len(record) / 2**20)
        where = f"{shard} (record at byte {offset})"
        values = _features(record, where)
        if feature is None:
            feature = next((key for key in image_keys if key in values), None)
        if feature is None or feature not in values or not values[feature].bytes_list.value:
            there = ", ".join(sorted(values)) or "nothing"
            wanted = " or ".join(image_keys)
            raise DataError(f"{where} has no encoded image {wanted}; it has {there}.")
        content = values[feature].bytes_list.value[0]
        try:
            header = check_content(content)
        except Unusable as reason:
            skipped.append((where, str(reason)))
            continue
        rows.append(
            (
                number,
                offset,
                len(record),
                header.height,
                header.width,
                header.orientation,
                header.kind == "jpeg",
                header.kind == "png" and content[25] in (0, 4),  # the colour type of PNG
                _label(values, label_keys),
                key_of(content),
            )
        )
    return _columns(rows), skipped, feature


def _features(record, where):
    from google.protobuf.message import DecodeError

    try:
        return tf.train.Example.FromString(record).features.feature
    except DecodeError as error:
        raise DataError(f"{where} is not a tf.train.Example.") from error


def _label(values, label_keys):
    key = next((key for key in label_keys if key in values), None)
    numbers = values[key].int64_list.value if key else ()
    return numbers[0] if len(numbers) == 1 else -1
