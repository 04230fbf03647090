"""Files of a user, rows of paths, and threads that read them."""

import itertools
import os
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

from pipelines.data.paths import FileStore, Paths
from pipelines.errors import DataError
from pipelines.files import check_path
from pipelines.threads import in_threads


@pytest.mark.parametrize(
    "kind, wanted", [("npz", "an .npz file"), ("folder", "a folder of images")]
)
def test_a_path_that_does_not_exist_is_answered_with_the_form(kind, wanted):
    with pytest.raises(DataError, match=f"/no/x does not exist. Give {wanted}, as {kind}:PATH."):
        check_path(kind, "/no/x")


NAMES = ["a.png", "äöü/ж漢.png", "with spaces/b", os.fsdecode(b"not\xffutf8.png"), "x" * 250]


def test_paths_come_back_whatever_their_letters():
    paths, more = Paths(), Paths()
    for name in NAMES:
        paths.append(name)
        more.append(name + "2")
    paths.extend(more)
    assert list(paths) == NAMES + [name + "2" for name in NAMES]
    assert paths.starts[-1] == len(paths.letters)
    with pytest.raises(IndexError):
        paths[len(paths)]


def test_a_million_paths_take_their_letters_and_little_more():
    paths = Paths()
    for number in range(100_000):
        paths.append(f"/data/train/n01440764/n01440764_{number:06d}.jpeg")
    size = sys.getsizeof(paths._letters) + sys.getsizeof(paths._starts)
    assert size / len(paths) < 1.3 * (44 + 8)


def test_files_are_read_by_their_number_and_have_names_that_can_be_printed(tmp_path):
    paths = Paths()
    for number, name in enumerate(["ж.png", os.fsdecode(b"\xff")]):
        path = os.path.join(tmp_path, name)
        with open(path, "w") as file:
            file.write(str(number))
        paths.append(path)
    store = FileStore(paths, "")
    read = tf.data.Dataset.range(2).map(store.read)
    assert list(read.as_numpy_iterator()) == [b"0", b"1"]
    assert store.name_of(0).endswith("ж.png") and store.name_of(1).encode()


def test_results_come_in_order_and_few_are_taken_ahead():
    taken = []
    items = (taken.append(number) or number for number in itertools.count())
    results = in_threads(np.square, items, threads=2)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    results.close()
    assert len(taken) < 200


def test_threads_work_at_the_same_time_and_an_error_reaches_the_reader():
    barrier = threading.Barrier(2, timeout=10)
    assert len(list(in_threads(lambda _: barrier.wait(), range(2), threads=2))) == 2
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda number: 1 // number, [1, 0], threads=2))
