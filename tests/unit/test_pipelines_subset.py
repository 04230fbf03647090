import numpy as np
import pytest

from pipelines.errors import DataError
from pipelines.subset import positions, take


def examples(count):
    for position in np.random.default_rng(0).permutation(count):
        image = np.full((2, 2, 3), position, "uint8")
        yield {"id": f"train_{position:05d}".encode(), "image": image, "label": position % 10}


def test_rows_come_in_the_order_of_the_positions_whatever_the_order_of_the_data():
    wanted = np.array([7, 2, 19])
    images, labels = take(examples(20), wanted)
    np.testing.assert_array_equal(images[:, 0, 0, 0], wanted)
    np.testing.assert_array_equal(labels, wanted % 10)


def test_missing_images_are_counted():
    with pytest.raises(DataError, match="2 of 3"):
        take(examples(5), np.array([1, 5, 6]))


def test_positions_are_distinct_and_official():
    found = positions()
    for part, count, most in (("train", 10_000, 50_000), ("test", 5_000, 10_000)):
        assert found[part].shape == (count,)
        assert len(np.unique(found[part])) == count
        assert found[part].min() >= 0 and found[part].max() < most
