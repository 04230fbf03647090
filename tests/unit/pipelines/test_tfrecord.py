import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines import files
from pipelines.data import records
from pipelines.data.load import load
from pipelines.data.records import index_records, masked_crc32c, records_in


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pixels(seed=0, height=12, width=10, channels=3):
    shape = (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def png(seed=0, **shape):
    return tf.io.encode_png(pixels(seed, **shape)).numpy()


def example(content, label=None, keys=("image", "label")):
    features = {keys[0]: tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))}
    if label is not None:
        features[keys[1]] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            writer.write(row)
    return path


def read(pattern, **settings):
    lines = []
    settings = {"in_memory": False} | settings
    return load(f"tfrecord:{pattern}", log=lines.append, **settings), "\n".join(lines)


@pytest.fixture
def two_parts(tmp_path):
    """Training images 0 to 5 in two files, test images 6 to 8 in one; labels 0, 1, 2 in turn."""
    rows = [example(png(i, height=8, width=8), i % 3) for i in range(9)]
    write(tmp_path / "set" / "train-00000-of-00002.tfrecord", rows[:3])
    write(tmp_path / "set" / "train-00001-of-00002.tfrecord", rows[3:6])
    write(tmp_path / "set" / "test-00000-of-00001.tfrecord", rows[6:])
    return tmp_path / "set"


@pytest.mark.parametrize("in_memory", [True, False])
def test_parts_labels_and_pixels_are_those_that_were_written(two_parts, in_memory):
    data, _ = read(two_parts, in_memory=in_memory)
    wanted = np.stack([pixels(i, height=8, width=8) for i in range(9)])
    np.testing.assert_array_equal(data.train_images[:], wanted[:6])
    np.testing.assert_array_equal(data.test_images[:], wanted[6:])
    np.testing.assert_array_equal(data.train_labels, [0, 1, 2] * 2)
    np.testing.assert_array_equal(data.test_labels, [0, 1, 2])
    assert isinstance(data.train_images, np.ndarray) == in_memory
    assert data.class_names is None and data.num_classes == 3 and data.image_size == 8


def test_reading_by_place_gives_the_bytes_in_any_order_eagerly_and_in_graphs(tmp_path):
    contents = [png(i) + bytes(i) for i in range(4)]  # zeros at the end must survive
    shard = write(tmp_path / "train.tfrecord", [example(content) for content in contents])
    images = index_records([shard]).images(np.arange(4), 8)
    order = [2, 0, 3, 1, 2]
    stream = tf.data.Dataset.from_tensor_slices(tf.constant(order, tf.int64)).map(images.store.read)
    assert list(stream.as_numpy_iterator()) == [contents[place] for place in order]
    assert images.store.read(tf.constant(1, tf.int64)).numpy() == contents[1]


def test_the_checksum_is_that_of_the_writer(tmp_path):
    shard = write(tmp_path / "a.tfrecord", [b"some", b"", bytes(1000)])
    assert [content for _, content in records_in(str(shard))] == [b"some", b"", bytes(1000)]
    head = shard.read_bytes()[:12]
    assert masked_crc32c(head[:8]) == int.from_bytes(head[8:], "little")


@pytest.mark.parametrize(
    "harm, message",
    [
        (lambda content: content[:-3], "train.tfrecord is cut off in the record at byte"),
        (lambda content: content[:-7], "train.tfrecord is cut off in the record at byte"),
        (lambda content: content + b"abc", "train.tfrecord is cut off in the record at byte"),
        (lambda content: content + bytes(12), "train.tfrecord is damaged from byte"),
        (lambda content: b"some other file", "train.tfrecord is not a TFRecord file"),
        (lambda content: b"short", "train.tfrecord is not a TFRecord file"),
        (lambda content: b"\x1f\x8b" + content, "seems to be compressed"),
    ],
)
def test_a_file_that_is_cut_off_or_of_another_form_is_named(tmp_path, harm, message):
    shard = write(tmp_path / "train.tfrecord", [example(png(), 0), example(png(), 1)])
    shard.write_bytes(harm(shard.read_bytes()))
    with pytest.raises(UserError, match=message):
        read(shard)


