"""Write any data set as TFRecord files, which `tfrecord:DIRECTORY` reads.

    python -m pipelines.convert DATASET OUT_DIR [--shards=N | --shard_size=N] [--image_size=N]

OUT_DIR gets `train-00000-of-00010.tfrecord` and so on, `test-...` if there is a test part,
`validation-...` if there is a part to choose settings by, `unlabelled-...` if there are images
without labels besides, `classes.txt` and `info.json`. Encoded
images are copied byte by byte; arrays, and images brought to `--image_size`, are written as PNG.
"""

import argparse
import json
import os

from pipelines.lazy import stand_in

if __name__ == "__main__":
    stand_in("keras_ssl")

from keras_ssl.core import environment  # noqa: E402
from keras_ssl.core.errors import UserError  # noqa: E402
from keras_ssl.core.files import written_aside  # noqa: E402
from pipelines.data.names import EMBEDDED, check_exists, check_name  # noqa: E402
from pipelines.files import progress  # noqa: E402

_SHARD_SIZE = 4096
_BLOCK = 256


def convert(
    name,
    out,
    *,
    shards=None,
    shard_size=_SHARD_SIZE,
    image_size=None,
    data_dir=None,
    log=print,
):
    """Write a data set into a new directory, whole or not at all.

    Args:
        name: of the data set, as `pipelines.data.load.load` takes it.
        out: the directory; it must not exist.
        shards: int >= 1. Files of the training part, at most, all but the last of one size; by
            default as `shard_size` makes them.
        shard_size: int >= 1. Images in a file.
        image_size: side to which images are brought; by default they stay as they are.
        data_dir: where TensorFlow Datasets keeps its files.
        log: called with each line for the user.

    Raises:
        UserError: if `out` exists, the data set cannot be read, or the disk is full.
    """
    out = os.path.abspath(os.path.expanduser(out))
    if os.path.lexists(out):
        raise UserError(f"{out} exists already. Give a directory that does not, or remove it.")

    import tensorflow as tf

    from pipelines.data.load import load

    # Bytes are copied as they are: no size is chosen or printed.
    size = image_size or (None if name == EMBEDDED or name.startswith("npz:") else 1)
    data = load(name, data_dir=data_dir, image_size=size, in_memory=False, log=log)
    if shards is not None:
        shard_size = -(-len(data.fitting_rows) // shards)
    try:
        with written_aside(out) as aside:
            os.makedirs(aside)
            counts = {
                part: _write_part(aside, part, encode, len(images), labels, shard_size, log)
                for part, images, labels in _parts(data)
                for encode in [images.files if image_size is None else images.pngs]
            }
            _write_notes(aside, data, counts)
    except (OSError, tf.errors.OpError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
        raise UserError(f"{out} could not be written, nothing is kept: {reason}") from error
    log(f"{out}: " + ", ".join(f"{sum(sizes):,} {part}" for part, sizes in counts.items()))


def _parts(data):
    """(part, `Images`, labels or `None`) of each part that there is."""
    own, count = data.validation_rows, len(data.fitting_rows)
    if own is not None:
        yield "validation", _taken(data.train_images, own), data.train_labels[own]
    yield "train", _taken(data.pretraining_images, slice(count)), data.fitting_labels
    if data.test_images is not None:
        yield "test", _taken(data.test_images, slice(None)), data.test_labels
    if data.with_unlabeled is not None:
        yield "unlabelled", _taken(data.with_unlabeled, slice(count, None)), None


def _taken(images, rows):
    from pipelines.data.image_array import as_images

    return as_images(as_images(images).take(rows))


def _write_part(folder, part, encode, count, labels, shard_size, log):
    """Write the files of a part of `count` images; returns how many images each holds."""
    import tensorflow as tf

    starts = range(0, count, shard_size)
    with progress(f"Writing {part}", "images", count, log=log) as bar:
        for number, start in enumerate(starts):
            stop = min(start + shard_size, count)
            path = os.path.join(folder, f"{part}-{number:05d}-of-{len(starts):05d}.tfrecord")
            with tf.io.TFRecordWriter(path) as writer:
                for first in range(start, stop, _BLOCK):
                    rows = slice(first, min(first + _BLOCK, stop))
                    _write_block(writer, encode(rows), None if labels is None else labels[rows])
                    bar.update(rows.stop - first)
    return [min(shard_size, count - start) for start in starts]


def _write_block(writer, contents, labels):
    for row, content in enumerate(contents):
        writer.write(_example(content, None if labels is None else labels[row]))


def _example(content, label):
    import tensorflow as tf

    features = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))}
    if label is not None:
        value = tf.train.Int64List(value=[int(label)])
        features["label"] = tf.train.Feature(int64_list=value)
    features = tf.train.Features(feature=features)
    return tf.train.Example(features=features).SerializeToString(deterministic=True)


def _write_notes(folder, data, counts):
    info = {
        "source": data.name,
        "num_classes": data.num_classes,
        "images": {part: sum(sizes) for part, sizes in counts.items()},
        "shards": {part: len(sizes) for part, sizes in counts.items()},
        "features": {"image": "encoded image", "label": "from 0, if there are labels"},
    }
    with open(os.path.join(folder, "info.json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(info, indent=2) + "\n")
    if data.class_names:
        lines = [" ".join(name.splitlines()) for name in data.class_names]
        path = os.path.join(folder, "classes.txt")
        with open(path, "w", encoding="utf-8", errors="replace") as file:
            file.write("\n".join(lines) + "\n")


def at_least_one(text):
    """A whole number >= 1 from a command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} must be at least 1")
    return number


def main(arguments=None):
    """The command line: status 2 and one or two lines for a user's mistake."""
    environment.open_streams()
    usage = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("pipelines.convert", None, __doc__, formatter_class=usage)
    parser.add_argument("dataset")
    parser.add_argument("out_dir")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--shards", type=at_least_one, help="files of the training part, at most")
    sizes.add_argument("--shard_size", type=at_least_one, default=_SHARD_SIZE, help="images a file")
    parser.add_argument("--image_size", type=at_least_one, help="side of the images")
    parser.add_argument("--data_dir", help="where TensorFlow Datasets keeps its files")
    options = vars(parser.parse_args(arguments))
    environment.set_up()  # before TensorFlow is imported
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    name, out = options.pop("dataset"), options.pop("out_dir")
    try:
        check_name(name)
        check_exists(name)
        convert(name, out, **options)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
