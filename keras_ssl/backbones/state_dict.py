"""Read weights that PyTorch made: names and arrays, without running code from the file."""

import os
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_ssl.core.errors import UserError


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Every array of floats in a file, by name.

    Args:
        path: ends in .safetensors; or .npz, made by `numpy.savez(path, **{name: tensor.numpy() for
            name, tensor in model.state_dict().items()})`; or .pth, .pt, .ckpt, .tar or .bin, as
            `torch.save` writes it, loaded with `weights_only=True`: of a checkpoint its
            "state_dict", else dictionaries in dictionaries, with their names joined by dots.

    Returns:
        {name: float32 array}.

    Raises:
        UserError: if the file is not there or not to be read, or the package is missing that does.
    """
    path = Path(path).expanduser()
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(
            f"Cannot import '{path}': weights are in files that end in {', '.join(_READERS)}."
        )
    if not path.is_file():
        raise UserError(f"There is no file '{path}'.")
    return reader(path)


def _read_npz(path):
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _floats(dict(arrays))
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, error) from error


def _read_safetensors(path):
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise _missing("safetensors", path) from None
    try:
        return _floats(safetensors.numpy.load_file(path))
    except (safetensors.SafetensorError, ValueError, OSError, TypeError) as error:
        raise _unreadable(path, error) from error


def _read_torch(path):
    try:
        import torch
    except ImportError:
        raise _missing("torch", path) from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"'{path}' is damaged, or holds Python objects besides weights, which are not loaded: "
            "they can run code. If you trust the file, reduce it where it was made: torch.save("
            "torch.load(path, weights_only=False)['state_dict'], 'weights.pth')."
        ) from error
    except Exception as error:
        # Of damaged bytes it raises whatever they lead to, such as struct.error.
        raise _unreadable(path, error) from error
    if isinstance(content, Mapping):
        content = content.get("state_dict", content)
    tensors = {
        name: value.detach().float().numpy()
        for name, value in _flat(content)
        if torch.is_tensor(value) and value.is_floating_point()
    }
    return _floats(tensors)


_READERS = {
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
    **dict.fromkeys((".pth", ".pt", ".ckpt", ".tar", ".bin"), _read_torch),
}


def _flat(content, prefix=""):
    """(name, value) of whatever is in dictionaries that are in each other."""
    if not isinstance(content, Mapping):
        yield prefix[:-1], content
        return
    for name, value in content.items():
        yield from _flat(value, f"{prefix}{name}.")


def _floats(arrays):
    return {
        name: array.astype("float32")
        for name, array in arrays.items()
        if array.dtype.kind == "f" or array.dtype.name == "bfloat16"
    }


def _missing(package, path):
    return UserError(
        f"Reading '{path}' takes the package {package}: pip install {package}. Or save the weights "
        "as .npz where they were made, which takes none."
    )


def _unreadable(path, error):
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(f"Cannot read weights from '{path}': {reason}")
