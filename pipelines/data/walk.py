"""The files of the parts of a folder, with their classes."""

import dataclasses
import os

import numpy as np

from pipelines.data.layout import (
    check_no_parts,
    choose,
    descend,
    identity_of,
    is_directory,
    is_hidden,
    log_tables,
    part_of,
    root_of_test,
)
from pipelines.files import progress

_FOLDER = b"\0"  # behind the name of a folder: no name contains it, and the order stays


@dataclasses.dataclass(frozen=True)
class Part:
    """Files of one part of the data.

    Args:
        paths: of the files, in order.
        labels: int32 (N,), positions in `class_names`; 0 where there are none.
        class_names: names of the class folders with files in them, in order; or none.
        skipped: (path, reason) of what was skipped.
        root: path of the folder that all of it lies in.
    """

    paths: list[str]
    labels: np.ndarray
    class_names: tuple
    skipped: tuple
    root: str


def find_parts(root, log=print):
    """The training part of a folder, and the test part if there is one: a list of `Part`.

    A folder `train` is the training part, and one `test`, or else `val`, the test part, in any case
    and usual spelling. A folder that is the only one with images, or holds them next to their
    masks, is looked into. What was taken for what is logged.

    Args:
        root: path of the folder.
        log: called with each line for the user.

    Raises:
        UserError: if it is not certain what is a part and what a class.
        OSError: if a folder cannot be listed, on which everything depends.
    """
    root = os.fspath(root)
    top = descend(root, log)
    chosen = choose(top, log)
    train = top if chosen == [top] else descend(chosen[0], log)
    roots = [train]
    for test in chosen[1:]:
        roots.append(
            root_of_test(test, os.path.relpath(train, chosen[0]), os.path.basename(chosen[0]))
        )
    log_tables(dict.fromkeys([root, top, *chosen, *roots]), log)
    with progress(f"Listing {root}", "files", log=log) as bar:
        return [_Search(part, bar, log).part() for part in roots]


class _Search:
    def __init__(self, root, bar, log):
        self._root, self._bar, self._log = root, bar, log
        self._seen, self._skipped = {identity_of(root)}, []
        self._paths = []

    def part(self):
        labels, names, loose = [], [], []
        for path, is_folder in self._entries(self._root):
            if not is_folder:
                loose.append(path)
                continue
            if part_of(os.path.basename(path)) == "unlabeled":
                self._log(f"Not read: {path}. It is not taken for a class.")
                continue
            before = len(self._paths)
            self._walk(path)
            if len(self._paths) > before:
                labels += [len(names)] * (len(self._paths) - before)
                names.append(os.path.basename(path))
        if names:
            self._skipped += [(path, "outside of the class folders") for path in loose]
        else:
            self._paths, labels = loose, [0] * len(loose)
        labels = np.array(labels, np.int32)
        skipped = tuple(self._skipped)
        return Part(self._paths, labels, tuple(names), skipped, self._root)

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
        try:
            identity = identity_of(folder)
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
                if is_hidden(entry.name):
                    continue
                is_folder = is_directory(entry)
                names.append(os.fsencode(entry.name) + (_FOLDER if is_folder else b""))
                if not is_folder:
                    self._bar.update()
        names.sort()
        found = [os.fsdecode(name[:-1]) for name in names if name.endswith(_FOLDER)]
        check_no_parts(folder, found)
        return (
            (os.path.join(folder, os.fsdecode(name.removesuffix(_FOLDER))), _FOLDER in name)
            for name in names
        )
