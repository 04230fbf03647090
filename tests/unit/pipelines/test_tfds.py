import itertools
import socket
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

tfds = pytest.importorskip("tensorflow_datasets")

from keras_ssl.core.errors import UserError  # noqa: E402
from pipelines import files  # noqa: E402
from pipelines.data import tfds as module  # noqa: E402
from pipelines.data.fingerprint import changes, fingerprint  # noqa: E402
from pipelines.data.load import load  # noqa: E402

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


def test_a_long_reading_is_shown(monkeypatch):
    lines = []
    monkeypatch.setattr(files, "_LOGGED", {"delay": 1e-9, "mininterval": 0.0})
    load_from(monkeypatch, Builder({"train": 4}), image_size=8, log=lines.append)
    assert lines[0].startswith("Reading shapes: 4 of 4 images, ")


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
    with pytest.raises(UserError, match=message):
        load_from(monkeypatch, builder)


class Downloading(Builder):
    """One that downloads as TensorFlow Datasets does, to a folder."""

    def __init__(self, url, folder):
        super().__init__({"train": 2})
        self.url, self.folder = url, folder

    def download_and_prepare(self):
        tfds.download.DownloadManager(download_dir=str(self.folder)).download(self.url)


def test_without_a_network_the_host_is_named(monkeypatch, tmp_path):
    from tensorflow_datasets.core.download import downloader

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(downloader, "MAX_RETRIES", 1)  # by itself it tries for minutes
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    builder = Downloading(f"http://127.0.0.1:{port}/shapes.zip", tmp_path)
    with pytest.raises(UserError, match=r"prepared: no answer from 127\.0\.0\.1\.\nPrepare it"):
        load_from(monkeypatch, builder)


def requests_error(kind, **settings):
    import requests

    request = requests.Request("GET", "https://images.example/shapes.zip").prepare()
    return getattr(requests, kind)("a long story", request=request, **settings)


def test_the_host_is_named_whatever_wraps_the_error(monkeypatch):
    for kind in ("ConnectionError", "Timeout"):
        problem = RuntimeError("the download failed")
        problem.__context__ = requests_error(kind)
        with pytest.raises(UserError, match=r"prepared: no answer from images\.example\.\n"):
            load_from(monkeypatch, Builder({"train": 2}, problem=problem))


def test_a_host_that_answers_is_not_said_to_be_silent(monkeypatch):
    problem = requests_error("HTTPError", response=SimpleNamespace(request=None))
    with pytest.raises(UserError, match="prepared: HTTPError: a long story\n"):
        load_from(monkeypatch, Builder({"train": 2}, problem=problem))


def test_a_set_that_is_prepared_needs_no_network(monkeypatch):
    def connect(*arguments, **options):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert load_from(monkeypatch, Builder({"train": 2}), image_size=8).image_size == 8


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'cifar10'"):
        load("cifr10", data_dir=str(tmp_path))


