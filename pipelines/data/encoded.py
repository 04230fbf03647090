"""Images that stay encoded where they lie: each is decoded when it is read."""

import dataclasses
import hashlib
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.errors import DataError
from pipelines.images.decode import decode_window, guarded
from pipelines.images.squares import decoded_square
from pipelines.progress import Progress
from pipelines.threads import in_threads

_NAMED = 5  # of the images that were lost


@dataclasses.dataclass(frozen=True)
class EncodedImages:
    """A row of images on disk that reads like an array of their middle squares.

    Slices and arrays of positions give uint8 arrays (n, side, side, 3), decoded there and then;
    training decodes only what its crops show (`crops`).

    Args:
        store: where the encoded images lie, with the methods `read(place)`, scalar int64 tensor ->
            scalar string tensor, in graphs too, and `name_of(place)`, int -> what to call it; and
            with `state`, a str that changes when what lies there does; and, if files can change
            without that, `stamp_of(place)`, int -> str that says when its file did.
        places: int64 (N,), of each image in the store.
        heights, widths: int32 (N,), in pixels, as the image is seen.
        orientations: uint8 (N,), 1 to 8 as in EXIF.
        jpegs: bool (N,), which of them are JPEG.
        side: of the squares.
        lost: {place: whether `tell_lost` has said so} of images that others had to stand for.
    """

    store: Any
    places: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    orientations: np.ndarray
    jpegs: np.ndarray
    side: int
    lost: dict = dataclasses.field(default_factory=dict, repr=False)

    dtype = np.dtype("uint8")
    ndim = 4

    def __len__(self):
        return len(self.places)

    @property
    def shape(self):
        """That of the array of all squares."""
        return (len(self), self.side, self.side, 3)

    def take(self, positions):
        """Those at `positions`, a mask or whole numbers, still encoded."""
        rows = ("places", "heights", "widths", "orientations", "jpegs")
        return dataclasses.replace(self, **{name: getattr(self, name)[positions] for name in rows})

    def at_side(self, side):
        """The same images with other squares."""
        return dataclasses.replace(self, side=side)

    def __getitem__(self, positions):
        chosen = self.take(np.atleast_1d(np.arange(len(self))[positions]))
        squares = np.empty(chosen.shape, np.uint8)
        for row, square in enumerate(in_threads(chosen._square, range(len(chosen)))):
            squares[row] = square
        return squares

    def in_memory(self, what, channels, log):
        """All squares, uint8 (N, side, side, channels), with a progress bar that says `what`."""
        squares = np.empty((*self.shape[:3], channels), np.uint8)
        with Progress(what, "images", len(self), log=log) as progress:
            for row, square in enumerate(in_threads(self._square, range(len(self)))):
                squares[row] = square[..., :channels]
                progress.add()
        return squares

    def name_of(self, row):
        """What to call an image."""
        return self.store.name_of(int(self.places[row]))

    def _square(self, row):
        try:
            content = self.store.read(tf.constant(self.places[row], tf.int64))
            columns = (self.jpegs, self.orientations, self.heights, self.widths)
            claims = (column[row] for column in columns)
            return decoded_square(content, *claims, self.side).numpy()
        except (tf.errors.OpError, OSError) as error:
            raise DataError(
                f"{self.name_of(row)} cannot be read any more: it is gone, or changed since it was "
                "checked at the start. Start again, which leaves it out; a run goes on with "
                "--resume.",
                retry=True,
            ) from error

    def check(self, positions):
        """Decode the images at `positions`.

        Raises:
            DataError: for the first that changed or is gone, with its name.
        """
        self[positions]

    def digest(self):
        """64 hexadecimal digits for these images in this order and size; none is decoded.

        They change with the names of the files, and when a file is written anew.
        """
        digest = hashlib.sha256(f"{self.store.state} {self.side}".encode())
        for column in (self.places, self.heights, self.widths, self.orientations, self.jpegs):
            digest.update(np.ascontiguousarray(column))
        if hasattr(self.store, "stamp_of"):
            for stamp in in_threads(self.store.stamp_of, self.places.tolist()):
                digest.update(stamp.encode())
        return digest.hexdigest()

    def table(self):
        """What `crops` looks up, as tensors by name."""
        names = ("places", "heights", "widths", "orientations", "jpegs")
        return {name: tf.constant(getattr(self, name)) for name in names}

    def crops(self, table, index, boxes, flips, side, interpolation):
        """Crops of one image, decoded once and only as far as they reach; runs in graphs.

        Args:
            table: that of `table()`.
            index: scalar int, position of the image.
            boxes: (crops, 4) int32: top, left, height, width.
            flips: (crops,) bool; true flips the crop left to right.
            side: of the crops, one for each.
            interpolation: "bilinear" or "bicubic" for each, with antialias.

        Returns:
            Tuple of uint8 (side, side, 3), and whether the image could be decoded: a scalar bool.
        """
        row = {name: tf.gather(column, index) for name, column in table.items()}

        def cut(row, boxes, flips):
            first = tf.reduce_min(boxes[:, :2], axis=0)
            last = tf.reduce_max(boxes[:, :2] + boxes[:, 2:], axis=0)
            window = tf.concat([first, last - first], axis=0)
            content = self.store.read(tf.cast(row["places"], tf.int64))
            pixels = decode_window(content, row["jpegs"], row["orientations"], window)
            crops = []
            for crop, (size, method) in enumerate(zip(side, interpolation, strict=True)):
                top, left, height, width = tf.unstack(boxes[crop] - tf.pad(first, [[0, 2]]))
                image = pixels[top : top + height, left : left + width]
                image = tf.image.resize(image, (size, size), method=method, antialias=True)
                image = tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
                image = tf.where(flips[crop], image[:, ::-1], image)
                crops.append(tf.ensure_shape(image, (size, size, 3)))
            return tuple(crops)

        nothing = tuple(tf.zeros((size, size, 3), tf.uint8) for size in side)
        return guarded(cut, (row, boxes, flips), nothing)

    def lose(self, index):
        """Note that another image had to stand for one, for `tell_lost`; runs in graphs.

        Returns:
            `index`.
        """

        def note(row):
            self.lost.setdefault(int(self.places[row]), False)
            return row

        noted = tf.numpy_function(note, [index], index.dtype, stateful=True)
        return tf.ensure_shape(noted, ())


def tell_lost(images, log=print):
    """Say once which images could not be decoded any more while they were drawn, if any.

    Args:
        images: `EncodedImages`; of anything else there is nothing to tell.
        log: called with a line for the user.
    """
    lost = getattr(images, "lost", {})
    new = [place for place, told in list(lost.items()) if not told]
    if new:
        lost.update(dict.fromkeys(new, True))
        more = f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
        log(
            f"{len(new)} images could not be read any more; their neighbors were drawn instead: "
            f"{', '.join(map(images.store.name_of, new[:_NAMED]))}{more}."
        )
