"""A picture of the views, so that a person sees what the network sees."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines.images.resizing import resize_to_square
from pipelines.views.stream import device_views, raw_batches

_GAP = 2
_SHOWN = 96  # pixels that a small view is enlarged to, at least


def first_batch(images, *, mean, std, **settings):
    """The first element of `train_views(images, with_index=True, ...)`; reads nothing else.

    Args:
        images: uint8 array (N, height, width, channels), possibly a memory map, or
            `EncodedImages`.
        mean, std: as for `train_views`.
        settings: further arguments of `train_views`: `policy`, `batch_size`, `seed`, ....
    """
    batch = next(iter(raw_batches(images, copy=False, **settings)))
    del settings["seed"]
    return device_views(mean=mean, std=std, **settings)(batch)


def preview_grid(images, batch: dict, count: int, *, mean, std) -> np.ndarray:
    """Rows of an image, its views and its local crops.

    Args:
        images: uint8 (N, height, width, channels), or what reads like it.
        batch: an element of `train_views(..., with_index=True)`.
        count: rows, at most the batch.
        mean, std: that the views were normalized with.

    Returns:
        uint8 (height, width, channels). Views are enlarged by whole factors, without smoothing.

    Example:

    >>> images = np.zeros((2, 8, 8, 1), "uint8")
    >>> batch = {"global": tf.zeros((2, 2, 8, 8, 1)), "index": tf.range(2)}
    >>> preview_grid(images, batch, 2, mean=[0.5], std=[0.25]).shape
    (196, 294, 1)
    """
    views = np.asarray(batch["global"])[:count]
    side = views.shape[2]
    rows = np.asarray(batch["index"])[: len(views)]
    originals = resize_to_square(images[rows], side).numpy()
    parts = [originals[:, None], _levels(views, mean, std)]
    if "local" in batch:
        local = _levels(np.asarray(batch["local"])[:count], mean, std)
        gap = side - local.shape[2]
        padding = [(0, 0), (0, 0), (gap // 2, gap - gap // 2), (gap // 2, gap - gap // 2), (0, 0)]
        parts.append(np.pad(local, padding, constant_values=255))
    tiles = np.concatenate(parts, axis=1)
    factor = -(-_SHOWN // side)
    tiles = tiles.repeat(factor, axis=2).repeat(factor, axis=3)
    tiles = np.pad(tiles, [(0, 0), (0, 0), (0, _GAP), (0, _GAP), (0, 0)], constant_values=255)
    rows, columns, height, width, channels = tiles.shape
    return tiles.swapaxes(1, 2).reshape(rows * height, columns * width, channels)


def _levels(views, mean, std):
    pixels = views * np.asarray(std, "float32") + np.asarray(mean, "float32")
    return np.rint(255.0 * np.clip(pixels, 0.0, 1.0)).astype(np.uint8)


def write_png(image: np.ndarray, path: Path) -> Path:
    """Write an image, uint8 (height, width, 1 or 3), as PNG; -> the path."""
    path.write_bytes(tf.io.encode_png(image).numpy())
    return path
