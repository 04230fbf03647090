"""Write the discrete codes of many images to disk, and read them back."""

import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core.errors import UserError
from keras_ssl.core.files import write_text
from keras_ssl.evaluation.representation import FeatureExtractor
from keras_ssl.layers.codes import code_dtype
from keras_ssl.layers.necks import bottleneck_of, code_sizes, codes_of

FILE, UNFINISHED, SIDE_FILE = "codes.npy", "codes.unfinished", "codes.json"
_SAMPLES = 16  # images whose pixels distinguish data sets


@dataclass(frozen=True)
class Codes:
    """Codes on disk.

    Attributes:
        array: unsigned (N, L), a read-only memory map; row i is the code of image i.
        simplex_size: int. V.
        made_from: dict. What the side file states about them.

    Example:

    >>> codes = Codes(np.zeros((6, 4), "uint8"), simplex_size=3, made_from={"name": "digits"})
    >>> codes.array.shape, codes.simplex_size
    ((6, 4), 3)
    """

    array: np.ndarray
    simplex_size: int
    made_from: dict


def encode(
    encoder: keras.Model,
    images: np.ndarray,
    preprocess: Callable,
    directory: str | Path,
    *,
    made_from: dict | None = None,
    batch_size: int = 256,
) -> Codes:
    """Write the code of every image to `directory/codes.npy`, in order; resume if it was stopped.

    Images are read and encoded a batch at a time, so that memory does not grow with their number.
    Until the last one is done the codes are in `codes.unfinished`; the same call resumes that
    file after whatever ended the first one. `codes.json` says what the codes were made from, and
    codes of anything else are not written among them. One process at a time may write; a second
    one that is noticed ends both, and what they wrote is removed.

    Args:
        encoder: `keras.Model` with a neck (`keras_ssl.add_neck`).
        images: uint8 (N, height, width, channels), or what reads like it by slices.
        preprocess: function, uint8 images -> what `encoder` takes.
        directory: made if missing.
        made_from: dict of JSON values or None. What else distinguishes these codes, such as
            the name of the data and the numbers behind `preprocess`.
        batch_size: int >= 1. Images at a time.

    Returns:
        `Codes`.

    Raises:
        UserError: if there are codes in `directory` that were made from something else, if the
            encoder has no neck or gives NaN, or if another process writes to `directory` as well.
        OSError: if the disk is full or not writable; what was written stays.

    Example:

    >>> backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> encoder = keras_ssl.sem_neck(backbone, num_simplices=4, simplex_size=3)
    >>> images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), "uint8")
    >>> codes = encode(encoder, images, lambda images: images / 255, "run/codes")
    >>> codes.array.shape
    (6, 4)
    """
    if bottleneck_of(encoder) is None:
        raise UserError(f"Encoder '{encoder.name}' has no neck, so no codes: train a sem_ method.")
    if np.ndim(images) != 4 or len(images) == 0:
        raise UserError(
            "Codes are made of a non-empty array of images (N, H, W, C). "
            f"Received shape {np.shape(images)}."
        )
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    described = _describe(encoder, images, made_from or {})
    _check_side_file(directory, described)
    if not (directory / FILE).exists():
        write_text(directory / SIDE_FILE, json.dumps(described, indent=1) + "\n")
        extract = FeatureExtractor(_checked_codes_of(encoder), preprocess, batch_size=batch_size)
        _write(extract, images, directory, described)
    return load_codes(directory)


def load_codes(directory: str | Path) -> Codes:
    """The `Codes` that `encode` wrote to `directory`.

    Raises:
        UserError: if there are none, they are unfinished, or a file is damaged.

    Example:

    >>> backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> encoder = keras_ssl.sem_neck(backbone, num_simplices=4, simplex_size=3)
    >>> images = np.zeros((6, 8, 8, 1), "uint8")
    >>> codes = encode(encoder, images, lambda images: images / 255, "run/codes")
    >>> bool((load_codes("run/codes").array == codes.array).all())
    True
    """
    directory = Path(directory)
    if not (directory / FILE).exists():
        state = "unfinished codes: repeat the command that writes them to resume."
        there = (directory / UNFINISHED).exists()
        raise UserError(f"'{directory}' has {state if there else f'no {FILE}.'}")
    made_from = _read_side_file(directory)
    try:
        array = np.load(directory / FILE, mmap_mode="r", allow_pickle=False)
        shape = (made_from["images"], made_from["num_simplices"])
        if array.shape != shape or array.dtype != made_from["dtype"]:
            raise ValueError(f"{array.dtype} {array.shape} where {SIDE_FILE} has {shape}")
    except (ValueError, EOFError, KeyError) as error:
        raise UserError(f"'{directory / FILE}' is damaged: {error}") from error
    return Codes(array, made_from["simplex_size"], made_from)


