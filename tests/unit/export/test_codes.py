"""Codes on disk: whole, resumable, and never mixed."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from export import codes as export_codes
from export.codes import encode, load_codes
from keras_ssl.core.errors import UserError
from keras_ssl.layers.codes import code_dtype
from keras_ssl.layers.necks import codes_of

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 8, 8, 1), "uint8")


def to_unit(images):
    return tf.cast(images, tf.float32) / 255


def encoder_of(num_simplices=4, simplex_size=3, kind="sem"):
    keras.utils.set_random_seed(0)
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    sizes = {"num_simplices": num_simplices, "simplex_size": simplex_size}
    return keras_ssl.add_neck(backbone, kind=kind, **sizes)


class StopsAfter:
    """Images that cannot be read from some row on, as if the process had ended there."""

    ndim, shape = IMAGES.ndim, IMAGES.shape

    def __init__(self, rows):
        self.rows = rows
        self.read = []

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, rows):
        single = rows.stop - rows.start == 1  # the sample that identifies the data
        if not single and rows.stop > self.rows:
            raise KeyboardInterrupt
        self.read += [] if single else [rows.start]
        return IMAGES[rows]


@pytest.mark.parametrize("kind", ["sem", "vq"])
def test_a_file_holds_the_codes_of_the_encoder_in_order(kind, tmp_path):
    encoder = encoder_of(kind=kind)
    codes = encode(encoder, IMAGES, to_unit, tmp_path, batch_size=5)
    np.testing.assert_array_equal(codes.array, codes_of(encoder)(to_unit(IMAGES)))
    assert codes.array.dtype == "uint8" and codes.simplex_size == 3
    assert isinstance(codes.array, np.memmap)


@pytest.mark.parametrize("size, name", [(2, "uint8"), (256, "uint8"), (257, "uint16")])
def test_codes_take_the_smallest_type_that_holds_them(size, name):
    assert code_dtype(size) == name


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    encoder = encoder_of()
    whole = encode(encoder, IMAGES, to_unit, tmp_path / "whole", batch_size=5)
    with pytest.raises(KeyboardInterrupt):
        encode(encoder, StopsAfter(10), to_unit, tmp_path / "a", batch_size=5)
    with pytest.raises(UserError, match="unfinished"):
        load_codes(tmp_path / "a")
    with open(tmp_path / "a" / export_codes.UNFINISHED, "ab") as file:
        file.write(b"\1\1\1")  # most of a row
    rest = StopsAfter(100)
    codes = encode(encoder, rest, to_unit, tmp_path / "a", batch_size=5)
    assert rest.read == [10, 15, 20]
    np.testing.assert_array_equal(codes.array, whole.array)
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {export_codes.FILE, export_codes.SIDE_FILE}


@pytest.mark.parametrize("length", [0, 7])
def test_a_run_that_was_killed_within_the_header_begins_again(length, tmp_path):
    encoder = encoder_of()
    whole = encode(encoder, IMAGES, to_unit, tmp_path)
    (tmp_path / export_codes.FILE).rename(tmp_path / export_codes.UNFINISHED)
    with open(tmp_path / export_codes.UNFINISHED, "r+b") as file:
        file.truncate(length)
    again = encode(encoder, IMAGES, to_unit, tmp_path)
    np.testing.assert_array_equal(again.array, whole.array)


def test_finished_codes_are_not_computed_again(tmp_path):
    encoder = encoder_of()
    encode(encoder, IMAGES, to_unit, tmp_path)
    encode(encoder, StopsAfter(0), to_unit, tmp_path)


@pytest.mark.parametrize("change", ["encoder", "sizes", "images", "count", "preprocessing"])
def test_codes_of_something_else_are_refused(change, tmp_path):
    arguments = {"encoder": encoder_of(), "images": IMAGES, "made_from": {"mean": 0.5}}
    with pytest.raises(KeyboardInterrupt):
        stopped = {**arguments, "images": StopsAfter(10)}
        encode(**stopped, preprocess=to_unit, directory=tmp_path, batch_size=5)
    if change == "encoder":
        weight = arguments["encoder"].trainable_weights[-1]
        weight.assign(weight + 1e-3)
    arguments |= {
        "encoder": {},
        "sizes": {"encoder": encoder_of(simplex_size=5)},
        "images": {"images": IMAGES + 1},
        "count": {"images": IMAGES[:20]},
        "preprocessing": {"made_from": {"mean": 0.4}},
    }[change]
    with pytest.raises(UserError, match="made from something else"):
        encode(**arguments, preprocess=to_unit, directory=tmp_path)


def test_images_and_encoders_that_give_nan_are_refused(tmp_path):
    encoder, first = encoder_of(), (np.arange(5) < 2)[:, None, None, None]
    with pytest.raises(UserError, match="NaN or infinite values for 2 of images 0 to 4"):
        spoilt = lambda images: tf.where(first, np.nan, to_unit(images))  # noqa: E731
        encode(encoder, IMAGES, spoilt, tmp_path, batch_size=5)
    encoder.trainable_weights[-1].assign(encoder.trainable_weights[-1] * np.nan)
    with pytest.raises(UserError, match="for 23 of images 0 to 22"):
        encode(encoder, IMAGES, to_unit, tmp_path / "b")


def test_two_processes_at_once_are_refused_and_leave_nothing_mixed(tmp_path):
    class Meddled(StopsAfter):
        def __getitem__(self, rows):
            if (rows.start, rows.stop) == (10, 15):
                with open(tmp_path / export_codes.UNFINISHED, "ab") as file:
                    file.write(b"\1\1\1\1")  # a row of the other process
            return super().__getitem__(rows)

    encoder = encoder_of()
    with pytest.raises(UserError, match="Another process writes"):
        encode(encoder, Meddled(100), to_unit, tmp_path, batch_size=5)
    codes = encode(encoder, IMAGES, to_unit, tmp_path, batch_size=5)
    np.testing.assert_array_equal(codes.array, codes_of(encoder)(to_unit(IMAGES)))


@pytest.mark.parametrize("images", [IMAGES[:0], IMAGES[0]])
def test_no_images_are_refused(images, tmp_path):
    with pytest.raises(UserError, match="non-empty array of images"):
        encode(encoder_of(), images, to_unit, tmp_path)


def test_an_encoder_without_a_neck_is_refused(tmp_path):
    with pytest.raises(UserError, match="has no neck"):
        encode(keras_ssl.create_backbone("tiny", (8, 8, 1)), IMAGES, to_unit, tmp_path)


def test_damaged_and_missing_files_are_told(tmp_path):
    with pytest.raises(UserError, match=r"has no codes\.npy"):
        load_codes(tmp_path)
    encode(encoder_of(), IMAGES, to_unit, tmp_path)
    side = tmp_path / export_codes.SIDE_FILE
    content = json.loads(side.read_text())
    side.write_text(json.dumps({**content, "num_simplices": 9}))
    with pytest.raises(UserError, match="damaged"):
        load_codes(tmp_path)
    side.write_text("[1]")
    with pytest.raises(UserError, match="does not describe codes"):
        load_codes(tmp_path)
    side.unlink()
    with pytest.raises(UserError, match="Cannot read"):
        load_codes(tmp_path)
    with pytest.raises(UserError, match=r"have no codes\.json"):
        encode(encoder_of(), IMAGES, to_unit, tmp_path)
