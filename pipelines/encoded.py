"""Images that stay encoded where they lie: each is decoded when it is read."""

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.errors import DataError
from pipelines.preprocess import resize_to_square
from pipelines.sources.decode import decode_window, middle_square


@dataclasses.dataclass(frozen=True)
class EncodedImages:
    """A row of images on disk that reads like an array of their middle squares.

    Slices and arrays of positions give uint8 arrays (n, side, side, 3), decoded there and then;
    training decodes only what its crops show (`crops`).

    Args:
        store: where the encoded images lie, with the methods `read(place)`, scalar int64 tensor ->
            scalar string tensor, in graphs too, and `name_of(place)`, int -> what to call it.
        places: int64 (N,), of each image in the store.
        heights, widths: int32 (N,), in pixels, as the image is seen.
        orientations: uint8 (N,), 1 to 8 as in EXIF.
        jpegs: bool (N,), which of them are JPEG.
        side: of the squares.
    """

    store: Any
    places: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    orientations: np.ndarray
    jpegs: np.ndarray
    side: int

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
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for row, square in enumerate(pool.map(chosen._square, range(len(chosen)))):
                squares[row] = square
        return squares

    def _square(self, row):
        box = middle_square(self.heights[row], self.widths[row])
        try:
            content = self.store.read(tf.constant(self.places[row], tf.int64))
            middle = decode_window(content, self.jpegs[row], self.orientations[row], box)
            return resize_to_square(middle, self.side).numpy()
        except (tf.errors.OpError, OSError) as error:
            raise DataError(_damaged(self.store.name_of(int(self.places[row])))) from error

    def check(self, positions):
        """Decode the images at `positions`.

        Raises:
            DataError: for the first that is damaged or gone, with its name.
        """
        self[positions]

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
            List of uint8 (side, side, 3).
        """
        row = {name: tf.gather(column, index) for name, column in table.items()}
        first = tf.reduce_min(boxes[:, :2], axis=0)
        last = tf.reduce_max(boxes[:, :2] + boxes[:, 2:], axis=0)
        window = tf.concat([first, last - first], axis=0)
        content = self.store.read(tf.cast(row["places"], tf.int64))
        pixels = decode_window(content, row["jpegs"], row["orientations"], window)
        cut = []
        for crop, (size, method) in enumerate(zip(side, interpolation, strict=True)):
            top, left, height, width = tf.unstack(boxes[crop] - tf.pad(first, [[0, 2]]))
            image = pixels[top : top + height, left : left + width]
            image = tf.image.resize(image, (size, size), method=method, antialias=True)
            image = tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
            cut.append(tf.where(flips[crop], image[:, ::-1], image))
        return cut


def _damaged(name):
    return (
        f"{name} cannot be decoded: it is damaged, or changed since it was indexed. Replace or "
        "remove it and go on with --resume."
    )
