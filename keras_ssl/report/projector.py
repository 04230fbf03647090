"""Files for TensorBoard's projector: features, labels and pictures; needs no tensorboard."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.analysis.maps import principal_components
from keras_ssl.core.files import write_text, written_aside
from keras_ssl.report.pictures import png, smaller, sprite

MOST_IMAGES = 5000
MOST_COLUMNS = 128  # of a tensor; wider ones are written along their principal components
_SPRITE = 8192  # pixels of a side, the most that the projector takes


def write_projector(
    directory: str | Path,
    tensors: Mapping[str, ArrayLike],
    images: np.ndarray,
    labels: Sequence | None = None,
) -> None:
    """Write `projector_config.pbtxt` and what it names: TensorBoard's projector then shows them.

    `tensorboard --logdir=DIRECTORY` finds them. Tensors wider than 128 columns are written along
    their first 128 principal components; the first 5,000 images are taken.

    Args:
        directory: that TensorBoard reads; made if it is missing.
        tensors: {name: (N, F)}, such as {"features": features}.
        images: uint8 (N, height, width, channels).
        labels: N names of classes, or None.

    Example:

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_projector(folder, {"features": np.eye(4)}, np.zeros((4, 8, 8, 1), "uint8"))
    >>> sorted(path.name for path in folder.rglob("*.*"))
    ['features.tsv', 'metadata.tsv', 'projector_config.pbtxt', 'sprite.png']

    Reference: TensorBoard, plugins/projector/projector_config.proto.
    """
    directory, count = Path(directory), min(len(images), MOST_IMAGES)
    folder = directory / "projector"
    folder.mkdir(parents=True, exist_ok=True)
    side = max(1, int(np.sqrt(count - 1)) + 1) if count else 1
    small = smaller(np.asarray(images[:count]), max(1, min(64, _SPRITE // side)))
    with written_aside(folder / "sprite.png") as aside:
        aside.write_bytes(png(sprite(small)))
    _write_metadata(folder / "metadata.tsv", count, labels)
    height, width = small.shape[1:3]
    entries = []
    for name, tensor in tensors.items():
        file = folder / f"{_file_name(name)}.tsv"
        _write_tensor(file, np.asarray(tensor)[:count])
        entries.append(_entry(name, file.name, width, height))
    write_text(directory / "projector_config.pbtxt", "".join(entries))


def _write_tensor(path, tensor):
    tensor = np.asarray(tensor, np.float32).reshape(len(tensor), -1)
    if tensor.shape[1] > MOST_COLUMNS:
        tensor = principal_components(tensor, MOST_COLUMNS)[0]
    tensor = np.where(np.isfinite(tensor), tensor, 0.0)
    with written_aside(path) as aside:
        np.savetxt(aside, tensor, fmt="%.5g", delimiter="\t")


def _write_metadata(path, count, labels):
    """A line for each image; with two columns there is a heading, with one there is none."""
    if labels is None:
        lines = [str(row) for row in range(count)]
    else:
        lines = ["class\timage", *(f"{_one_line(labels[i])}\t{i}" for i in range(count))]
    write_text(path, "\n".join(lines) + "\n")


def _one_line(text):
    return " ".join(str(text).split()) or "-"


def _file_name(name):
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)


def _entry(name, file, width, height):
    name = name.replace("\\", "\\\\").replace('"', '\\"')
    return f"""embeddings {{
  tensor_name: "{name}"
  tensor_path: "projector/{file}"
  metadata_path: "projector/metadata.tsv"
  sprite {{
    image_path: "projector/sprite.png"
    single_image_dim: {width}
    single_image_dim: {height}
  }}
}}
"""
