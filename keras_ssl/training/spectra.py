"""How many directions the features fill, cheaply enough to ask at every online evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_ssl.evaluation.results import to_json
from keras_ssl.ops.rows import some_rows
from keras_ssl.training.callbacks import drop_lines_after, step_of

SPECTRUM_ROWS = 512  # of features wider than that: the smaller Gram matrix stays this small
_DIGITS = 5  # significant ones in the file


@dataclass(frozen=True)
class Spectrum:
    """What the singular values of features say of their rank.

    Attributes:
        rankme: exp of the entropy of the singular values' shares, without centering: 1 for
            features that are constant or lie on a line, at most min(rows, columns).
        participation_ratio: `(sum of variances)^2 / sum of their squares` over the principal
            directions: 1 for a single one, d for d alike; 0 for constant features.
        largest_share: fraction of the variance in the largest principal direction; 1 for constant
            features.
        singular_values: of the centered features, descending: (min(rows, columns),).
        rows: of the features that were used.

    Example:

    >>> sorted(feature_spectrum(np.eye(3)).logs)
    ['feature_largest_share', 'feature_participation_ratio', 'feature_rankme']

    References: Garrido et al., RankMe, 2023, eqs. 1 and 2 (`rankme`); Gao et al., A theory of
    multineuronal dimensionality, 2017 (`participation_ratio`).
    """

    rankme: float
    participation_ratio: float
    largest_share: float
    singular_values: np.ndarray
    rows: int

    @property
    def logs(self) -> dict[str, float]:
        """The numbers, under their names in the logs."""
        names = ("rankme", "participation_ratio", "largest_share")
        return {f"feature_{name}": getattr(self, name) for name in names}


def feature_spectrum(features: ArrayLike, *, seed: int = 0) -> Spectrum:
    """The spectrum of features and what it says, from the smaller of their Gram matrices.

    Of features wider than `SPECTRUM_ROWS` as many rows at most are used, a random subset that is
    the same at every call: so no matrix is larger than that squared.

    Args:
        features: float (rows, columns). If any is not finite, all numbers are NaN.
        seed: int. Draws the subset.

    Example:

    >>> line = feature_spectrum(np.outer(np.arange(4.0), [1.0, 2.0]))
    >>> round(line.participation_ratio, 6), round(line.largest_share, 6)
    (1.0, 1.0)
    >>> round(feature_spectrum(np.concatenate([np.eye(3), -np.eye(3)])).participation_ratio, 6)
    3.0
    """
    features = np.asarray(features)
    if features.shape[1] > SPECTRUM_ROWS < len(features):
        features = features[some_rows(len(features), SPECTRUM_ROWS, seed)]
    rows = len(features)
    if not np.isfinite(features).all():
        nothing = np.full(min(features.shape), np.nan)
        return Spectrum(np.nan, np.nan, np.nan, nothing, rows)
    features = features.astype("float64")
    as_they_are = _singular_values(features)
    features -= features[:1].copy()  # equal rows become exact zeros
    features -= features.mean(axis=0)
    values = _singular_values(features)
    variances = np.square(values / (values[0] or 1.0))
    total = variances.sum()
    return Spectrum(
        rankme=_rankme(as_they_are),
        participation_ratio=float(total**2 / np.square(variances).sum()) if total else 0.0,
        largest_share=float(variances[0] / total) if total else 1.0,
        singular_values=values,
        rows=rows,
    )


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
        fresh = step_of(self.model) == 0
        drop_lines_after(self.path, -1 if fresh else epoch)
        if fresh:
            self._write(0, self.evaluation.measure_spectrum())

    def on_epoch_end(self, epoch: int, logs: dict | None = None):
        if self.evaluation.spectrum is not None:
            self._write(epoch + 1, self.evaluation.spectrum)

    def _write(self, epoch, spectrum):
        values = [float(f"{value:.{_DIGITS}g}") for value in spectrum.singular_values]
        values = values if np.isfinite(values).all() else None
        line = {"epoch": epoch, "rows": spectrum.rows, "singular_values": values}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(to_json(line) + "\n")


def _singular_values(matrix):
    rows, columns = matrix.shape
    gram = matrix @ matrix.T if rows < columns else matrix.T @ matrix
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0))


def _rankme(values, epsilon=1e-7):
    shares = values / (values.sum() or 1.0) + epsilon
    return float(np.exp(-np.sum(shares * np.log(shares))))
