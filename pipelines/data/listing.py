"""What lies in a folder: its folders, its files, and whether there is an image below it."""

import os
import stat

from pipelines.images.header import SIGNATURE, Unusable, kind_of

IMAGES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
_LOOKED_INTO = 20  # files without the name of an image, to find one all the same


def folders_in(folder):
    """Names of the folders in a folder, in order."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if not is_hidden(e.name) and is_directory(e)]
    return sorted(names, key=os.fsencode)


def files_in(folder, endings):
    """Names of the files of some kind in a folder, in order."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if not is_hidden(e.name) and not is_directory(e)]
    return sorted(name for name in names if name.lower().endswith(endings))


def has_files(top, wanted=lambda folder: bool(files_in(folder, ""))):
    """Whether a folder that is `wanted`, by default one with files, lies below; also if unsure."""
    waiting, seen = [top], set()
    while waiting:
        folder = waiting.pop()
        try:
            if identity_of(folder) in seen:
                continue
            seen.add(identity_of(folder))
            if wanted(folder):
                return True
            waiting += [os.path.join(folder, name) for name in folders_in(folder)]
        except OSError:
            return True
    return False


def has_image(folder):
    """Whether there is an image in a folder, by its name or, of a few files, by its content."""
    if files_in(folder, IMAGES):
        return True
    return any(
        _starts_as_image(os.path.join(folder, n)) for n in files_in(folder, "")[:_LOOKED_INTO]
    )


def _starts_as_image(path):
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            return bool(kind_of(file.read(SIGNATURE)))
    except (OSError, Unusable):
        return False


def is_hidden(name):
    """Whether a file or folder is none of the data."""
    return name.startswith(".") or name == "__MACOSX"  # of archives that macOS makes


def is_directory(entry):
    """Whether an entry of `os.scandir` is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def identity_of(folder):
    """What tells a folder from all others, whatever links lead to it."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino
