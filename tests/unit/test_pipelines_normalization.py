import numpy as np
import pytest

from pipelines.cache import VARIABLE, write_cached
from pipelines.encoded import EncodedImages
from pipelines.errors import DataError
from pipelines.normalization import NAMED, normalization


class Levels(EncodedImages):
    """Image i has the level i everywhere; counts how often it was read."""

    reads = 0

    def __getitem__(self, positions):
        Levels.reads += 1
        levels = self.places[positions].astype(np.uint8)
        return np.broadcast_to(levels[:, None, None, None], (len(levels), 4, 4, 3))


class Store:
    def name_of(self, place):
        return str(place)


def levels(count=20):
    ones = np.ones(count, np.int32)
    return Levels(Store(), np.arange(count), 4 * ones, 4 * ones, ones, ones == 1, 4)


def test_encoded_images_are_measured_once_and_as_arrays_are(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    array = np.broadcast_to(np.arange(20)[:, None, None, None], (20, 4, 4, 3)).astype(np.uint8)
    Levels.reads = 0
    assert normalization(levels()) == normalization(array)
    assert normalization(levels()) == normalization(array) and Levels.reads == 1
    normalization(levels(10))
    assert Levels.reads == 2  # other images


@pytest.mark.parametrize("content", [None, "{", "[1, 2, 3]"])
def test_a_cache_that_is_no_use_is_no_error(monkeypatch, tmp_path, content):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    if content is None:
        (tmp_path / "file").write_text("not a folder")
    first = normalization(levels())
    for path in tmp_path.rglob("*.json"):
        path.write_text(content)
    assert normalization(levels()) == first


def test_a_cache_that_cannot_be_written_keeps_no_part_of_a_file(tmp_path):
    path = tmp_path / "kind" / "key.npz"
    path.mkdir(parents=True)  # in the way of the renaming
    write_cached(path, b"content")
    assert list(path.parent.iterdir()) == [path]


def test_named_ones_are_for_colour_images():
    images = np.zeros((1, 2, 2, 1), np.uint8)
    assert normalization(np.zeros((1, 2, 2, 3), np.uint8), "imagenet") == NAMED["imagenet"]
    with pytest.raises(DataError, match="3 channels"):
        normalization(images, "imagenet")
    with pytest.raises(DataError, match="Did you mean 'imagenet'"):
        normalization(images, "imagnet")
