"""Values of any library as strict JSON has them."""

import json
import math

import numpy as np


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
