"""TFRecord files read by position: their records, an index of what lies where, and their store."""

import dataclasses
import hashlib
import json
import os
import struct

import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines.data.encoded import EncodedImages
from pipelines.data.fingerprint import key_of
from pipelines.files import in_threads, progress, read_cached, write_cached
from pipelines.images.decoding import check_content
from pipelines.images.headers import MAX_BYTES, Unusable

IMAGE_KEYS = ("image/encoded", "image")
LABEL_KEYS = ("image/class/label", "label")
_FORM = 4  # of the index; another number makes old ones worthless
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


@dataclasses.dataclass(frozen=True)
class RecordStore:
    """Encoded images in records, each read by its place.

    Args:
        shards: paths of the files.
        shard, offset, length: (N,), of each record's content.
        feature: name of the encoded image in the `tf.train.Example`.
        state: changes when the files do.
    """

    shards: tuple[str, ...]
    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    feature: str
    state: str

    def read(self, place):
        """Scalar int64 tensor -> scalar string tensor; in graphs too."""
        record = tf.numpy_function(self._record, [place], tf.string, stateful=False)
        wanted = {self.feature: tf.io.FixedLenFeature((), tf.string)}
        return tf.io.parse_single_example(tf.ensure_shape(record, ()), wanted)[self.feature]

    def name_of(self, place):
        """What to call the record at a place."""
        return f"{self.shards[self.shard[place]]} (record at byte {self.offset[place]})"

    def stamps(self, _):
        """Nothing: `state` changes with the files."""
        return ()

    def _record(self, place):
        # Opened each time: thousands of shards are more than a process may hold open.
        try:
            file = os.open(self.shards[self.shard[place]], os.O_RDONLY)
            try:
                return os.pread(file, int(self.length[place]), int(self.offset[place]))
            finally:
                os.close(file)
        except OSError:
            return b""  # which the parser refuses, as it does what was cut off


@dataclasses.dataclass(frozen=True)
class RecordIndex:
    """What lies where in some files.

    Args:
        shards: paths of the files.
        columns: arrays (N,) by name: shard, offset, length, height, width (as the image is seen),
            orientation, jpeg, gray, label, which is -1 where there is none, and key, that of the
            encoded image.
        feature: name of the encoded image.
        skipped: (record, reason) of those that hold no usable image.
        state: changes when the files do.
    """

    shards: tuple[str, ...]
    columns: dict[str, np.ndarray]
    feature: str
    skipped: tuple[tuple[str, str], ...]
    state: str

    def rows_of(self, files):
        """Positions of the records that lie in `files`, in order."""
        numbers = [self.shards.index(file) for file in files]
        return np.flatnonzero(np.isin(self.columns["shard"], numbers))

    def images(self, rows, side):
        """The images of some rows as `EncodedImages`."""
        column = self.columns
        where = (column[name] for name in ("shard", "offset", "length"))
        store = RecordStore(self.shards, *where, self.feature, self.state)
        chosen = (column[name][rows] for name in ("height", "width", "orientation", "jpeg"))
        return EncodedImages(store, np.asarray(rows, np.int64), *chosen, side)


def index_records(shards, *, image_keys=IMAGE_KEYS, label_keys=LABEL_KEYS, log=print):
    """Read through record files once, and keep the index until one of them changes.

    Args:
        shards: paths of TFRecord files, not compressed.
        image_keys, label_keys: names of the features, of which the first that is there counts.
        log: called with each line for the user.

    Raises:
        UserError: for a file that cannot be read, is cut off or is of another form; names it.
    """
    shards = tuple(os.path.abspath(shard) for shard in shards)
    try:
        stats = [os.stat(shard) for shard in shards]
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be read: {error.strerror}.", retry=True
        ) from error
    stamps = [(stat.st_size, stat.st_mtime_ns) for stat in stats]
    key = _digest(_FORM, shards, image_keys, label_keys)
    state = _digest(key, stamps)
    kept = read_cached("records", key)
    if kept is not None and str(kept.get("state")) == state:
        return _from_kept(kept, shards)
    columns, feature, skipped = scan_all(shards, image_keys, label_keys, log)
    pairs = np.array(skipped, str).reshape(-1, 2)
    write_cached("records", key, columns | {"feature": feature, "skipped": pairs, "state": state})
    return RecordIndex(shards, columns, feature, skipped, state)


