"""Every golden case against the numbers of the authors' code, in float32 and in float64."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.golden import clustering_cases, statistics_cases
from tests.golden.cases import CASES

DATA = Path(__file__).parent / "data"

# Largest error relative to the largest magnitude of the expected array, per file; for float32 and,
# where the vectors state one, for float64.
TOLERANCE = {
    "ntxent": (1e-5, 1e-10),
    "byol": (1e-5, 1e-10),
    "simsiam": (1e-5, 1e-10),
    "simsiam_heads": (1e-4, 1e-8),
    "sem": (1e-6, 1e-12),
    "sem_blockdiag": (1e-5, 1e-12),
    "sem_byol_end_to_end": (1e-3, 1e-8),
    "lars": (1e-5, 1e-9),
    "schedules": (1e-9, 1e-9),
    "knn": (1e-4, 1e-9),
    "augment_ops": (1e-5, None),
    **statistics_cases.TOLERANCE,
    **clustering_cases.TOLERANCE,
}
# 8-bit operators of PIL round and truncate; the expected arrays are gray levels of 0..255.
GRAY_LEVELS = 2
METADATA = ("source", "crosscheck_max_abs_diff")


class Inputs(dict):
    """The arrays of a file that a case reads; reading an expected array would be no test."""

    def __init__(self, arrays):
        super().__init__(arrays)
        self.read = set()

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)


def check(stem, tolerance):
    with np.load(DATA / f"{stem}.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if name not in METADATA}
    inputs = Inputs(arrays)
    computed = CASES[stem](inputs)
    # A weight that has no effect (a bias that a BN removes) is read by nobody and still an input.
    expected = {name for name in arrays if name not in inputs.read and not name.startswith("w_")}
    assert set(computed) == expected
    for name in sorted(expected):
        actual, wanted = np.asarray(computed[name]), arrays[name]
        assert actual.shape == wanted.shape, name
        error = np.abs(actual.astype("float64") - wanted.astype("float64")).max()
        if name.endswith("_pil"):
            assert error <= GRAY_LEVELS, f"{name}: {error} gray levels"
        else:
            # The floor is for gradients that are zero but for rounding: biases under a BN.
            scale = max(np.abs(wanted).max(), 1e-2)
            assert error <= tolerance * scale, f"{name}: {error:.3g} of {scale:.3g}"


@pytest.mark.parametrize("stem", sorted(CASES))
def test_case_meets_the_float32_tolerance(stem):
    check(stem, TOLERANCE[stem][0])


@pytest.mark.parametrize("stem", [stem for stem in sorted(CASES) if TOLERANCE[stem][1]])
def test_case_meets_the_float64_tolerance(stem):
    keras.backend.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        check(stem, TOLERANCE[stem][1])
    finally:
        keras.backend.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
