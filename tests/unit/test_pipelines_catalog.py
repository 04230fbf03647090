import socket
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

tfds = pytest.importorskip("tensorflow_datasets")

from pipelines.datasets import load  # noqa: E402
from pipelines.errors import DataError  # noqa: E402
from pipelines.sources import catalog  # noqa: E402

IMAGE = tfds.features.Image(shape=(None, None, 3))
LABEL = tfds.features.ClassLabel(names=["round", "square"])


class Builder:
    """Stands for a prepared set of images of 9 x 12 pixels, each of the level of its index."""

    def __init__(self, counts, features=None, labels=(0, 1), problem=None):
        splits = {name: SimpleNamespace(num_examples=count) for name, count in counts.items()}
        features = {"image": IMAGE, "label": LABEL} if features is None else features
        self.info = SimpleNamespace(features=features, splits=splits)
        self.labels, self.problem = labels, problem

    def download_and_prepare(self):
        if self.problem:
            raise self.problem

    def as_dataset(self, split):
        index = np.arange(self.info.splits[split].num_examples)
        images = np.broadcast_to(index[:, None, None, None], (len(index), 9, 12, 3))
        labels = np.take(self.labels, index % 2)
        return tf.data.Dataset.from_tensor_slices(
            {"image": images.astype(np.uint8), "label": labels.astype(np.int64)}
        )


def load_from(monkeypatch, builder, **settings):
    monkeypatch.setattr(tfds, "builder", lambda name, data_dir: builder)
    return load("shapes", **settings)


def test_splits_become_arrays_with_labels_and_names(monkeypatch):
    lines = []
    builder = Builder({"train": 4, "validation": 2})
    data = load_from(monkeypatch, builder, log=lines.append)
    assert data.train_images.shape == (4, 32, 32, 3) and data.train_images.dtype == np.uint8
    assert data.test_images.shape == (2, 32, 32, 3) and "32 pixels" in lines[0]
    assert data.class_names == ("round", "square")
    np.testing.assert_array_equal(data.train_images[:, 0, 0, 0], [0, 1, 2, 3])
    np.testing.assert_array_equal(data.train_labels, [0, 1, 0, 1])


def test_image_size_is_obeyed_and_a_test_part_not_needed(monkeypatch):
    data = load_from(monkeypatch, Builder({"train": 4}), image_size=8)
    assert data.image_size == 8 and data.test_images is data.test_labels is None


def test_images_of_one_square_size_stay_as_they_are(monkeypatch):
    builder = Builder({"train": 2}, features={"image": tfds.features.Image(shape=(9, 9, 3))})
    data = load_from(monkeypatch, builder)
    assert data.image_size == 9 and data.train_labels is data.num_classes is None


def test_labels_below_zero_mean_none(monkeypatch):
    data = load_from(monkeypatch, Builder({"train": 2}, labels=(-1, -1)), image_size=8)
    assert data.train_labels is data.num_classes is None


@pytest.mark.parametrize(
    "builder, message",
    [
        (
            Builder({"train": 2}, features={"text": tfds.features.Text()}),
            "no feature 'image': text",
        ),
        (Builder({"validation": 2}), "no split 'train': validation"),
        (Builder({"train": 2}, problem=OSError("No host\nlong story")), "OSError: No host\n"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(monkeypatch, builder, message):
    with pytest.raises(DataError, match=message):
        load_from(monkeypatch, builder)


class Downloading(Builder):
    """One that downloads as TensorFlow Datasets does, to a folder."""

    def __init__(self, url, folder):
        super().__init__({"train": 2})
        self.url, self.folder = url, folder

    def download_and_prepare(self):
        tfds.download.DownloadManager(download_dir=str(self.folder)).download(self.url)


@pytest.fixture
def listening():
    """The port of a server that takes connections and never answers, and one that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            free = closed.getsockname()[1]
        yield {"silent": silent.getsockname()[1], "refused": free}


@pytest.mark.parametrize("host", ["silent", "refused"])
def test_a_host_that_does_not_answer_is_named_within_seconds(
    host, listening, monkeypatch, tmp_path
):
    import requests
    from tensorflow_datasets.core.download import downloader

    before = requests.Session.request, downloader.MAX_RETRIES
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(catalog, "_SECONDS", (0.2, 0.2))
    builder = Downloading(f"http://127.0.0.1:{listening[host]}/shapes.zip", tmp_path)
    started = time.monotonic()
    with pytest.raises(DataError, match="no answer from 127.0.0.1.\nPrepare it where"):
        load_from(monkeypatch, builder)
    assert time.monotonic() - started < 10
    assert (requests.Session.request, downloader.MAX_RETRIES) == before


def test_a_set_that_is_prepared_needs_no_network(monkeypatch):
    def connect(*arguments, **options):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert load_from(monkeypatch, Builder({"train": 2}), image_size=8).image_size == 8


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(DataError, match="Did you mean 'cifar10'"):
        load("cifr10", data_dir=str(tmp_path))
