"""Which names of folders mean parts of a data set and not classes."""

import re

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


def is_annotations(name):
    """Whether a folder has masks, boxes or the like of images that lie beside it."""
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