def encoder_digest(encoder: keras.Model) -> str:
    """Sixteen hexadecimal digits; equal for encoders of equal weights."""
    digest = hashlib.sha256()
    for weight in encoder.get_weights():
        digest.update(f"{weight.dtype} {weight.shape}".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:16]


def _describe(encoder, images, made_from):
    """Everything that codes must have in common to lie in one file."""
    num_simplices, simplex_size = code_sizes(encoder)
    rows = np.unique(np.linspace(0, len(images) - 1, _SAMPLES).astype(int))
    pixels = hashlib.sha256()
    for row in rows:
        pixels.update(np.ascontiguousarray(images[int(row) : int(row) + 1]).tobytes())
    described = {
        "images": len(images),
        "image_shape": list(np.shape(images)[1:]),
        "images_sampled": pixels.hexdigest()[:16],
        "encoder": encoder_digest(encoder),
        "num_simplices": num_simplices,
        "simplex_size": simplex_size,
        "dtype": code_dtype(simplex_size).name,
    }
    return json.loads(json.dumps({**made_from, **described}))  # as it will be read


def _check_side_file(directory, described):
    """Refuse to resume, or to return, codes that were made from something else."""
    if not (directory / SIDE_FILE).exists():
        if any((directory / name).exists() for name in (FILE, UNFINISHED)):
            raise UserError(f"The codes in '{directory}' have no {SIDE_FILE}: choose another.")
        return
    has = _read_side_file(directory)
    other = [
        f"{key}={has.get(key)}, not {described.get(key)}"
        for key in {**has, **described}
        if has.get(key) != described.get(key)
    ]
    if other:
        raise UserError(
            f"'{directory}' holds codes that were made from something else: {'; '.join(other)}. "
            "Choose another directory, or delete it."
        )


def _read_side_file(directory):
    path = directory / SIDE_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot read '{path}': {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"'{path}' does not describe codes.")
    return content


def _checked_codes_of(encoder):
    """`codes_of(encoder)`, with -1 where images or logits are NaN or infinite."""
    read = keras.Model(encoder.input, [codes_of(encoder).output, bottleneck_of(encoder).input])

    def codes(images, training=False):
        code, logits = read(images, training=training)
        # The images too: a ReLU may turn their NaN to 0.
        finite = _rows_are_finite(logits) & _rows_are_finite(images)
        return tf.where(finite[:, None], code, -1)

    return codes


def _rows_are_finite(x):
    return tf.reduce_all(tf.math.is_finite(x), axis=list(range(1, len(x.shape))))


def _write(extract, images, directory, described):
    """Append the codes that are missing to the unfinished file, then give it its name."""
    path = directory / UNFINISHED
    shape = (described["images"], described["num_simplices"])
    dtype = np.dtype(described["dtype"])
    row = shape[1] * dtype.itemsize
    with open(path, "ab") as file:
        done = _start(file, shape, dtype)
        for start in range(done, shape[0], extract.batch_size):
            codes = extract(images[start : start + extract.batch_size])
            broken = int((codes < 0).any(axis=1).sum())
            if broken:
                raise UserError(
                    f"The encoder gives NaN or infinite values for {broken} of images {start} to "
                    f"{start + len(codes) - 1}: it diverged, or its input was not finite."
                )
            file.write(codes.astype(dtype).tobytes())
            file.flush()
            _check_alone(file, path, len(_header(shape, dtype)) + (start + len(codes)) * row)
        os.fsync(file.fileno())
    os.replace(path, directory / FILE)


def _check_alone(file, path, size):
    """Refuse a file of another size than was written: two processes would mix their rows."""
    if os.fstat(file.fileno()).st_size != size:
        path.unlink(missing_ok=True)
        raise UserError(
            f"Another process writes to '{path}' too, so what is there is removed. Give the "
            "command again when that one has ended, or choose another directory."
        )


def _start(file, shape, dtype):
    """Write the header of a `.npy` file, or find how many whole rows follow it and keep these."""
    size = file.seek(0, os.SEEK_END)
    header = _header(shape, dtype)
    row = shape[1] * dtype.itemsize
    if size < len(header):
        file.truncate(0)
        file.write(header)
        return 0
    done = min((size - len(header)) // row, shape[0])
    file.truncate(len(header) + done * row)
    return done


def _header(shape, dtype):
    buffer = io.BytesIO()
    fields = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, fields)
    return buffer.getvalue()
