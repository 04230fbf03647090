"""Which test images each row of a table got right, kept in bits beside the table.

`results.npz` holds for every row of `results.json` whose hits are known a matrix of bits, one line
for each repetition (seed, subset of labels, corruption): 625 bytes for 5,000 images. With them two
runs can be compared image by image.
"""

import hashlib
import zipfile
from pathlib import Path

import numpy as np

from keras_ssl.core.errors import UserError
from keras_ssl.core.files import written_aside
from keras_ssl.evaluation.rows import protocol_hash

_IMAGES = "images"  # the name under which the file says which images it is about


def images_digest(images, labels):
    """Sixteen hexadecimal digits of the test part: other images, labels or order give others.

    Args:
        images: uint8 (N, H, W, C); anything that has a length and gives arrays for slices.
        labels: integers (N,).

    Example:

    >>> images = np.zeros((2, 4, 4, 1), "uint8")
    >>> images_digest(images, [0, 1]) == images_digest(images, [1, 0])
    False
    """
    digest = hashlib.sha256(np.asarray(labels, "<i8").tobytes())
    for start in range(0, len(images), 4096):
        block = np.ascontiguousarray(images[start : start + 4096])
        digest.update(repr(block.shape).encode() + block.tobytes())
    return digest.hexdigest()[:16]


def row_key(record):
    """What hits are filed under: the row without its value.

    Args:
        record: `Row`, or a row of results.json as a dict.
    """
    record = record if isinstance(record, dict) else vars(record)
    names = ("representation", "task", "metric", "dataset", "split", "protocol")
    return protocol_hash({name: record[name] for name in names})


def write_hits(path, pairs, images):
    """Write the hits of rows to `path`; an interrupted write leaves the old file.

    Hits of other rows that the file already holds stay, if they are of the same images.

    Args:
        path: file to write, ending in ".npz"; its folder must exist.
        pairs: iterable of (`Row`, bool (images,) or (repetitions, images)).
        images: str. `images_digest` of the test part.

    Raises:
        UserError: if hits are no booleans, or not all of the same number of images.
    """
    hits = {row_key(row): np.atleast_2d(hit) for row, hit in pairs}
    counts = {hit.shape[1] for hit in hits.values()}
    if len(counts) > 1 or any(hit.dtype != bool for hit in hits.values()):
        raise UserError(f"Hits must be booleans of the same images. Received {sorted(counts)}.")
    kept, old = read_hits(path)
    hits = ({**kept, **hits}) if old == images else hits
    bits = {key: np.packbits(hit, axis=1) for key, hit in hits.items()}
    count = next((hit.shape[1] for hit in hits.values()), 0)
    with written_aside(path) as aside:
        np.savez(aside, **bits, **{_IMAGES: np.array([images, str(count)])})


def read_hits(path):
    """The hits at `path`: ({row key: bool (repetitions, images)}, digest of the images).

    Returns `({}, None)` where there is no such file.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        with np.load(Path(path)) as stored:
            images, count = (str(x) for x in stored[_IMAGES])
            hits = {
                key: np.unpackbits(stored[key], axis=1, count=int(count)).astype(bool)
                for key in stored.files
                if key != _IMAGES
            }
        return hits, images
    except FileNotFoundError:
        return {}, None
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
        raise UserError(f"'{path}' is damaged or holds no hits: move it away.") from None
