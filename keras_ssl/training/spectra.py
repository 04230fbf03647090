"""How many directions the features fill, cheaply enough to ask at every online evaluation."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.analysis.spectrum import Spectrum, spectrum_of
from keras_ssl.training.callbacks import append_line, begin_lines

SPECTRUM_ROWS = 512  # of features wider than that: the smaller Gram matrix stays this small
_DIGITS = 5  # significant ones in the file


def feature_spectrum(features: ArrayLike, *, seed: int = 0) -> Spectrum:
    """`spectrum_of` features, with a smaller matrix: of at most `SPECTRUM_ROWS` columns.

    Of features wider than that as many rows at most are used, a random subset that is the same at
    every call.

    Args:
        features: float (rows, columns). If any is not finite, the spectrum is NaN.
        seed: int. Draws the subset.

    Example:

    >>> line = feature_spectrum(np.outer(np.arange(4.0), [1.0, 2.0]))
    >>> round(line.participation_ratio, 6), round(line.largest_share, 6)
    (1.0, 1.0)
    """
    features = np.asarray(features)
    if np.isfinite(features).all():
        return spectrum_of(features, max_side=SPECTRUM_ROWS, seed=seed)
    rows, width = features.shape
    nothing = np.full(min(rows, width, SPECTRUM_ROWS), np.nan)
    return Spectrum(nothing, nothing, rows, width, rows)


def spectrum_logs(spectrum: Spectrum) -> dict[str, float]:
    """What a spectrum of features says of their rank, under the names in the logs.

    Example:

    >>> sorted(spectrum_logs(feature_spectrum(np.eye(3))))
    ['feature_largest_share', 'feature_participation_ratio', 'feature_rankme']
    """
    names = ("rankme", "participation_ratio", "largest_share")
    return {f"feature_{name}": getattr(spectrum, name) for name in names}


class SpectraLog(keras.callbacks.Callback):
    """Append the features' singular values to a file, at every online evaluation.

    A line is `{"epoch", "rows", "singular_values"}`: finished epochs (0 before the first step), how
    many images, and the singular values of their centered features, in descending order. As in
    `MetricsLog`, lines that a resumed training will write again are removed.

    Args:
        path: file to append to; its folder must exist.
        evaluation: the `OnlineEvaluation` whose spectra they are; it stands before this callback.

    Example:

    >>> import tempfile
    >>> from keras_ssl.training import OnlineEvaluation
    >>> path = Path(tempfile.mkdtemp()) / "spectra.jsonl"
    >>> images = np.arange(64, dtype="uint8").reshape(4, 4, 4, 1)
    >>> model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    >>> model.compile("sgd", "mse")
    >>> online = OnlineEvaluation(model, lambda x: x / 255, images, probes={})
    >>> callbacks = [online, SpectraLog(path, online)]
    >>> fit = model.fit(images, np.zeros((4, 16)), epochs=2, verbose=0, callbacks=callbacks)
    >>> [line[:12] for line in path.read_text().splitlines()]
    ['{"epoch": 0,', '{"epoch": 2,']
    """

    def __init__(self, path: str | Path, evaluation: Any):
        super().__init__()
        self.path, self.evaluation = Path(path), evaluation

    def on_train_begin(self, logs: dict | None = None):
        self._begun = False

    def on_epoch_begin(self, epoch: int, logs: dict | None = None):
        if self._begun:
            return
        self._begun = True
        if begin_lines(self.path, self.model, epoch):
            self._write(0, self.evaluation.measure_spectrum())

    def on_epoch_end(self, epoch: int, logs: dict | None = None):
        if self.evaluation.spectrum is not None:
            self._write(epoch + 1, self.evaluation.spectrum)

    def _write(self, epoch, spectrum):
        values = [float(f"{value:.{_DIGITS}g}") for value in spectrum.centered_values]
        values = values if np.isfinite(values).all() else None
        line = {"epoch": epoch, "rows": spectrum.samples, "singular_values": values}
        append_line(self.path, line)