class Written(tfds.core.GeneratorBasedBuilder):
    """A small set that TensorFlow Datasets writes as it writes all others."""

    VERSION = tfds.core.Version("1.0.0")
    names, counts, side, channels, labels = ("a", "b"), {"train": 4, "test": 2}, 8, 3, {}

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(self.side, self.side, self.channels)),
            "label": tfds.features.ClassLabel(names=list(self.names)),
            "coarse": tfds.features.ClassLabel(num_classes=2),
            "flags": {"even": np.bool_},
            "text": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, manager):
        return {split: self._generate_examples(split) for split in self.counts}

    def _generate_examples(self, split):
        for number in range(self.counts[split]):
            image = np.full((self.side or 9 + number, self.side or 12, self.channels), number)
            label = number % len(self.names) if self.labels.get(split, True) else -1
            yield (
                number,
                {
                    "image": image.astype(np.uint8),
                    "label": label,
                    "coarse": number % 2,
                    "flags": {"even": number % 2 == 0},
                    "text": str(number),
                },
            )


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Function from what the set shall be, and settings of `load`, to its `ImageData`."""
    monkeypatch.setenv("KERAS_SSL_CACHE", str(tmp_path / "cache"))
    folders = itertools.count()

    def read(name="written", parts=None, **settings):
        for part, value in (parts or {}).items():
            monkeypatch.setattr(Written, part, value)
        builder = Written(data_dir=str(tmp_path / str(next(folders))))
        monkeypatch.setattr(tfds, "builder", lambda name, data_dir: builder)
        return load(name, log=lambda line: None, **settings)

    return read


def level(images):
    """The level of each image, which is its number."""
    return sorted(images[:][:, 0, 0, 0])


def test_large_sets_are_read_from_their_record_files(written):
    arrays, places = written(in_memory=True), written(in_memory=False)
    assert isinstance(arrays.train_images, np.ndarray)
    assert not isinstance(places.train_images, np.ndarray)
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        np.testing.assert_array_equal(getattr(places, part)[:], getattr(arrays, part))
    assert places.class_names == arrays.class_names == ("a", "b")


def test_images_of_many_sizes_stay_in_their_files_when_they_are_wanted_large(written):
    data = written(parts={"side": None}, image_size=160)
    assert not isinstance(data.train_images, np.ndarray) and data.image_size == 160
    assert sorted(data.train_images.heights) == [9, 10, 11, 12]


def test_files_of_another_form_are_refused_with_what_to_do(monkeypatch):
    builder = Builder({"train": 4})
    builder.info.file_format = tfds.core.FileFormat.RIEGELI
    with pytest.raises(UserError, match="'shapes' is prepared as riegeli files.*tfrecord"):
        load_from(monkeypatch, builder, in_memory=False)


@pytest.mark.parametrize("in_memory", [True, False])
def test_another_feature_serves_as_the_label(written, in_memory):
    three = {"names": ("a", "b", "c")}
    data = written("written#coarse", three, in_memory=in_memory)
    wanted = [number % 2 for number in data.train_images[:][:, 0, 0, 0]]
    np.testing.assert_array_equal(data.train_labels, wanted)
    assert data.num_classes == 2
    data = written("written#flags/even", three, in_memory=in_memory)
    np.testing.assert_array_equal(data.train_labels, 1 - np.array(wanted))


def test_a_feature_that_is_no_label_is_refused_with_those_that_are(written):
    with pytest.raises(UserError, match="'corse' .*Did you mean 'coarse'.*label, coarse, flags/ev"):
        written("written#corse")
    with pytest.raises(UserError, match="'text' is no feature that can be a label"):
        written("written#text")


@pytest.mark.parametrize("in_memory", [True, False])
def test_unlabeled_images_are_pretrained_on_besides(written, in_memory):
    parts = {
        "counts": {"train": 4, "test": 2, "unlabelled": 5},
        "labels": {"unlabelled": False},
    }
    data = written(parts=parts, in_memory=in_memory)
    assert len(data.train_images) == len(data.train_labels) == 4
    assert len(data.pretraining_images) == 9
    np.testing.assert_array_equal(data.pretraining_images[:4], data.train_images[:])
    assert level(data.pretraining_images[4:]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("in_memory", [True, False])
def test_splits_that_are_not_asked_for_are_not_read(written, in_memory):
    data = written(parts={"counts": {"train": 4, "test": 2, "extra": 9}}, in_memory=in_memory)
    assert len(data.train_images) == 4 and data.with_unlabeled is None


def test_a_test_split_without_labels_gives_way_to_the_validation_split(written):
    parts = {
        "counts": {"train": 4, "validation": 3, "test": 2},
        "labels": {"test": False},
    }
    assert len(written(parts=parts).test_images) == 3
    assert len(written(parts=parts | {"labels": {}}).test_images) == 2


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_labeled_validation_split_is_trained_on_and_chooses_settings(written, in_memory):
    parts = {"counts": {"train": 4, "validation": 3, "test": 2}}
    data = written(parts=parts, in_memory=in_memory)
    np.testing.assert_array_equal(data.validation_rows, [0, 1, 2])
    assert level(data.train_images[data.validation_rows]) == [0, 1, 2]
    assert level(data.train_images[3:]) == level(data.pretraining_images) == [0, 1, 2, 3]
    np.testing.assert_array_equal(data.train_labels, data.train_images[:][:, 0, 0, 0] % 2)
    np.testing.assert_array_equal(data.fitting_labels, data.train_labels[3:])
    assert len(data.test_images) == 2


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_validation_split_leaves_the_fingerprint_of_a_run_as_it_was(written, in_memory):
    with_three = written(
        parts={"counts": {"train": 4, "validation": 3, "test": 2}}, in_memory=in_memory
    )
    with_two = written(parts={"counts": {"train": 4, "test": 2}}, in_memory=in_memory)
    assert with_two.validation_rows is None
    assert changes(fingerprint(with_two), fingerprint(with_three)) == ""
    for name, values in fingerprint(with_two).items():
        np.testing.assert_array_equal(values, fingerprint(with_three)[name])


@pytest.mark.parametrize("in_memory", [True, False])
def test_validation_and_unlabeled_splits_go_together(written, in_memory):
    parts = {
        "counts": {"train": 4, "validation": 3, "test": 2, "unlabelled": 5},
        "labels": {"unlabelled": False},
    }
    data = written(parts=parts, in_memory=in_memory)
    assert len(data.train_images) == 7 and data.validation_rows.tolist() == [0, 1, 2]
    assert level(data.pretraining_images) == [0, 0, 1, 1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize("in_memory", [True, False])
def test_imagenet100_is_the_images_of_its_classes_numbered_anew(written, in_memory):
    wanted = module.classes_of("imagenet100")
    names = ("n01440764", wanted[3], wanted[0])
    parts = {"names": names, "counts": {"train": 9, "validation": 3}}
    data = written("imagenet100", parts, in_memory=in_memory)
    numbers = data.train_images[:][:, 0, 0, 0]
    assert sorted(numbers) == [1, 2, 4, 5, 7, 8]
    np.testing.assert_array_equal(data.train_labels, np.where(numbers % 3 == 1, 3, 0))
    assert len(data.test_images) == 2 and data.num_classes == 100 and data.class_names == wanted


@pytest.fixture
def few_of_each(monkeypatch):
    """Mini-ImageNet of two classes, of each three images for training and one for testing."""
    wanted = module.classes_of("mini_imagenet")[:2]
    monkeypatch.setattr(module, "classes_of", lambda name: wanted)
    monkeypatch.setitem(module.PER_CLASS, "mini_imagenet", {"train": 3, "test": 1})
    return wanted


@pytest.mark.parametrize("in_memory", [True, False])
def test_mini_imagenet_takes_both_parts_from_the_training_images(written, few_of_each, in_memory):
    parts = {
        "names": (*few_of_each[::-1], "n01440764"),
        "counts": {"train": 15, "validation": 6},
    }
    data = written("mini_imagenet", parts, in_memory=in_memory)
    numbers = data.train_images[:][:, 0, 0, 0]
    np.testing.assert_array_equal(data.train_labels, 1 - numbers % 3)
    assert np.bincount(data.train_labels).tolist() == [3, 3]
    tested = data.test_images[:][:, 0, 0, 0]
    np.testing.assert_array_equal(data.test_labels, 1 - tested % 3)
    assert len(tested) == 2 and not set(tested) & set(numbers)
    assert data.validation_rows is None and data.class_names == few_of_each


def test_mini_imagenet_needs_enough_images_of_each_class(written, few_of_each):
    parts = {"names": few_of_each, "counts": {"train": 7}}
    with pytest.raises(UserError, match=f"class {few_of_each[1]} has 3 images; 4 are needed"):
        written("mini_imagenet", parts)


def test_classes_of_mini_imagenet_are_64_16_and_20_in_the_few_shot_split():
    lines = (module._LISTS / "mini_imagenet.txt").read_text().splitlines()
    split = [line.split()[1] for line in lines if not line.startswith("#")]
    assert [split.count(part) for part in ("train", "validation", "test")] == [64, 16, 20]
    assert module.PER_CLASS["mini_imagenet"] == {"train": 500, "test": 100}  # SimMER, sec. 3.2


@pytest.mark.parametrize("name", ["imagenet100", "mini_imagenet"])
def test_a_subset_lists_a_hundred_classes_of_imagenet_in_ascending_order(name):
    wanted = module.classes_of(name)
    known = set(tfds.builder("imagenet2012").info.features["label"].names)
    assert len(set(wanted)) == 100 and set(wanted) <= known
    assert list(wanted) == sorted(wanted)
