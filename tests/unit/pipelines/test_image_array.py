"""An array of images offers what encoded images do."""

import numpy as np
import tensorflow as tf

from pipelines.data.encoded import EncodedImages
from pipelines.data.image_array import ImageArray, as_images


def images_of(count=6):
    return np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3)).astype("uint8")


def test_an_array_is_wrapped_without_a_copy_and_images_stay_what_they_are():
    array = images_of()
    images = as_images(array)
    assert np.shares_memory(images.pixels, array) and as_images(images) is images
    assert (len(images), images.shape, images.ndim) == (6, (6, 4, 4, 3), 4)


def test_an_array_in_a_file_stays_there(tmp_path):
    np.save(tmp_path / "x.npy", images_of())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert as_images(mapped).pixels is mapped


def test_a_part_of_an_array_is_an_array():
    array = images_of()
    mask = np.arange(6) % 2 == 0
    for positions in (mask, np.flatnonzero(mask), slice(0, None, 2)):
        part = as_images(array).take(positions)
        assert type(part) is np.ndarray
        np.testing.assert_array_equal(part, array[::2])


def test_a_digest_changes_with_pixels_order_and_shape():
    array = images_of()
    others = [array[::-1], array[:-1], array.reshape(6, 2, 8, 3), array + 1]
    assert len({as_images(x).digest() for x in (array, *others)}) == 5
    assert as_images(array).digest() == as_images(array.copy()).digest()


def test_arrays_become_png_files():
    array = images_of()
    for files in (as_images(array).files(slice(2)), as_images(array).pngs(slice(2))):
        np.testing.assert_array_equal([tf.io.decode_png(file) for file in files], array[:2])


def test_batches_are_the_same_copied_or_read_by_rows():
    array = images_of()
    rows = tf.constant([4, 0, 9])  # beyond the end: the last one
    indices = tf.data.Dataset.from_tensors((tf.constant([1, 2]), rows))
    for copy in (True, False):
        batches = as_images(array).batches(indices, None, num_parallel_calls=1, copy=copy)
        _, positions, pixels = next(iter(batches))
        np.testing.assert_array_equal(positions, rows)
        np.testing.assert_array_equal(pixels, array[[4, 0, 5]])
        assert batches.element_spec[2].shape == (None, 4, 4, 3) or copy


def test_both_kinds_of_images_have_the_same_interface():
    public = {name for name in dir(ImageArray) if name[0] != "_"} - {"pixels"}
    assert public <= set(dir(EncodedImages))
