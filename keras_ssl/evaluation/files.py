"""Write text and JSON files that are either complete or not there."""

import json
import math
import os
import tempfile
from pathlib import Path

import numpy as np


def write_atomically(path, text):
    """Replace the file at `path` by `text`; a reader or a crash sees the old or the new, whole."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # mkstemp makes private files
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def finite_or_none(value):
    """`value` as a float, or None where JSON has no number for it (NaN, infinite, not a number).

    Example:

    >>> finite_or_none(np.float32(0.5)), finite_or_none(float("nan"))
    (0.5, None)
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def to_json(value, **options):
    """Strict JSON of plain values, NumPy scalars and arrays."""
    plain = lambda x: x.tolist() if isinstance(x, (np.generic, np.ndarray)) else str(x)  # noqa: E731
    return json.dumps(value, default=plain, allow_nan=False, **options)
