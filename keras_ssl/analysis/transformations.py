"""What representations still know of how an image was transformed: a probe on held-out images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from keras_ssl.analysis.linear import ridge_classifier
from keras_ssl.core.errors import UserError


@dataclass(frozen=True)
class TransformationAccuracy:
    """How often a linear probe names the transformation of held-out images.

    Attributes:
        accuracy: share of correct answers, in [0, 1].
        chance: that of guessing, 1 / the number of transformations.
        error: standard error of the accuracy.
        train_images, test_images: each of them in all transformations.

    Example:

    >>> TransformationAccuracy(accuracy=0.75, chance=0.5, train_images=50, test_images=50).error
    0.0612...
    """

    accuracy: float
    chance: float
    train_images: int
    test_images: int

    @property
    def error(self) -> float:
        """Of independent answers, one for each test image: the transformations share images."""
        return float(np.sqrt(self.accuracy * (1.0 - self.accuracy) / self.test_images))


def transformation_accuracy(
    features: Mapping[str, np.ndarray], *, test_share: float = 0.5, seed: int = 0
) -> TransformationAccuracy:
    """Tell by a linear probe how each image was transformed, from its features.

    An encoder that is invariant to a transformation leaves nothing to tell: the accuracy is that of
    chance. All transformations of an image are on the same side of the split. The probe is
    `ridge_classifier` of standardized features.

    Args:
        features: {transformation: (n, dim)}, two or more, of the same n images in the same order;
            "original" may be one of them.
        test_share: float in (0, 1). Of the images that the probe is tested on.
        seed: int >= 0. Of the split.

    Returns:
        `TransformationAccuracy`.

    Raises:
        UserError: for one transformation, features of different shapes, or fewer than 4 images.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> transformation_accuracy({"original": x, "brighter": x + 5.0}).accuracy
    1.0
    >>> transformation_accuracy({"original": x, "ignored": x}).accuracy
    0.5

    Reference: Chen et al., A simple framework for contrastive learning of visual representations,
    2020, table 3, where the probe is an MLP.
    """
    blocks = [np.asarray(block, "float32") for block in features.values()]
    _check(blocks)
    count = len(blocks[0])
    tested = min(max(2, round(test_share * count)), count - 2)
    order = np.random.default_rng(seed).permutation(count)
    test, train = np.sort(order[:tested]), np.sort(order[tested:])
    rows = np.concatenate([block[train] for block in blocks])
    mean, spread = standardization(rows)
    labels = np.repeat(np.arange(len(blocks)), len(train))
    probe = ridge_classifier((rows - mean) / spread, labels)
    correct = [
        np.mean(probe.predict((block[test] - mean) / spread) == label)
        for label, block in enumerate(blocks)
    ]
    return TransformationAccuracy(
        float(np.mean(correct)), 1.0 / len(blocks), train_images=len(train), test_images=tested
    )


def _check(blocks):
    shapes = sorted({block.shape for block in blocks})
    if len(blocks) < 2 or len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][0] < 4:
        raise UserError(
            "Features of two or more transformations of the same images are compared, each (n, "
            f"dim) with 4 images or more. Received {len(blocks)} of shapes {shapes}."
        )


def random_projection(rows: np.ndarray, width: int, *, seed: int = 0) -> np.ndarray:
    """Narrow wide rows: every column is added to, or subtracted from, one of `width` sums.

    Lengths and products of rows are kept in expectation, up to about 1 / sqrt(width) of the
    lengths; in the time of reading the rows once.

    Args:
        rows: (n, dim) float.
        width: int > 0. Rows of so many columns or fewer are returned as they are.
        seed: int >= 0. Of the sums and signs: the same for the same dim, so that arrays of the
            same columns can be compared.

    Returns:
        (n, min(dim, width)) float32.

    Example:

    >>> rows = np.random.default_rng(0).normal(size=(2, 20000))
    >>> narrow = random_projection(rows, 4096)
    >>> narrow.shape, bool(abs(np.linalg.norm(narrow) / np.linalg.norm(rows) - 1.0) < 0.05)
    ((2, 4096), True)

    Reference: Weinberger et al., Feature hashing for large scale multitask learning, 2009.
    """
    dim = rows.shape[1]
    if dim <= width:
        return np.asarray(rows, "float32")
    draw = np.random.default_rng(seed)
    sums, signs = draw.integers(width, size=dim), draw.choice(np.float32([-1.0, 1.0]), dim)
    matrix = csr_matrix((signs, sums, np.arange(dim + 1)), (dim, width))
    return np.asarray(np.asarray(rows, "float32") @ matrix)


def standardization(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every column; infinite for one without spread.

    Such a column, of a collapsed encoder, then becomes 0 and not rounding noise over nothing.
    """
    mean, spread = rows.mean(axis=0, dtype="float64"), rows.std(axis=0, dtype="float64")
    spread = np.where(spread > 1e-6 * np.abs(mean), spread, np.inf)
    return mean.astype("float32"), spread.astype("float32")
