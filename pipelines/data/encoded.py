"""Images that stay encoded where they lie: each is decoded when it is read."""

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import UNREADABLE, UserError
from pipelines.data.image_array import Images
from pipelines.data.image_data import NAMED
from pipelines.files import in_threads, progress
from pipelines.images.decoding import decode_window, decoded_square, guarded
from pipelines.images.resizing import shorter_side

_TRIES = 100  # images in a row that may be lost; beyond, it is not the images
_COLUMNS = ("places", "heights", "widths", "orientations", "jpegs")


@dataclasses.dataclass(frozen=True)
class EncodedImages(Images):
    """Images on disk that read like an array of their middle squares.

    Slices and arrays of positions give uint8 arrays (n, side, side, 3), decoded there and then;
    training decodes only what its crops show (`batches`).

    Args:
        store: where the encoded images lie, with the methods `read(place)`, scalar int64 tensor ->
            scalar string tensor, in graphs too; `name_of(place)`, int -> what to call it; and
            `stamps(places)`, strings that change when those images do, where `state`, a string,
            does not.
        places: int64 (N,), of each image in the store.
        heights, widths: int32 (N,), in pixels, as the image is seen.
        orientations: uint8 (N,), 1 to 8 as in EXIF.
        jpegs: bool (N,), which of them are JPEG.
        side: of the squares.
        crop_fraction: share of the middle square's side that the squares show, 0.875 for 224 out of
            256 pixels.
        lost: {place: whether `report_lost` has said so} of images that others had to stand for.

    Example:

    >>> tf.io.write_file("photos/0.png", tf.io.encode_png(tf.zeros((9, 12, 3), tf.uint8)))
    >>> from pipelines.data.load import load
    >>> images = load("folder:photos", image_size=8, in_memory=False).train_images
    >>> type(images).__name__, images.shape, images.heights.tolist(), images[:].dtype
    ('EncodedImages', (1, 8, 8, 3), [9], dtype('uint8'))
    """

    store: Any
    places: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    orientations: np.ndarray
    jpegs: np.ndarray
    side: int
    crop_fraction: float = 1.0
    lost: dict = dataclasses.field(default_factory=dict, repr=False)

    @property
    def shape(self):
        """That of the array of all squares."""
        return (len(self.places), self.side, self.side, 3)

    def take(self, positions):
        """Those at `positions`, a slice, a mask or whole numbers, still encoded."""
        columns = {name: getattr(self, name)[positions] for name in _COLUMNS}
        return dataclasses.replace(self, **columns)

    def __getitem__(self, positions):
        chosen = self.take(np.atleast_1d(np.arange(len(self))[positions]))
        squares = np.empty(chosen.shape, np.uint8)
        for row, square in enumerate(in_threads(chosen._square, range(len(chosen)))):
            squares[row] = square
        return squares

    def cropped(self, crop_fraction):
        """The same images with squares that show another share of the middle."""
        return dataclasses.replace(self, crop_fraction=crop_fraction)

    def in_memory(self, what, channels, log):
        """All squares, uint8 (N, side, side, channels), with a progress bar that says `what`."""
        squares = np.empty((*self.shape[:3], channels), np.uint8)
        with progress(what, "images", len(self), log=log) as bar:
            for row, square in enumerate(in_threads(self._square, range(len(self)))):
                squares[row] = square[..., :channels]
                bar.update()
        return squares

    def name_of(self, row):
        """What to call an image."""
        return self.store.name_of(int(self.places[row]))

    def _square(self, row):
        try:
            content = self.store.read(tf.constant(self.places[row], tf.int64))
            columns = (self.jpegs, self.orientations, self.heights, self.widths)
            stated = (column[row] for column in columns)
            sizes = self.side, shorter_side(self.side, self.crop_fraction)
            return decoded_square(content, *stated, *sizes).numpy()
        except (tf.errors.OpError, OSError) as error:
            raise UserError(
                f"{self.name_of(row)} cannot be read any more: it is gone, or changed since it was "
                "checked at the start. Start again, which leaves it out; resume a run by "
                "--resume.",
                retry=True,
            ) from error

    def check(self, positions):
        """Decode the images at `positions`.

        Raises:
            UserError: for the first that changed or is gone, with its name.
        """
        self[positions]

    def digest(self):
        """64 hexadecimal digits for these images in this order and size; none is decoded.

        They change with the names of the files, and when a file is written anew.
        """
        rows = hashlib.sha256(f"{self.store.state} {self._size}".encode())
        for name in _COLUMNS:
            rows.update(np.ascontiguousarray(getattr(self, name)))
        for stamp in self.store.stamps(self.places):
            rows.update(stamp.encode())
        digest = hashlib.sha256(json.dumps(list(self.shape)).encode())
        digest.update(rows.hexdigest().encode())
        return digest.hexdigest()

    @property
    def identity(self):
        """64 hexadecimal digits for these images, by when their folder or files were indexed."""
        digest = hashlib.sha256(f"{self.store.state} {len(self)} {self._size}".encode())
        digest.update(np.ascontiguousarray(self.places))
        return digest.hexdigest()

    @property
    def _size(self):
        """Side and crop in words; of whole squares as earlier versions have it in digests."""
        return f"{self.side}" if self.crop_fraction == 1 else f"{self.side}/{self.crop_fraction:g}"

    def sample(self, count):
        """Images that statistics of all can be estimated with: `count` at even distances."""
        return self.take(np.unique(np.linspace(0, len(self) - 1, count).astype(int)))

    def files(self, positions):
        """The images at `positions` as the bytes of their files."""
        places = self.places[positions]
        return [self.store.read(tf.constant(place, tf.int64)).numpy() for place in places]

    def batches(self, indices, crops, *, num_parallel_calls, copy=True):
        """What views are drawn from, in batches: here crops, decoded only as far as they reach.

        For an image that can be decoded no more, the next one in this order that can is drawn at
        its place in the batch: it depends on nothing else.

        Args:
            indices, num_parallel_calls: as for `ImageArray.batches`.
            crops: `pipelines.views.stream.Crops`.
            copy: as for `ImageArray.batches`, which alone it matters to.

        Returns:
            Data set of (seed, positions of the images that were read, {kind: uint8 (b, crops,
            side, side, 3)}).
        """
        table = {name: tf.constant(getattr(self, name)) for name in _COLUMNS}
        last, places = len(self) - 1, np.arange(crops.batch_size, dtype="int32")

        @tf.autograph.experimental.do_not_convert
        def draw(seed, indices):
            seeds = tf.repeat(seed[None], crops.batch_size, axis=0)
            return seeds, places, indices, *boxes_of(seed, indices, places)

        def boxes_of(seed, indices, places):
            rows = tf.minimum(indices, last)
            sides = [tf.gather(table[name], rows) for name in ("heights", "widths")]
            return crops.boxes(*sides, seed, places)

        @tf.autograph.experimental.do_not_convert
        def decode(seed, place, index, boxes, flips):
            cut, good = self._crops(table, tf.minimum(index, last), boxes, flips, crops)
            index, *cut = tf.cond(
                good, lambda: (index, *cut), lambda: next_good(seed, place, index, cut)
            )
            return seed, index, crops.by_kind(cut)

        def next_good(seed, place, index, cut):
            def attempt(tries, other, good, *cut):
                other = (other + 1) % len(self)
                boxes, flips = (part[0] for part in boxes_of(seed, other[None], place[None]))
                cut, good = self._crops(table, other, boxes, flips, crops)
                return tries + 1, other, good, *cut

            lost = self._lose(tf.minimum(index, last))
            start = (tf.constant(0), lost, tf.constant(False), *cut)
            _, other, good, *cut = tf.while_loop(
                lambda tries, other, good, *cut: ~good & (tries < _TRIES), attempt, start
            )
            with tf.control_dependencies([tf.debugging.Assert(good, [f"{_TRIES} {UNREADABLE}"])]):
                return tf.identity(other), *cut

        decoded = indices.map(draw).unbatch()
        decoded = decoded.map(decode, num_parallel_calls=num_parallel_calls, deterministic=True)
        decoded = decoded.batch(crops.batch_size, drop_remainder=True)
        return decoded.map(lambda seeds, indices, cut: (seeds[0], indices, cut))

    def _crops(self, table, index, boxes, flips, crops):
        """Crops of one image, which is decoded once, and whether it could be: a scalar bool."""
        row = {name: tf.gather(column, index) for name, column in table.items()}

        def cut(row, boxes, flips):
            first = tf.reduce_min(boxes[:, :2], axis=0)
            last = tf.reduce_max(boxes[:, :2] + boxes[:, 2:], axis=0)
            window = tf.concat([first, last - first], axis=0)
            content = self.store.read(tf.cast(row["places"], tf.int64))
            pixels = decode_window(content, row["jpegs"], row["orientations"], window)
            found = []
            for crop, (size, method) in enumerate(zip(crops.sizes, crops.methods, strict=True)):
                top, left, height, width = tf.unstack(boxes[crop] - tf.pad(first, [[0, 2]]))
                image = pixels[top : top + height, left : left + width]
                image = tf.image.resize(image, (size, size), method=method, antialias=True)
                image = tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
                image = tf.where(flips[crop], image[:, ::-1], image)
                found.append(tf.ensure_shape(image, (size, size, 3)))
            return tuple(found)

        nothing = tuple(tf.zeros((size, size, 3), tf.uint8) for size in crops.sizes)
        return guarded(cut, (row, boxes, flips), nothing)

    def _lose(self, index):
        """`index`, noted for `report_lost`; runs in graphs."""

        def note(row):
            self.lost.setdefault(int(self.places[row]), False)
            return row

        noted = tf.numpy_function(note, [index], index.dtype, stateful=True)
        return tf.ensure_shape(noted, ())

    def report_lost(self, log=print):
        """Say once which images could not be decoded any more while they were drawn, if any."""
        new = [place for place, reported in list(self.lost.items()) if not reported]
        if new:
            self.lost.update(dict.fromkeys(new, True))
            more = f" and {len(new) - NAMED} more" if len(new) > NAMED else ""
            log(
                f"{len(new)} images could not be read any more; their neighbors were drawn "
                f"instead: {', '.join(map(self.store.name_of, new[:NAMED]))}{more}."
            )
