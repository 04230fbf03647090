"""A set of images in memory, and the rules that every source of images shares."""

import dataclasses

import numpy as np

from keras_ssl.core.errors import UserError
from pipelines.data.fingerprint import Files
from pipelines.data.image_array import as_images

_MEMORY_LIMIT = 8 * 2**30
_CUT_FROM_WHOLE = 128  # pixels from which on views are cut out of the whole image
NAMED = 5  # of many names, in a message
SAMPLE = 100  # images whose sides `common_side` is given
_SIDES = (32, 64, 96, 128, 160, 224)


@dataclasses.dataclass(frozen=True)
class ImageData:
    """Images, with labels and a test part where there are any.

    Args:
        name: as the user gave it.
        train_images: uint8 (N, height, width, channels), channels 1 or 3; an array, or
            `EncodedImages`, which reads like one.
        train_labels: int64 (N,) or `None`.
        test_images, test_labels: likewise, or `None`.
        class_names: one per class, or `None`.
        skipped: (path, reason) of each file that could not be used.
        with_unlabeled: the training images followed by those without labels, where a data set
            has such besides (STL-10); `None` where the training images are all.
        files: what the images were read from, where that is known.
        held_out: whether the test part was held out of labeled images, since the data name none.
        validation_rows: int (n,), ascending: which training images are the validation split of the
            data, by which settings are chosen; `None` where the data have none beside a test part.

    Example:

    >>> data = ImageData("mine", np.zeros((4, 8, 8, 1), "uint8"), np.array([0, 1, 2, 1]))
    >>> data.image_size, data.channels, data.num_classes, data.evaluation_images.shape
    (8, 1, 3, (4, 8, 8, 1))
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray | None = None
    test_images: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    with_unlabeled: np.ndarray | None = None
    files: Files | None = None
    held_out: bool = False
    validation_rows: np.ndarray | None = None

    @property
    def pretraining_images(self):
        """`with_unlabeled`, or the training images without those of the validation split."""
        if self.with_unlabeled is not None:
            return self.with_unlabeled
        if self.validation_rows is None:
            return self.train_images
        return as_images(self.train_images).take(_shortest(self.fitting_rows))

    @property
    def fitting_rows(self):
        """Which training images are not of the validation split, ascending."""
        rows = np.arange(len(self.train_images))
        return rows if self.validation_rows is None else np.setdiff1d(rows, self.validation_rows)

    @property
    def fitting_labels(self):
        """Labels of the training images that are not of the validation split, or `None`."""
        return None if self.train_labels is None else self.train_labels[self.fitting_rows]

    @property
    def evaluation_images(self):
        """The test images, or the training images where there are none."""
        return self.train_images if self.test_images is None else self.test_images

    @property
    def image_size(self):
        """Height of the images in pixels."""
        return self.train_images.shape[1]

    @property
    def channels(self):
        """1 (gray) or 3 (RGB)."""
        return self.train_images.shape[-1]

    @property
    def num_classes(self):
        """Number of classes, or `None` without labels."""
        if self.class_names is not None:
            return len(self.class_names)
        labels = [part for part in (self.train_labels, self.test_labels) if part is not None]
        return int(max(part.max() for part in labels)) + 1 if labels else None


def _shortest(rows):
    """Ascending rows as a slice, which copies no array, where there are no gaps."""
    gapless = len(rows) and rows[-1] - rows[0] + 1 == len(rows)
    return slice(rows[0], rows[-1] + 1) if gapless else rows


def held_out(labels, keys):
    """Mask of the images, about a fifth, that serve as test part where the data names none.

    Whether an image is held out depends on its own key, so that images which come or go move no
    other one from training to testing. A class that would be held out whole is trained on.

    Args:
        labels: int (N,), from 0.
        keys: uint64 (N,), as `key_of` gives them: of an image's name or content.

    Example:

    >>> keys = np.array([0, 1, 2**63], np.uint64)
    >>> held_out(np.array([0, 1, 1]), keys)
    array([False,  True, False])
    """
    mask = np.asarray(keys) < 2**64 // 5
    whole = np.bincount(labels) == np.bincount(labels[mask], minlength=labels.max() + 1)
    return mask & ~whole[labels]


def hold_out_mask(labels, keys, log):
    """`held_out`, with a line for the user; `None` if that leaves no image to test on."""
    mask = held_out(labels, keys)
    if not mask.any():
        log(f"No test part: none of {len(mask)} images falls into the fifth that is held out.")
        return None
    log(
        f"No test part: {mask.sum()} of {len(mask)} images are held out, each by its own name or "
        "content, the same ones each time."
    )
    return mask


def hold_out(data, keys, log):
    """`data` with about a fifth of its labeled training images as test part, if any falls in."""
    test = hold_out_mask(data.train_labels, keys, log)
    if test is None:
        return data
    parts = {"train": ~test, "test": test}
    images, labels = data.train_images, data.train_labels
    images = as_images(images)
    return dataclasses.replace(
        data,
        held_out=True,
        **{f"{part}_images": images.take(mask) for part, mask in parts.items()},
        **{f"{part}_labels": labels[mask] for part, mask in parts.items()},
    )


def dense_labels(labels, name, log):
    """Number classes from 0 without gaps.

    Args:
        labels: sequence of int (N,), all from 0, or `None`.
        name: what to call them.
        log: called with a line for the user if they get other numbers.

    Returns:
        The labels, int64, and the names of the classes, which are the old numbers; `None` for the
        names where the labels were dense.

    Example:

    >>> dense_labels([np.array([7, 10**9]), None], "y_train", print)[1]
    y_train: 2 labels from 7 to 1000000000 become the classes 0 to 1, with the numbers as names.
    ('7', '1000000000')
    """
    used = np.unique(np.concatenate([some for some in labels if some is not None]))
    if used[-1] == len(used) - 1:
        return labels, None
    log(
        f"{name}: {len(used)} labels from {used[0]} to {used[-1]} become the classes 0 to "
        f"{len(used) - 1}, with the numbers as names."
    )
    dense = [None if some is None else np.searchsorted(used, some) for some in labels]
    return dense, tuple(str(number) for number in used)


def listed_by_reason(skipped):
    """What was skipped, (name, reason) each, in words: each reason once, with the first names.

    Example:

    >>> listed_by_reason([("a.tif", "TIFF"), ("b", "empty file"), ("c.tif", "TIFF")])
    ' TIFF: a.tif, c.tif. empty file: b.'
    """
    names = {}
    for name, reason in skipped:
        names.setdefault(reason, []).append(name)
    parts = []
    for reason, some in sorted(names.items(), key=lambda item: -len(item[1]))[:NAMED]:
        more = f", and {len(some) - NAMED} more" if len(some) > NAMED else ""
        parts.append(f" {reason}: {', '.join(some[:NAMED])}{more}.")
    more = len(names) - len(parts)
    return "".join(parts) + (f" And {more} more reasons." if more else "")


def common_side(shorter_sides):
    """The largest usual side that half of the images have, at least 32."""
    median = np.median(shorter_sides)
    return max((side for side in _SIDES if side <= median), default=_SIDES[0])


def keep_in_memory(in_memory, count, side, channels):
    """Whether images are decoded once and for all, or each time they are read.

    Small ones are, if 8 GiB hold them: decoding them again and again would take longer than the
    training. Views of 128 pixels and more are cut out of the whole image, as the papers do it.

    Args:
        in_memory: `True`, `False`, or `None` for the above.
        count, side, channels: of the squares that would lie in memory.
    """
    if in_memory is not None:
        return in_memory
    return side < _CUT_FROM_WHOLE and count * side * side * channels <= _MEMORY_LIMIT


def check_memory(count, side, channels, name):
    """Refuse more than 8 GiB of images.

    Raises:
        UserError: with the size at which they would fit.
    """
    needed = count * side * side * channels
    if needed > _MEMORY_LIMIT:
        fits = int((_MEMORY_LIMIT / (count * channels)) ** 0.5)
        raise UserError(
            f"{name}: {count} images of {side} x {side} need {needed / 2**30:.1f} GiB of memory; "
            f"the limit is {_MEMORY_LIMIT // 2**30}. Use image_size={fits} or less."
        )
