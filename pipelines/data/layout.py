"""Which folders are the parts of a data set, and where its images and classes lie."""

import itertools
import os
import re
import stat

from keras_ssl.core.errors import UserError
from pipelines.data.image_data import NAMED
from pipelines.images.headers import SIGNATURE, Unusable, kind_of

IMAGES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
_LOOKED_INTO = 20  # files without the name of an image, to find one all the same
TESTS = ("test", "val")  # the first that there is serves as test part

_PARTS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation"),
    "unlabeled": ("unlabeled", "unlabelled"),
}
_ENDING = re.compile(r"[-_ ]?(set|data|images|imgs|\d+)$")  # of test_set, train2017
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
_ANNOTATIONS = ("masks", "mask", "labels", "label", "annotations", "annotation", "annots")
_ANNOTATIONS += ("segmentation", "segmentations", "segmentationclass", "gt", "ground_truth")

_PICTURES = ("images", "image", "imgs", "img", "pictures", "photos", "jpegimages")
_TABLES = (".csv", ".tsv", ".json", ".xlsx", ".parquet")


def root_of_test(test, within, train):
    """Where the classes of the test part lie: as deep as in the training part, if they do.

    Args:
        test: path of the test part.
        within: path below the training part, of the folder with its classes.
        train: name of the training part, which may come again below: seg_train/seg_train.
    """
    found = os.path.join(descend(test), "")
    own = [os.path.basename(test) if name == train else name for name in within.split(os.sep)]
    for below in (within, os.path.join(*own)):
        folder = os.path.normpath(os.path.join(test, below))
        if found.startswith(os.path.join(folder, "")):
            return folder
    return test


def descend(root, log=lambda line: None):
    """The folder that counts: `root`, or the one in it that holds everything."""
    folder, seen = root, set()
    while identity_of(folder) not in seen:
        seen.add(identity_of(folder))
        name, others = _only_one(folder)
        if name is None:
            break
        if others:
            log(f"{folder}: images are read from {name}. Not read: {_listed(others)}.")
        folder = os.path.join(folder, name)
    if folder != root:
        log(f"{root}: images are read from {folder}; what lies there gives parts and classes.")
    return folder


def _only_one(folder):
    """The one folder with images to read in a folder, or `None`, and what else lies there."""
    names = folders_in(folder)
    parts = parts_of(names)
    if any(part in ("train", *TESTS) for part in parts.values()) and len(names) > 1:
        return None, []
    loose = files_in(folder, IMAGES)
    pictures = [name for name in names if name.casefold() in _PICTURES]
    if pictures and any(map(is_annotations, names)):
        _check_one_of_pictures(folder, pictures)
        return pictures[0], [name for name in names if name != pictures[0]] + loose
    named = [name for name in names if parts[name] != "unlabeled"] or names
    filled = (name for name in named if has_files(os.path.join(folder, name), has_image))
    filled = list(itertools.islice(filled, 2))
    if len(filled) != 1 or parts[filled[0]] in ("train", *TESTS) or loose:
        return None, []
    others = [name for name in names if name != filled[0]]
    return filled[0], [name for name in others if has_files(os.path.join(folder, name))]


def _check_one_of_pictures(folder, pictures):
    if len(pictures) > 1:
        raise UserError(
            f"{folder} has {' and '.join(pictures)} next to annotations: each could hold the "
            f"images. Give the one to read, such as {folder}/{pictures[0]}; or, if these are "
            "classes, give them other names."
        )


def choose(top, log):
    """Paths of the training part, which may be `top` itself, and of the test part if any."""
    found = {}
    for name, part in parts_of(folders_in(top)).items():
        found.setdefault(part, []).append(name)
    train, tests = found.get("train", ()), [part for part in TESTS if part in found]
    if not train:
        if tests:
            test = found[tests[0]][0]
            raise UserError(
                f"{top} has a folder {test}, which would be a test part, but no folder train. Put "
                f"the training images into {top}/train; or give {top}/{test} itself; or, if "
                "it is a class, give it another name."
            )
        _check_clear(top, found.get(None, ()))
        return [top]
    _check_one(top, train, "training")
    used = next((part for part in tests if any(has_files(f"{top}/{n}") for n in found[part])), "")
    test = found[used] if used else []
    if used:
        _check_one(top, test, "test")
    others = [name for names in found.values() for name in names if name not in (train[0], *test)]
    others = [name for name in others if has_files(os.path.join(top, name))]
    classes = [name for name in others if name in found.get(None, ())]
    classes = [name for name in classes if has_files(os.path.join(top, name), has_image)]
    if not tests and classes:
        raise UserError(
            f"{top} has a folder {train[0]}, which would be the training part, next to "
            f"{_listed(classes)} with images. If these are classes too, give {train[0]} another "
            f"name; if not, give {top}/{train[0]} itself."
        )
    log(
        f"{top}: {train[0]} is the training part"
        + (f", {test[0]} the test part." if test else ".")
        + (f" Not read: {_listed(others)}." if others else "")
    )
    return [os.path.join(top, name) for name in (train[0], *test)]