@pytest.mark.parametrize(
    "row, message",
    [
        (b"\xff\xff", "is not a tf.train.Example"),
        (
            example(png(), keys=("picture", "label")),
            "no encoded image image/encoded or image; it h",
        ),
    ],
)
def test_a_record_without_an_image_is_refused_by_its_place(tmp_path, row, message):
    with pytest.raises(UserError, match=rf"record at byte 12\) .*{message}"):
        read(write(tmp_path / "train.tfrecord", [row]))


@pytest.mark.parametrize("in_memory", [True, False])
def test_records_whose_image_cannot_be_used_are_passed_over(tmp_path, in_memory):
    rows = [example(png(), 0), example(b"no image", 1), example(png(1), 0)]
    data, log = read(write(tmp_path / "a.tfrecord", rows), in_memory=in_memory, image_size=8)
    assert len(data.skipped) == 1 and "skipped 1 records" in log
    assert len(data.train_images) == 2


@pytest.mark.parametrize("in_memory", [True, False])
def test_an_image_that_is_damaged_inside_is_passed_over(tmp_path, in_memory):
    broken = png(2)[:60] + bytes(40) + png(2)[100:]
    rows = [example(png(i), i % 2) for i in range(8)] + [example(broken, 1)]
    write(tmp_path / "set" / "train.tfrecord", rows)
    write(tmp_path / "set" / "test.tfrecord", rows[:2])
    data, log = read(tmp_path / "set", in_memory=in_memory, image_size=8)
    assert len(data.train_images[:]) == len(data.train_labels) == 8
    assert "damaged" in data.skipped[0][1] and "skipped 1 records" in log


def test_labels_are_not_needed_but_all_or_none(tmp_path):
    data, _ = read(write(tmp_path / "a.tfrecord", [example(png(i)) for i in range(4)]))
    assert data.train_labels is data.test_images is None and len(data.train_images) == 4
    some = write(tmp_path / "b.tfrecord", [example(png()), example(png(), 0)])
    with pytest.raises(UserError, match="1 of 2 images of a part have no label"):
        read(some)


def test_without_a_test_part_images_are_held_out_by_their_content(tmp_path):
    rows = [example(png(i), i % 2) for i in range(20)]
    data, log = read(write(tmp_path / "a.tfrecord", rows))
    assert "held out" in log and len(data.train_images) + len(data.test_images) == 20
    fewer, _ = read(write(tmp_path / "b.tfrecord", rows[3:]))
    for part in ("train_images", "test_images"):
        here, again = ({i.tobytes() for i in getattr(some, part)[:]} for some in (data, fewer))
        assert again and again <= here


def test_labels_with_gaps_and_without_names_are_numbered_anew(tmp_path):
    rows = [example(png(i), (7, 10**9)[i % 2]) for i in range(4)]
    data, log = read(write(tmp_path / "train.tfrecord", rows))
    assert data.num_classes == 2 and data.class_names == ("7", "1000000000")
    assert "2 labels from 7 to 1000000000" in log


def labeled(tmp_path, labels, names=None):
    keys = ("image/encoded", "image/class/label")
    rows = [example(png(i), label, keys) for i, label in enumerate(labels)]
    write(tmp_path / "set" / "train-0.tfrecord", rows)
    write(tmp_path / "set" / "test-0.tfrecord", rows)
    if names:
        (tmp_path / "set" / "classes.txt").write_text("\n".join(names) + "\n")
    return read(tmp_path / "set")


def test_labels_that_count_from_one_are_moved_and_the_log_says_so(tmp_path):
    data, log = labeled(tmp_path, [1, 2, 3])
    np.testing.assert_array_equal(data.train_labels, [0, 1, 2])
    assert "labels run from 1 to 3" in log


def test_labels_that_the_class_list_explains_stay(tmp_path):
    data, log = labeled(tmp_path, [1, 2], ["a", "b", "c"])
    np.testing.assert_array_equal(data.train_labels, [1, 2])
    assert data.class_names == ("a", "b", "c") and "labels run" not in log


