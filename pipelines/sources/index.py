"""What the headers of many image files say, kept so that the next run need not read them."""

import dataclasses
import hashlib
import io
import os
import sys
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from pipelines.cache import cached_path, write_cached
from pipelines.sources.decode import Unusable, scan_file

_FORMAT = 1  # to be raised when other files become usable, or the arrays change
_BLOCK = 1024
_THREADS = 16  # more than cores: they wait for the disk


@dataclasses.dataclass(frozen=True)
class Index:
    """Sizes as seen, orientations and kinds of files; height 0 where a file is unusable.

    Args:
        heights, widths: int32 (N,).
        orientations: uint8 (N,), 1 to 8 as in EXIF.
        jpegs: bool (N,).
        unusable: int64 (U,), positions of the files that cannot be used.
        reasons: str (U,), why.
        stamps: int64 (U,), when each of those last changed.
    """

    heights: np.ndarray
    widths: np.ndarray
    orientations: np.ndarray
    jpegs: np.ndarray
    unusable: np.ndarray
    reasons: np.ndarray
    stamps: np.ndarray


class FileStore:
    """Files that are read by their number, from a table of their names as one run of bytes."""

    def __init__(self, files):
        names = [os.fsencode(file) for file in files]
        self._names = b"".join(names)
        self._starts = np.cumsum([0] + [len(name) for name in names], dtype=np.int64)
        with tf.init_scope():
            self._names_tensor, self._starts_tensor = map(tf.constant, (self._names, self._starts))

    def read(self, place):
        """Content of a file, scalar string; runs in graphs. `place`: scalar int64 tensor."""
        start, stop = tf.unstack(tf.gather(self._starts_tensor, tf.stack([place, place + 1])))
        return tf.io.read_file(tf.strings.substr(self._names_tensor, start, stop - start))

    def name_of(self, place):
        """Path of a file, in letters that can be printed."""
        return self._names[self._starts[place] : self._starts[place + 1]].decode("utf-8", "replace")


def index_files(root, files, folders):
    """`Index` of files, from the cache if nothing changed since it was made.

    A change of any folder is noticed (files added, removed, renamed or replaced by renaming), and
    any change of an unusable file. A usable file that is overwritten in place is not noticed.

    Args:
        root: folder that all of this lies in; the cache holds one index for each.
        files: paths.
        folders: paths of all folders that were searched.
    """
    key = hashlib.sha256(os.fsencode(os.path.abspath(root))).hexdigest()
    path = cached_path("folder", key, ".npz")
    state = _state(files, folders)
    index = _read(path, state, files)
    if index is None:
        index = _scan(root, files)
        content = io.BytesIO()
        np.savez(content, state=state, **vars(index))
        write_cached(path, content.getvalue())
    return index


def _state(files, folders):
    """Digest of all names and of when the folders changed."""
    digest = hashlib.sha256(f"{_FORMAT}".encode())
    for folder in folders:
        digest.update(os.fsencode(folder) + b"\0%d\0" % _stamp(folder))
    for file in files:
        digest.update(os.fsencode(file) + b"\0")
    return digest.hexdigest()


def _stamp(path):
    """When a file or folder last changed, its permissions included; -1 if it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return -1
    return max(status.st_mtime_ns, status.st_ctime_ns)


def _read(path, state, files):
    try:
        with np.load(path) as kept:
            if str(kept["state"]) != state:
                return None
            index = Index(**{field.name: kept[field.name] for field in dataclasses.fields(Index)})
        now = [_stamp(files[position]) for position in index.unusable]
    except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return index if np.array_equal(index.stamps, now) else None


def _scan(root, files):
    heights, widths = np.zeros((2, len(files)), np.int32)
    orientations, jpegs = np.ones(len(files), np.uint8), np.zeros(len(files), bool)
    unusable, reasons, stamps = [], [], []
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(files), _BLOCK):
            found = pool.map(_header_or_reason, files[start : start + _BLOCK])
            for position, (header, reason, stamp) in enumerate(found, start):
                if header is None:
                    unusable.append(position)
                    reasons.append(reason)
                    stamps.append(stamp)
                else:
                    heights[position], widths[position] = header.height, header.width
                    orientations[position] = header.orientation
                    jpegs[position] = header.kind == "jpeg"
            _show_progress(root, min(start + _BLOCK, len(files)), len(files))
    rest = np.array(unusable, np.int64), np.array(reasons, str), np.array(stamps, np.int64)
    return Index(heights, widths, orientations, jpegs, *rest)


def _header_or_reason(file):
    stamp = _stamp(file)  # before it is read, so that a change meanwhile is noticed
    try:
        return scan_file(file), "", stamp
    except Unusable as reason:
        return None, str(reason), stamp


def _show_progress(root, done, count):
    if sys.stdout.isatty():
        end = "\n" if done == count else ""
        print(f"\r{root}: {done:,} of {count:,} files indexed", end=end, flush=True)
