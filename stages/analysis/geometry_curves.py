"""Curves and spectra of a training that belong to its geometry."""

from collections.abc import Iterator

import numpy as np

from keras_ssl.analysis.sections import Plot
from stages.analysis.subject import Subject

# Metrics of the training that are drawn here, by plot.
CURVES = {
    "rank": ("projector_rank", "projector_rankme"),
    "bound": ("upper_bound",),
    "terms": ("invariance", "repulsion"),
}


def training_plots(subject: Subject) -> Iterator[Plot]:
    """Ranks, terms of the bound, and the projector's spectrum over training (figs. 1 and 3)."""
    log = subject.log
    rank = _curves(log, projector_rank="rank", projector_rankme="effective rank")
    if "rank" in rank:
        note = (
            "The paper's figure 1: where augmentations are large the rank falls and accuracy rises "
            "(under Training)."
        )
        yield Plot("rank", "Rank of the projector", "lines", rank, "epoch", note=note)
    bound = _curves(log, contrastive="loss", upper_bound="upper bound")
    if "upper bound" in bound:
        note = "The paper's figure 3: the bound follows the loss."
        yield Plot("bound", "Loss and its upper bound", "lines", bound, "epoch", note=note)
        terms = _curves(log, invariance="invariance", repulsion="repulsion")
        note = "Minus the cosine of two views, and the cosine with the hardest negative."
        yield Plot("terms", "Terms of the bound", "lines", terms, "epoch", note=note)
    spectra = _spectra(subject.projector_spectra)
    if spectra:
        title, label = "Singular values of the projector", "singular value"
        yield Plot("projector_spectrum", title, "lines", spectra, "number", label, log_y=True)


def spectra_plots(subject: Subject) -> Iterator[Plot]:
    """Log-spectra of the encoder at the start, half and end (figs. 4 and 9)."""
    series = _spectra(subject.spectra)
    if series:
        note = "The paper's figures 4 and 9: the encoder keeps all its directions."
        title, label = "Singular values of the features over training", "singular value"
        yield Plot("spectra", title, "lines", series, "number", label, log_y=True, note=note)


def _curves(log, **names):
    """{label: points of the epochs that have the column}, of those columns with a curve."""
    series = {}
    for name, label in names.items():
        rows = [row for row in log if row.get(name) is not None]
        if len(rows) > 1:
            series[label] = {"x": [row["epoch"] for row in rows], "y": [row[name] for row in rows]}
    return series


def _spectra(rows):
    """Spectra at the first, the middle and the last epoch that were kept; positive values."""
    rows = [row for row in rows if row.get("singular_values")]
    if len(rows) < 2:
        return {}
    middle = min(rows, key=lambda row: abs(row["epoch"] - rows[-1]["epoch"] / 2))
    series = {}
    for row in (rows[0], middle, rows[-1]):
        values = np.array([value for value in row["singular_values"] if value])
        number = np.arange(1, len(values) + 1)
        series[f"epoch {row['epoch']}"] = {"x": number, "y": values}
    return series