def test_labels_beyond_the_class_list_are_refused(tmp_path):
    with pytest.raises(UserError, match="label 4, but classes.txt has 2 names"):
        labeled(tmp_path, [0, 4], ["a", "b"])


def test_all_gray_pngs_stay_gray_in_memory(tmp_path):
    rows = [example(png(i, height=8, width=8, channels=1)) for i in range(3)]
    data, _ = read(write(tmp_path / "a.tfrecord", rows), in_memory=True)
    wanted = np.stack([pixels(i, height=8, width=8, channels=1) for i in range(3)])
    np.testing.assert_array_equal(data.train_images, wanted)


def test_unlabeled_files_add_to_what_is_pretrained_on(tmp_path):
    write(tmp_path / "set" / "train-0.tfrecord", [example(png(i), i) for i in range(2)])
    write(tmp_path / "set" / "unlabelled-0.tfrecord", [example(png(i)) for i in range(2, 5)])
    write(tmp_path / "set" / "test-0.tfrecord", [example(png(9), 0)])
    for in_memory in (True, False):
        data, _ = read(tmp_path / "set", image_size=8, in_memory=in_memory)
        assert (len(data.train_images), len(data.pretraining_images)) == (2, 5)
        np.testing.assert_array_equal(data.pretraining_images[:2], data.train_images[:])


def test_the_index_is_kept_until_a_file_changes(two_parts, cache, monkeypatch):
    first, _ = read(two_parts)
    assert len(list(cache.rglob("*.npz"))) == 1
    scans = []
    scan = records._scan
    monkeypatch.setattr(records, "_scan", lambda *args: scans.append(args[1]) or scan(*args))
    again, _ = read(two_parts)
    np.testing.assert_array_equal(first.train_images[:], again.train_images[:])
    assert not scans
    write(two_parts / "test-00000-of-00001.tfrecord", [example(png(50, height=8, width=8), 0)])
    changed, _ = read(two_parts)
    assert len(changed.test_images) == 1 and len(scans) == 3


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_long_reading_is_shown(two_parts, monkeypatch, in_memory):
    monkeypatch.setattr(files, "_LOGGED", {"delay": 1e-9, "mininterval": 0.0})
    _, log = read(two_parts, in_memory=in_memory)
    assert f"Indexing {two_parts}: " in log
    assert (f"Reading tfrecord:{two_parts}: 1 of 9 images, " in log) == in_memory


def test_a_damaged_index_is_made_again(two_parts, cache):
    read(two_parts)
    for file in cache.rglob("*.npz"):
        file.write_bytes(b"nothing")
    assert len(read(two_parts)[0].train_images) == 6


def test_a_record_that_is_too_large_is_refused_before_it_is_read(two_parts, monkeypatch):
    monkeypatch.setattr(records, "MAX_BYTES", 100)
    with pytest.raises(UserError, match="train-00000-of-00002.tfrecord has a record of .* bytes"):
        read(two_parts)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_truncated_image_is_named_so_whether_it_is_decoded_now_or_later(tmp_path, in_memory):
    rows = [example(png(i)) for i in range(3)] + [example(png()[:-30])]
    data, _ = read(write(tmp_path / "a.tfrecord", rows), in_memory=in_memory, image_size=8)
    assert [reason for _, reason in data.skipped] == ["truncated image"]


def test_a_file_that_changed_after_it_was_indexed_is_named(two_parts):
    data, _ = read(two_parts, in_memory=False)
    shard = two_parts / "train-00001-of-00002.tfrecord"
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(UserError, match="train-00001-of-00002.tfrecord"):
        data.train_images[4]
    shard.unlink()
    with pytest.raises(UserError, match="train-00001-of-00002.tfrecord"):
        data.train_images[4]


def test_a_test_part_says_whether_it_was_held_out(two_parts, tmp_path):
    assert not read(two_parts)[0].held_out
    write(tmp_path / "all" / "train.tfrecord", [example(png(i), i % 2) for i in range(20)])
    assert read(tmp_path / "all")[0].held_out
    write(tmp_path / "none" / "train.tfrecord", [example(png(i)) for i in range(4)])
    assert not read(tmp_path / "none")[0].held_out