def _from_kept(kept, shards):
    columns = {name: kept[name] for name in COLUMNS}
    skipped = tuple((str(record), str(why)) for record, why in kept["skipped"])
    return RecordIndex(shards, columns, str(kept["feature"]), skipped, str(kept["state"]))


def _digest(*parts):
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


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
        UserError: for a file that cannot be read, is cut off or is of another form; names it.
    """

    tables, skipped, features = [_columns([])], [], set()
    size = sum(os.path.getsize(shard) for shard in shards)
    with progress(f"Indexing {os.path.dirname(shards[0])}", "bytes", size, log=log) as bar:

        def scan(number):
            return _scan(number, shards[number], image_keys, label_keys, bar)

        for table, passed, feature in in_threads(scan, range(len(shards))):
            tables.append(table)
            skipped += passed
            features |= {feature} - {None}
    if len(features) > 1:
        names = ", ".join(sorted(features))
        raise UserError(f"The images have different names in the files: {names}.")
    columns = {name: np.concatenate([table[name] for table in tables]) for name in COLUMNS}
    return columns, next(iter(features), image_keys[0]), tuple(skipped)


def _columns(rows):
    columns = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    pairs = zip(COLUMNS.items(), columns, strict=True)
    return {name: np.array(column, dtype) for (name, dtype), column in pairs}


def _scan(number, shard, image_keys, label_keys, bar):
    """Columns of one file, what was skipped, and the name of the feature of the image."""
    rows, skipped, feature = [], [], None
    for offset, record in records_in(shard):
        with bar.get_lock():  # threads count together
            bar.update(len(record) + 16)
        where = f"{shard} (record at byte {offset})"
        values = _features(record, where)
        if feature is None:
            feature = next((key for key in image_keys if key in values), None)
        if feature is None or feature not in values or not values[feature].bytes_list.value:
            there = ", ".join(sorted(values)) or "nothing"
            wanted = " or ".join(image_keys)
            raise UserError(f"{where} has no encoded image {wanted}; it has {there}.")
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
                header.kind == "png" and content[25] in (0, 4),  # the color type of PNG
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
        raise UserError(f"{where} is not a tf.train.Example.") from error


def _label(values, label_keys):
    key = next((key for key in label_keys if key in values), None)
    numbers = values[key].int64_list.value if key else ()
    return numbers[0] if len(numbers) == 1 else -1


def records_in(shard):
    """The records of a TFRecord file: (offset of the content, content).

    A record is its length in 8 bytes, a checksum of the length in 4, the content, and a checksum of
    the content in 4.

    Raises:
        UserError: if the file cannot be read, is cut off, is no TFRecord file, or has a record of
            more than `MAX_BYTES`.
    """
    try:
        with open(shard, "rb") as file:
            offset = 0
            while head := file.read(12):
                length = _length(head, shard, offset)
                left = os.fstat(file.fileno()).st_size - file.tell()
                if left < length + 4:
                    raise _cut_off(shard, offset)
                if length > MAX_BYTES:
                    raise UserError(
                        f"{shard} has a record of {length:,} bytes at byte {offset}, more than "
                        f"{MAX_BYTES:,}: write it with smaller images."
                    )
                yield offset + 12, file.read(length)
                file.seek(4, os.SEEK_CUR)
                offset += length + 16
    except OSError as error:
        raise UserError(f"{shard} cannot be read: {error.strerror}.", retry=True) from error


def _length(head, shard, offset):
    if len(head) == 12 and struct.unpack("<I", head[8:])[0] == masked_crc32c(head[:8]):
        return struct.unpack("<Q", head[:8])[0]
    if offset and len(head) < 12:
        raise _cut_off(shard, offset)
    if offset:
        raise UserError(f"{shard} is damaged from byte {offset} on. Copy or write it again.")
    packed = " It seems to be compressed: unpack it." if head.startswith(b"\x1f\x8b") else ""
    raise UserError(f"{shard} is not a TFRecord file.{packed}")


def _cut_off(shard, offset):
    return UserError(f"{shard} is cut off in the record at byte {offset}. Copy or write it again.")


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _crc_table()


def masked_crc32c(content):
    """The checksum of TFRecord files: CRC-32C, turned by 15 bits, plus a constant.

    Example:

    >>> hex(masked_crc32c(bytes(8)))
    '0x7980329'
    """
    value = 0xFFFFFFFF
    for byte in content:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
