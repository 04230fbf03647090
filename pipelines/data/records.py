"""TFRecord files read by position: an index of what lies where, made once, and their store."""

import dataclasses
import hashlib
import json
import os

import numpy as np
import tensorflow as tf

from pipelines.data.cache import read_cached, write_cached
from pipelines.data.encoded import EncodedImages
from pipelines.data.record_scan import COLUMNS, scan_all
from pipelines.errors import DataError

IMAGE_KEYS = ("image/encoded", "image")
LABEL_KEYS = ("image/class/label", "label")
_FORM = 4  # of the index; another number makes old ones worthless


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

    def stamp_of(self, place):
        """Nothing: `state` changes with the files."""
        return ""

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
        DataError: for a file that cannot be read, is cut off or is of another form; names it.
    """
    shards = tuple(os.path.abspath(shard) for shard in shards)
    try:
        stats = [os.stat(shard) for shard in shards]
    except OSError as error:
        raise DataError(
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
