"""Draw and print the geometry of runs of SimCLR with a linear projector, side by side.

    python -m benchmarks.geometry RUN RUN ... [--out=FILE.svg]
    python -m benchmarks.geometry --rotations

The first reads `metrics.jsonl`, `projector.jsonl` and `analysis.json` of runs; the second prints
the rank of rotated one-hot images against the angle (Cosentino et al., 2022, fig. 10).
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np

from benchmarks.common import table
from keras_ssl.analysis.tangents import rotation_rank
from keras_ssl.core.files import METRICS, PROJECTOR, json_lines, written_aside
from stages.analysis.analyze import read_analysis

THRESHOLDS = (0.1, 0.2)  # of the largest singular value
ABSOLUTE = 0.7
ANGLES = (0, 5, 15, 45, 90, 180, 360)
STYLES = ("-", "--", ":", "-.")
# Measures of the section on geometry, and whether they are shares.
MEASURES = {
    "projection_rankme": ("effective rank of the projections", False),
    "feature_rank": ("rank of the features, from 0.01 of the largest value", False),
    "motion_rank": ("rank of h2 - h1", False),
    "unexplained": ("h2 - h* outside of W's span, eq. 10, %", True),
    "unexplained_at_best": ("the same of the best span as large, %", True),
    "negative_distance": ("distance to the hardest negative", False),
    "same_label": ("hardest negative of the same class, %", True),
    "invariance": ("invariance", False),
    "repulsion": ("repulsion", False),
}


def ranks(spectra):
    """{name: ranks} over the epochs of a run's spectra."""
    values = [np.array(row["singular_values"]) for row in spectra]
    shares = [each / each.sum() for each in values]
    found = {"RankMe": [float(np.exp(-np.sum(s * np.log(np.maximum(s, 1e-30))))) for s in shares]}
    for threshold in THRESHOLDS:
        name = f"values of at least {threshold} of the largest"
        found[name] = [int(np.sum(each >= threshold * each[0])) for each in values]
    found[f"values of at least {ABSOLUTE}"] = [int(np.sum(each >= ABSOLUTE)) for each in values]
    return found


def rows_of(workdir):
    """[(measure, text)] of a run: at its start and end."""
    spectra, log = json_lines(Path(workdir) / PROJECTOR), json_lines(Path(workdir) / METRICS)
    rows = [(f"rank of W: {n}", f"{r[0]:.3g} -> {r[-1]:.3g}") for n, r in ranks(spectra).items()]
    rows += [
        (f"{name}, %", f"{log[-1][name]:.1f}") for name in ("knn", "linear") if name in log[-1]
    ]
    values = next((s.values for s in read_analysis(workdir) if s.name == "geometry"), {})
    for name, (text, share) in MEASURES.items():
        ends = [values.get(name, {}).get(f"{when} training") for when in ("before", "after")]
        if None not in ends:
            rows.append(
                (text, " -> ".join(f"{100 * e:.0f}" if share else f"{e:.3g}" for e in ends))
            )
    return rows


def format_table(workdirs):
    """A row per measure, a column per run."""
    runs = {Path(workdir).name: dict(rows_of(workdir)) for workdir in workdirs}
    names = dict.fromkeys(name for run in runs.values() for name in run)
    rows = [[name, *(run.get(name, "") for run in runs.values())] for name in names]
    return table(["", *runs], rows)


def rotations():
    """Rank of 500 rotated one-hot images of 32 x 32 pixels: mean and deviation over 5 runs."""
    found = [(angle, *rotation_rank(angle)) for angle in ANGLES]
    return table(["largest angle", "rank"], [[str(a), f"{m:.0f} ±{s:.0f}"] for a, m, s in found])


def draw(workdirs, path):
    """Rank and accuracy over training, the spectra of W, distances to hardest negatives."""
    matplotlib.use("agg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "keras-ssl"})
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
    for workdir, style in zip(workdirs, STYLES, strict=False):
        name = Path(workdir).name
        spectra, log = json_lines(Path(workdir) / PROJECTOR), json_lines(Path(workdir) / METRICS)
        epochs = [row["epoch"] for row in spectra]
        axes[0, 0].plot(epochs, ranks(spectra)["RankMe"], style, label=name)
        knn = [(row["epoch"], row["knn"]) for row in log if row.get("knn") is not None]
        axes[0, 1].plot(*zip(*knn, strict=True), style, marker="o", markersize=3, label=name)
        values = spectra[-1]["singular_values"]
        axes[1, 0].semilogy(range(1, len(values) + 1), values, style, label=name)
        for plot in _plots_of(workdir, "negative_distances"):
            counts = plot.series["after training"]
            axes[1, 1].stairs(counts["counts"], counts["edges"], linestyle=style, label=name)
    first = spectra[0]["singular_values"]
    axes[1, 0].semilogy(range(1, len(first) + 1), first, color="gray", label="before training")
    titles = (
        ("Effective rank of the projector's weights", "epoch", "RankMe"),
        ("k-NN accuracy of the encoder", "epoch", "%"),
        ("Projector at the end", "number", "singular value"),
        ("Features at the end", "distance to the hardest negative", "images"),
    )
    for axis, (title, x, y) in zip(axes.flat, titles, strict=True):
        axis.set(title=title, xlabel=x, ylabel=y)
        axis.legend(fontsize=8)
    with written_aside(path) as aside:
        figure.savefig(aside, metadata={"Date": None} if aside.suffix == ".svg" else None)
    plt.close(figure)


def _plots_of(workdir, name):
    sections = (s for s in read_analysis(workdir) if s.name == "geometry")
    return [plot for section in sections for plot in section.plots if plot.name == name]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rotations", action="store_true")
    options = parser.parse_args(argv)
    if options.rotations:
        print(rotations())
    if options.runs:
        print(format_table(options.runs))
    if options.out:
        draw(options.runs, options.out)


if __name__ == "__main__":
    main()
