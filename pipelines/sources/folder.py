"""Images from a folder; class subfolders give the labels, if there are any."""

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipelines.errors import DataError
from pipelines.image_data import ImageData, check_memory, common_side, held_out
from pipelines.sources.decode import Unusable, decode_square, read_image

_TEST_NAMES = ("test", "val", "valid", "validation")
_SAMPLE = 100
_NAMED = 5


@dataclasses.dataclass
class _Part:
    """Files of one part of the data, and the class of each; class `None` without class folders."""

    files: list
    classes: list
    skipped: list


def load_folder(path, *, image_size=None, log=print):
    """Read a folder of JPEG, PNG, BMP and GIF images (first frame) as RGB squares in memory.

    Subfolders are classes, in alphabetical order; without any, there are no labels. With a
    subfolder `train`, that is the training part, and `test` or `val` the test part. Otherwise, with
    labels, a fixed fifth of every class is held out. Files that cannot be used are passed over and
    reported. Links to folders are followed once.

    Args:
        path: the folder.
        image_size: side of the images; by default a usual size that half of them have.
        log: called with each line for the user.

    Raises:
        DataError: if there is no such folder, no usable image in it, or not enough memory.
    """
    if not os.path.isdir(path):
        what = "is not a folder" if os.path.exists(path) else "does not exist"
        raise DataError(f"{path} {what}. Give a folder of images, as folder:PATH.")
    train, test = _find_parts(path)
    if not train.files:
        raise DataError(f"{path} has no files to read images from.{_tell(train.skipped)}")
    class_names = _class_names(train, test, path)
    if image_size is None:
        image_size = _choose_size(train.files, log)
    count = len(train.files) + (len(test.files) if test else 0)
    check_memory(count, image_size, 3, f"folder:{path}")
    train_images, train_labels, skipped = _read(train, class_names, image_size, path)
    test_images = test_labels = None
    if test:
        test_images, test_labels, more = _read(test, class_names, image_size, path)
        skipped += more
        test_images = test_images if len(test_images) else None
    if skipped:
        log(f"{path}: passed over {len(skipped)} of {count} files.{_tell(skipped)}")
    if not len(train_images):
        raise DataError(f"{path} has no usable image in {count} files.{_tell(skipped)}")
    data = ImageData(
        f"folder:{path}",
        train_images,
        train_labels,
        test_images,
        test_labels if test_images is not None else None,
        class_names,
        tuple(skipped),
    )
    return data if test or class_names is None else _hold_out(data, log)


def _find_parts(root):
    folders = {entry.name: entry.path for entry in _entries(root) if entry.is_dir()}
    if "train" not in folders:
        return _index(root), None
    test = next((folders[name] for name in _TEST_NAMES if name in folders), None)
    return _index(folders["train"]), _index(test) if test else None


def _entries(folder):
    entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    return sorted(entries, key=lambda entry: entry.name)


def _index(root):
    seen, skipped = {_identity(root)}, []
    entries = _entries(root)
    by_class = {
        entry.name: list(_walk(entry.path, seen, skipped)) for entry in entries if entry.is_dir()
    }
    loose = [entry.path for entry in entries if not entry.is_dir()]
    pairs = [(name, file) for name, files in by_class.items() for file in files]
    if not pairs:
        return _Part(loose, [None] * len(loose), skipped)
    skipped += [(file, "outside of the class folders") for file in loose]
    return _Part([file for _, file in pairs], [name for name, _ in pairs], skipped)


def _walk(folder, seen, skipped):
    """Files below a folder, in order; a folder met before, through a link, is not entered again."""
    try:
        identity = _identity(folder)
        entries = _entries(folder) if identity not in seen else []
    except OSError as error:
        skipped.append((folder, error.strerror))
        return
    seen.add(identity)
    for entry in entries:
        if entry.is_dir():
            yield from _walk(entry.path, seen, skipped)
        else:
            yield entry.path


def _identity(folder):
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _class_names(train, test, path):
    names = sorted({name for name in train.classes if name is not None})
    if not names:
        return None
    unknown = sorted({str(name) for name in test.classes} - set(names)) if test else []
    if unknown:
        raise DataError(
            f"{path}: the test part has classes that the training part lacks: "
            f"{', '.join(unknown[:_NAMED])}. Both need the same subfolders."
        )
    return tuple(names)


def _choose_size(files, log):
    sides = []
    for index in np.unique(np.linspace(0, len(files) - 1, _SAMPLE).astype(int)):
        try:
            sides.append(min(read_image(files[index])[1]))
        except Unusable:
            continue
    image_size = common_side(sides) if sides else common_side([0])
    log(
        f"Images are resized to {image_size} x {image_size} (median shorter side "
        f"{np.median(sides or [0]):.0f} pixels); --set data.image_size=N takes another size."
    )
    return image_size


def _read(part, class_names, image_size, root):
    """Images, labels (`None` without classes) and skipped files of a part."""

    def read(file):
        try:
            return decode_square(read_image(file)[0], image_size)
        except Unusable as reason:
            return str(reason)

    images = np.empty((len(part.files), image_size, image_size, 3), np.uint8)
    good, skipped = np.zeros(len(part.files), bool), list(part.skipped)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for index, result in enumerate(pool.map(read, part.files)):
            if isinstance(result, str):
                skipped.append((part.files[index], result))
            else:
                images[index], good[index] = result, True
    labels = None
    if class_names is not None:
        labels = np.array([class_names.index(name) for name in part.classes], np.int64)[good]
    skipped = [(_printable(os.path.relpath(file, root)), reason) for file, reason in skipped]
    return images if good.all() else images[good], labels, skipped


def _printable(name):
    return name.encode("utf-8", "replace").decode("utf-8")


def _tell(skipped):
    named = [f"{file} ({reason})" for file, reason in skipped[:_NAMED]]
    more = len(skipped) - len(named)
    return (" " + ", ".join(named) + (f", and {more} more" if more else "")) if named else ""


def _hold_out(data, log):
    test = held_out(data.train_labels)
    if not test.any():
        return data
    log(f"No test part: {test.sum()} of {len(test)} images are held out, the same ones each time.")
    return dataclasses.replace(
        data,
        train_images=data.train_images[~test],
        train_labels=data.train_labels[~test],
        test_images=data.train_images[test],
        test_labels=data.train_labels[test],
    )