def _check_clear(top, names):
    for pair in unclear_pairs(names):
        if all(has_files(os.path.join(top, name), has_image) for name in pair):
            raise UserError(
                f"{top} has {' and '.join(pair)}, which could be parts or classes. If they are "
                "parts, call them train and test; if they are classes, give one another name."
            )


def check_no_parts(folder, names):
    """Refuse a folder of a class that has parts: its test images would be trained on."""
    found = parts_of(names)
    tests = [name for name in names if found[name] in TESTS]
    if tests and "train" in found.values():
        train = next(name for name in names if found[name] == "train")
        raise UserError(
            f"{folder} has {train} and {tests[0]}, but lies where images or classes are expected. "
            "Give that folder itself, or put parts above classes, as train/CLASS and test/CLASS."
        )


def _check_one(top, names, part):
    if len(names) > 1:
        raise UserError(
            f"{top} has {' and '.join(names)}: each could be the {part} part. Leave one there, or "
            "put their files together."
        )


def _listed(names):
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def log_tables(folders, log):
    """Say which tables of some folders are not read."""
    tables = [
        os.path.join(folder, name) for folder in folders for name in files_in(folder, _TABLES)
    ]
    if tables:
        log(
            f"Not read: {_listed(tables)}. Labels come from folders: put the images of each class "
            "into one of its own, or give arrays as npz:PATH."
        )


def is_annotations(name):
    """Whether a folder has masks, boxes or the like of images that lie next to it."""
    return name.casefold() in _ANNOTATIONS


def part_of(name):
    """The part that a name alone means: "train", "test", "val", "unlabeled" or `None`.

    Example:

    >>> part_of("Training_Set"), part_of("val2017"), part_of("trainer")
    ('train', 'val', None)
    """
    words = {name.casefold(), _ENDING.sub("", name.casefold())}
    return next((part for part, names in _PARTS.items() if words & set(names)), None)


def parts_of(names):
    """{name: `part_of` it} of folders that lie side by side.

    Where none is called train, names that begin or end with the word for a part are parts too, if
    one of the training part and one of a test part share the rest.

    Example:

    >>> parts_of(["seg_pred", "seg_test", "seg_train"])
    {'seg_pred': None, 'seg_test': 'test', 'seg_train': 'train'}
    """
    found = {name: part_of(name) for name in names}
    if "train" in found.values():
        return found
    groups = _pairs((name, part, rest) for name in names for part, rest in _by_word(name))
    images = [rest for rest in groups if not is_annotations("_".join(rest))]
    for rest in images or groups:
        found.update(groups[rest])
    return found


def unclear_pairs(names):
    """Pairs such as ["trainsplit", "testsplit"], which may be parts or classes; lists of names.

    Args:
        names: of folders that lie side by side, none of which is a part.
    """
    spelled = ((name, part, rest) for name in names for part, rest in _by_letters(name))
    return [list(group) for group in _pairs(spelled).values()]


def _pairs(spelled):
    """{rest: {name: part}} of (name, part, rest) where the training and a test part share it."""
    groups = {}
    for name, part, rest in spelled:
        groups.setdefault(rest, {})[name] = part
    parts = {rest: set(group.values()) for rest, group in groups.items()}
    return {r: groups[r] for r in groups if "train" in parts[r] and parts[r] & set(TESTS)}


def _by_word(name):
    """(part, other words) of a name whose first or last word is that of a part."""
    words = tuple(word.casefold() for word in _WORD.findall(name))
    for word, rest in ((words[:1], words[1:]), (words[-1:], words[:-1])):
        part = next((part for part, known in _PARTS.items() if word and word[0] in known), None)
        if part and rest:
            yield part, rest


def _by_letters(name):
    """(part, the other letters) of a name that begins or ends like a part."""
    name = name.casefold()
    for part, known in _PARTS.items():
        for word in known:
            if name != word and name.startswith(word):
                yield part, name.removeprefix(word)
            if name != word and name.endswith(word):
                yield part, name.removesuffix(word)


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
