"""The files below a folder, in order, and the class that a folder of its own gives each."""

import dataclasses
import os
from array import array

import numpy as np

from pipelines.progress import Progress
from pipelines.sources.paths import Paths

_TEST_NAMES = ("test", "val", "valid", "validation")
_FOLDER = b"\0"  # behind the name of a folder: no name contains it, and the order stays


@dataclasses.dataclass(frozen=True)
class Part:
    """Files of one part of the data.

    Args:
        paths: `Paths` of the files.
        labels: int32 (N,), positions in `class_names`; 0 where there are none.
        class_names: names of the class folders with files in them, in order; or none.
        skipped: (path, reason) of what was passed over.
        folders: `Paths` of all folders that were searched.
    """

    paths: Paths
    labels: np.ndarray
    class_names: tuple
    skipped: tuple
    folders: Paths


def find_parts(root, log=print):
    """The training part of a folder, and the test part if there is one: a list of `Part`.

    Args:
        root: path of the folder.
        log: called with each line for the user.

    Raises:
        OSError: if a folder cannot be listed, on which everything depends.
    """
    train, *tests = (os.path.join(root, name) for name in ("train", *_TEST_NAMES))
    tests = [folder for folder in tests if os.path.isdir(folder)]
    roots = [train, *tests[:1]] if os.path.isdir(train) else [root]
    with Progress(f"Listing {root}", "files", log=log) as progress:
        return [_Search(part, progress).part() for part in roots]


class _Search:
    def __init__(self, root, progress):
        self._root, self._progress = root, progress
        self._seen, self._skipped = {_identity(root)}, []
        self._paths, self._folders = Paths(), Paths()
        self._folders.append(root)

    def part(self):
        labels, names, loose = array("i"), [], Paths()
        for path, is_folder in self._entries(self._root):
            if not is_folder:
                loose.append(path)
                continue
            before = len(self._paths)
            self._walk(path)
            if len(self._paths) > before:
                labels.extend(array("i", [len(names)]) * (len(self._paths) - before))
                names.append(os.path.basename(path))
        if names:
            self._skipped += [(path, "outside of the class folders") for path in loose]
        else:
            self._paths, labels = loose, array("i", [0]) * len(loose)
        labels = np.array(labels, np.int32)
        return Part(self._paths, labels, tuple(names), tuple(self._skipped), self._folders)

    def _walk(self, top):
        """Find the files below a folder; without recursion, since folders may lie very deep."""
        open_folders = [self._enter(top)]
        while open_folders:
            path, is_folder = next(open_folders[-1], (None, False))
            if path is None:
                open_folders.pop()
            elif is_folder:
                open_folders.append(self._enter(path))
            else:
                self._paths.append(path)

    def _enter(self, folder):
        """What lies in a folder; nothing if it was met before, through a link."""
        self._folders.append(folder)
        try:
            identity = _identity(folder)
            if identity in self._seen:
                return iter(())
            entries = self._entries(folder)
        except OSError as error:
            self._skipped.append((folder, error.strerror))
            return iter(())
        self._seen.add(identity)
        return entries

    def _entries(self, folder):
        """(path, whether it is a folder) of all that lies there and is not hidden, in order."""
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                is_folder = _is_folder(entry)
                names.append(os.fsencode(entry.name) + (_FOLDER if is_folder else b""))
                if not is_folder:
                    self._progress.add()
        names.sort()
        return (
            (os.path.join(folder, os.fsdecode(name.removesuffix(_FOLDER))), _FOLDER in name)
            for name in names
        )


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _identity(folder):
    status = os.stat(folder)
    return status.st_dev, status.st_ino
