"""What the headers of many image files say, kept so that the next run need not read them."""

import dataclasses
import hashlib
import os

import numpy as np

from pipelines.cache import read_cached, write_cached
from pipelines.progress import Progress
from pipelines.sources.claims import Unusable
from pipelines.sources.reading import scan_file
from pipelines.threads import in_threads

_FORM = 2  # to be raised when other files become usable, or the arrays change
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
        state: str, which changes when the files do.
    """

    heights: np.ndarray
    widths: np.ndarray
    orientations: np.ndarray
    jpegs: np.ndarray
    unusable: np.ndarray
    reasons: np.ndarray
    stamps: np.ndarray
    state: str


def index_files(root, paths, folders, log=print):
    """`Index` of files, from the cache if nothing changed since it was made.

    A change of any folder is noticed (files added, removed, renamed or replaced by renaming), and
    any change of an unusable file. A usable file that is overwritten in place is not noticed.

    Args:
        root: folder that all of this lies in; the cache holds one index for each.
        paths: `Paths` of the files.
        folders: `Paths` of all folders that were searched.
        log: called with each line for the user.
    """
    key = hashlib.sha256(os.fsencode(os.path.abspath(root))).hexdigest()
    state = _state(paths, folders)
    kept = read_cached("folder", key)
    if kept is not None and _holds(kept, state, paths):
        return Index(**kept | {"state": state})
    index = _scan(root, paths, state, log)
    write_cached("folder", key, vars(index))
    return index


def _state(paths, folders):
    """Digest of all names and of when the folders changed."""
    digest = hashlib.sha256(f"{_FORM}".encode())
    for names in (folders, paths):
        digest.update(names.starts)
        digest.update(names.letters)
    for folder in folders:
        digest.update(_stamp(folder).to_bytes(8, "little", signed=True))
    return digest.hexdigest()


def _stamp(path):
    """When a file or folder last changed, its permissions included; -1 if it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return -1
    return max(status.st_mtime_ns, status.st_ctime_ns)


def _holds(kept, state, paths):
    if str(kept.get("state")) != state:
        return False
    return np.array_equal(kept["stamps"], [_stamp(paths[row]) for row in kept["unusable"]])


def _scan(root, paths, state, log):
    heights, widths = np.zeros((2, len(paths)), np.int32)
    orientations, jpegs = np.ones(len(paths), np.uint8), np.zeros(len(paths), bool)
    unusable, reasons, stamps = [], [], []
    with Progress(f"Indexing {root}", "files", len(paths), log=log) as progress:
        found = in_threads(_header_or_reason, paths, _THREADS)
        for row, (header, reason, stamp) in enumerate(found):
            if header is None:
                unusable.append(row)
                reasons.append(reason)
                stamps.append(stamp)
            else:
                heights[row], widths[row] = header.height, header.width
                orientations[row] = header.orientation
                jpegs[row] = header.kind == "jpeg"
            progress.add()
    rest = np.array(unusable, np.int64), np.array(reasons, str), np.array(stamps, np.int64)
    return Index(heights, widths, orientations, jpegs, *rest, state)


def _header_or_reason(file):
    stamp = _stamp(file)  # before it is read, so that a change meanwhile is noticed
    try:
        return scan_file(file), "", stamp
    except Unusable as reason:
        return None, str(reason), stamp
