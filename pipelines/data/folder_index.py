"""What is found out about many image files, kept so that the next run need not read them."""

import dataclasses
import hashlib
import os

import numpy as np
import tensorflow as tf

from pipelines.files import in_threads, progress, read_cached, write_cached
from pipelines.images.decoding import check_file
from pipelines.images.headers import Unusable

_FORM = 3  # to be raised when other files become usable, or the rows change
_THREADS = 16  # more than cores: they wait for the disk
_ROW = np.dtype(
    [
        ("name", "u8"),  # of the path below the root, hashed
        ("size", "i8"),
        ("stamp", "i8"),  # when the file last changed
        ("checked", "?"),
        ("height", "i4"),
        ("width", "i4"),
        ("orientation", "u1"),
        ("jpeg", "?"),
        ("reason", "i4"),  # why it cannot be used, as a number; 0 if it can
    ]
)


@dataclasses.dataclass(frozen=True)
class Index:
    """Sizes as seen, orientations and kinds of files; height 0 where a file is unusable.

    Args:
        heights, widths: int32 (N,).
        orientations: uint8 (N,), 1 to 8 as in EXIF.
        jpegs: bool (N,).
        unusable: int64 (U,), positions of the files that cannot be used.
        reasons: str (U,), why.
        state: str, which changes when the files do.
    """

    heights: np.ndarray
    widths: np.ndarray
    orientations: np.ndarray
    jpegs: np.ndarray
    unusable: np.ndarray
    reasons: np.ndarray
    state: str


class FileStore:
    """Files that are read by their number.

    Args:
        paths: list of str.
        state: str that changes when the files do.
    """

    def __init__(self, paths, state):
        self._paths, self.state = paths, state
        with tf.init_scope():
            self._names = tf.constant([os.fsencode(path) for path in paths], tf.string)

    def read(self, place):
        """Content of a file, scalar string; runs in graphs. `place`: scalar int64 tensor."""
        return tf.io.read_file(tf.gather(self._names, place))

    def stamps(self, places):
        """Of each file in turn, its size and when it last changed, or that it is gone."""

        def stamp_of(place):
            try:
                found = os.stat(self._paths[place])
            except OSError:
                return "gone;"
            return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns};"

        return in_threads(stamp_of, places.tolist())

    def name_of(self, place):
        """Path of a file, in characters that can be printed."""
        return os.fsencode(self._paths[place]).decode("utf-8", "replace")


def index_files(root, paths, log=print):
    """`Index` of files. Each is decoded once; what that showed is kept until the file changes.

    Args:
        root: folder that all of them lie in; the cache holds one index for each.
        paths: list of str, of the files.
        log: called with each line for the user.
    """
    key = hashlib.sha256(os.fsencode(os.path.abspath(root))).hexdigest()
    rows, reasons = _unchecked(root, paths), [""]
    kept = read_cached("folder", key)
    if kept is not None and kept.get("form") == _FORM:
        reasons = _take_over(rows, kept["rows"], kept["reasons"].tolist())
    missing = np.flatnonzero(~rows["checked"])
    if len(missing) or len(rows) != len(kept["rows"]):
        try:
            _check(root, paths, rows, missing, reasons, log)
        finally:  # what was found out before an interruption stays found out
            arrays = {"form": np.array(_FORM), "rows": rows, "reasons": np.array(reasons)}
            write_cached("folder", key, arrays)
    return _index(rows, reasons)


def _unchecked(root, paths):
    rows = np.zeros(len(paths), _ROW)
    start = len(os.fsencode(root))
    for row, path in enumerate(paths):
        name = os.fsencode(path)[start:]
        digest = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")
        rows[["name", "size", "stamp"]][row] = digest, *_stamp(path)
    return rows


def _stamp(path):
    """Size of a file and when it last changed, its permissions included; -1 if it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1
    return status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)


def _take_over(rows, kept, reasons):
    """Enter what is known of files that did not change; -> the reasons that its numbers mean."""
    kept = kept[kept["checked"]]
    if len(kept):
        kept = kept[np.argsort(kept["name"], kind="stable")]
        place = np.searchsorted(kept["name"], rows["name"]) % len(kept)
        found = kept[place]
        same = found[["name", "size", "stamp"]] == rows[["name", "size", "stamp"]]
        rows[same] = found[same]
    return reasons


def _check(root, paths, rows, missing, reasons, log):
    """Decode the files at some rows, and enter what that shows."""
    number = {reason: place for place, reason in enumerate(reasons)}
    with progress(f"Checking {root}", "files", len(missing), log=log) as bar:
        found = in_threads(_header_or_reason, (paths[row] for row in missing), _THREADS)
        for row, (header, reason) in zip(missing, found, strict=True):
            if header is None:
                if reason not in number:
                    number[reason] = len(reasons)
                    reasons.append(reason)
                rows["reason"][row] = number[reason]
            else:
                rows["height"][row], rows["width"][row] = header.height, header.width
                rows["orientation"][row] = header.orientation
                rows["jpeg"][row] = header.kind == "jpeg"
            rows["checked"][row] = True
            bar.update()


def _header_or_reason(file):
    try:
        return check_file(file), ""
    except Unusable as reason:
        return None, str(reason)


def _index(rows, reasons):
    unusable = np.flatnonzero(rows["reason"])
    return Index(
        *(rows[name].copy() for name in ("height", "width", "orientation", "jpeg")),
        unusable,
        np.array(reasons)[rows["reason"][unusable]],
        hashlib.sha256(rows.tobytes()).hexdigest(),
    )
