from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.data.cache import VARIABLE, cached_path, read_cached, write_cached
from pipelines.data.encoded import EncodedImages
from pipelines.errors import DataError
from pipelines.normalization import NAMED, normalization


class Levels(EncodedImages):
    """Image i has the level i everywhere; counts how often it was read."""

    reads = 0

    def __getitem__(self, positions):
        Levels.reads += 1
        levels = self.places[positions].astype(np.uint8)
        return np.broadcast_to(levels[:, None, None, None], (len(levels), 4, 4, 3))


def levels(count=20, state="first"):
    ones, store = np.ones(count, np.int32), SimpleNamespace(state=state)
    return Levels(store, np.arange(count), 4 * ones, 4 * ones, ones, ones == 1, 4)


def test_encoded_images_are_measured_once_and_as_arrays_are(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    array = np.broadcast_to(np.arange(20)[:, None, None, None], (20, 4, 4, 3)).astype(np.uint8)
    Levels.reads = 0
    assert normalization(levels()) == normalization(array)
    assert normalization(levels()) == normalization(array) and Levels.reads == 1
    normalization(levels(10))
    assert Levels.reads == 2  # other images
    normalization(levels(state="second"))
    assert Levels.reads == 3  # the same names, but something changed


def test_a_sample_is_read_by_blocks(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    Levels.reads = 0
    normalization(levels(256 * 3))
    assert Levels.reads == 3


@pytest.mark.parametrize("damage", [lambda c: b"", lambda c: b"{", lambda c: c[:-30], bytes.upper])
def test_a_damaged_cache_is_made_anew(monkeypatch, tmp_path, damage):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    first = normalization(levels())
    (file,) = tmp_path.rglob("*.npz")
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    Levels.reads = 0
    assert normalization(levels()) == normalization(levels()) == first
    assert Levels.reads == 1


def test_no_damage_of_a_cache_file_gives_other_arrays(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    write_cached("folder", "key", {"heights": np.arange(50), "reasons": np.array(["empty file"])})
    whole, rng = cached_path("folder", "key").read_bytes(), np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        cached_path("folder", "key").write_bytes(damaged)
        found = read_cached("folder", "key") or {}
        if "heights" in found:
            np.testing.assert_array_equal(found["heights"], np.arange(50))


def test_a_cache_that_is_not_a_folder_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    assert normalization(levels()) == normalization(levels())


def test_a_user_without_a_home_has_no_cache_but_no_error(monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("pathlib.Path.home", home)
    assert normalization(levels()) == normalization(levels())


def test_a_cache_that_cannot_be_written_keeps_no_part_of_a_file(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    path = cached_path("kind", "key")
    path.mkdir(parents=True)  # in the way of the renaming
    write_cached("kind", "key", {"a": np.ones(3)})
    assert list(path.parent.iterdir()) == [path]


def test_what_is_kept_of_the_same_data_for_different_ends_lies_in_different_files(
    monkeypatch, tmp_path
):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    for kind in ("folder", "records", "statistics"):
        write_cached(kind, "key", {"kind": np.array(kind)})
    for kind in ("folder", "records", "statistics"):
        assert str(read_cached(kind, "key")["kind"]) == kind


def test_named_ones_are_for_colour_images():
    images = np.zeros((1, 2, 2, 1), np.uint8)
    assert normalization(np.zeros((1, 2, 2, 3), np.uint8), "imagenet") == NAMED["imagenet"]
    with pytest.raises(DataError, match="3 channels"):
        normalization(images, "imagenet")
    with pytest.raises(DataError, match="Did you mean 'imagenet'"):
        normalization(images, "imagnet")
