"""The embedded data set: scikit-learn's 1,797 handwritten digits, at twice their size."""

import numpy as np

from pipelines.data.image_data import ImageData


def load_digits():
    """1,437 training and 360 test images, uint8 (16, 16, 1), ten classes.

    The 8 x 8 originals (levels 0 to 16) are doubled by bilinear interpolation. Four pixels count
    with 9, 3, 3 and 1 sixteenths, so that the levels come out the same on every machine.

    Reference: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
    """
    from sklearn import datasets

    source = datasets.load_digits()
    images = np.rint(_double(_double(source.images, 1), 2) * 255.0 / 16.0)
    images = images.astype(np.uint8)[..., None]
    labels = source.target.astype(np.int64)
    test = _test_rows(labels)
    return ImageData(
        name="digits",
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        class_names=tuple(str(name) for name in source.target_names),
    )


def _test_rows(labels):
    """Mask of a fixed fifth of each class, to one image."""
    # RandomState and not default_rng: its numbers are frozen for all versions of NumPy.
    order = np.random.RandomState(0).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    mask = np.zeros(len(labels), bool)
    mask[by_class[::5]] = True
    return mask


def _double(images, axis):
    """Twice the pixels along an axis: each between its neighbors, 3 to 1; borders repeated."""
    images = np.moveaxis(images, axis, -1)
    padded = np.concatenate([images[..., :1], images, images[..., -1:]], axis=-1)
    first = (padded[..., :-2] + 3.0 * images) / 4.0
    second = (3.0 * images + padded[..., 2:]) / 4.0
    doubled = np.stack([first, second], axis=-1).reshape(*images.shape[:-1], -1)
    return np.moveaxis(doubled, -1, axis)
