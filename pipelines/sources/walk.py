"""The files below a folder, in order: which part of the data they are, and of which class."""

import dataclasses
import itertools
import os
import re
from array import array

import numpy as np

from pipelines.errors import DataError
from pipelines.progress import Progress
from pipelines.sources.paths import Paths

# What folders are called that are parts of a data set and not classes, in any case; the first
# that there is serves as test part.
_PARTS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation"),
    "unlabeled": ("unlabeled", "unlabelled"),
}
_TESTS = ("test", "val")
_PICTURES = ("images", "image", "imgs", "img", "pictures", "photos", "jpegimages")
_ANNOTATIONS = ("masks", "mask", "labels", "label", "annotations", "annotation", "annots")
_ANNOTATIONS += ("segmentation", "segmentations", "segmentationclass", "gt", "ground_truth")
_ENDING = re.compile(r"[-_ ]?(set|data|images|imgs|\d+)$")  # of test_set, train2017
_TABLES = (".csv", ".tsv", ".json", ".xlsx", ".parquet")
_IMAGES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
_NAMED = 5
_FOLDER = b"\0"  # behind the name of a folder: no name contains it, and the order stays


@dataclasses.dataclass(frozen=True)
class Part:
    """Files of one part of the data.

    Args:
        paths: `Paths` of the files.
        labels: int32 (N,), positions in `class_names`; 0 where there are none.
        class_names: names of the class folders with files in them, in order; or none.
        skipped: (path, reason) of what was skipped.
        root: path of the folder that all of it lies in.
    """

    paths: Paths
    labels: np.ndarray
    class_names: tuple
    skipped: tuple
    root: str


def find_parts(root, log=print):
    """The training part of a folder, and the test part if there is one: a list of `Part`.

    A folder `train` is the training part, and one `test`, or else `val`, the test part, in any case
    and usual spelling. A folder that is all there is, or holds the images beside their masks, is
    looked into. What was taken for what is said.

    Args:
        root: path of the folder.
        log: called with each line for the user.

    Raises:
        DataError: if it is not certain what is a part and what a class.
        OSError: if a folder cannot be listed, on which everything depends.
    """
    root = os.fspath(root)
    top = _descend(root, log)
    chosen = _choose(top, log)
    train = top if chosen == [top] else _descend(chosen[0], log)
    roots = [train]
    for test in chosen[1:]:  # in which the classes lie where they do in the training part
        alike = os.path.normpath(os.path.join(test, os.path.relpath(train, chosen[0])))
        within = os.path.join(_descend(test), "").startswith(os.path.join(alike, ""))
        roots.append(alike if within else test)
    _tell_tables(dict.fromkeys([root, top, *chosen, *roots]), log)
    with Progress(f"Listing {root}", "files", log=log) as progress:
        return [_Search(part, progress, log).part() for part in roots]


def _part_of(name):
    """Key of `_PARTS` that the name of a folder means, or `None`."""
    words = {name.casefold(), _ENDING.sub("", name.casefold())}
    return next((part for part, names in _PARTS.items() if words & set(names)), None)


def _descend(root, log=lambda line: None):
    """The folder that counts: `root`, or the one in it that holds everything."""
    folder, seen = root, set()
    while _identity(folder) not in seen:
        seen.add(_identity(folder))
        names = _folders(folder)
        pictures = [name for name in names if name.casefold() in _PICTURES]
        others = [name for name in names if name not in pictures]
        masked = bool(others) and all(name.casefold() in _ANNOTATIONS for name in others)
        if any(map(_part_of, names)) and len(names) > 1:
            break
        if len(pictures) == 1 and masked:
            log(f"{folder}: images are read from {pictures[0]}. Not read: {_listed(others)}.")
            folder = os.path.join(folder, pictures[0])
            continue
        filled = (name for name in names if _has_files(os.path.join(folder, name)))
        filled = list(itertools.islice(filled, 2))
        if len(filled) != 1 or _part_of(filled[0]) in ("train", *_TESTS) or _loose(folder, _IMAGES):
            break
        folder = os.path.join(folder, filled[0])
    if folder != root:
        log(f"{root}: images are read from {folder}; what lies there gives parts and classes.")
    return folder


def _choose(top, log):
    """Paths of the training part, which may be `top` itself, and of the test part if any."""
    found = {}
    for name in _folders(top):
        found.setdefault(_part_of(name), []).append(name)
    train, tests = found.get("train", ()), [part for part in _TESTS if part in found]
    if not train:
        if tests:
            test = found[tests[0]][0]
            raise DataError(
                f"{top} has a folder {test}, which would be a test part, but no folder train. Put "
                f"the training images into {top}/train; or give {top}/{test} itself; or, if "
                "it is a class, give it another name."
            )
        return [top]
    _check_one(top, train, "training")
    used = next((part for part in tests if any(_has_files(f"{top}/{n}") for n in found[part])), "")
    test = found[used] if used else []
    if used:
        _check_one(top, test, "test")
    others = [name for names in found.values() for name in names if name not in (train[0], *test)]
    others = [name for name in others if _has_files(os.path.join(top, name))]
    classes = [name for name in others if name in found.get(None, ())]
    classes = [name for name in classes if _has_files(os.path.join(top, name), _IMAGES)]
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


def _check_one(top, names, part):
    if len(names) > 1:
        raise DataError(
            f"{top} has {' and '.join(names)}: each could be the {part} part. Leave one there, or "
            "put their files together."
        )


def _listed(names):
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _tell_tables(folders, log):
    tables = [os.path.join(folder, name) for folder in folders for name in _loose(folder, _TABLES)]
    if tables:
        log(
            f"Not read: {_listed(tables)}. Labels come from folders: put the images of each class "
            "into one of its own, or give arrays as npz:PATH."
        )


def _folders(folder):
    """Names of the folders in a folder, in order."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if not _is_hidden(e.name) and _is_folder(e)]
    return sorted(names, key=os.fsencode)


def _loose(folder, endings):
    """Names of the files of some kind in a folder, in order."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if not _is_hidden(e.name) and not _is_folder(e)]
    return sorted(name for name in names if name.lower().endswith(endings))


def _has_files(top, endings=""):
    """Whether there are files below a folder; also if that cannot be told."""
    waiting, seen = [top], set()
    while waiting:
        folder = waiting.pop()
        try:
            if _identity(folder) in seen:
                continue
            seen.add(_identity(folder))
            if _loose(folder, endings):
                return True
            waiting += [os.path.join(folder, name) for name in _folders(folder)]
        except OSError:
            return True
    return False


class _Search:
    def __init__(self, root, progress, log):
        self._root, self._progress, self._log = root, progress, log
        self._seen, self._skipped = {_identity(root)}, []
        self._paths = Paths()

    def part(self):
        labels, names, loose = array("i"), [], Paths()
        for path, is_folder in self._entries(self._root):
            if not is_folder:
                loose.append(path)
                continue
            if _part_of(os.path.basename(path)) == "unlabeled":
                self._log(f"Not read: {path}. It is not taken for a class.")
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
                if _is_hidden(entry.name):
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


def _is_hidden(name):
    return name.startswith(".") or name == "__MACOSX"  # of archives that macOS makes


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _identity(folder):
    status = os.stat(folder)
    return status.st_dev, status.st_ino
