"""Train every method and print one table of what came out.

    python -m benchmarks.methods --dataset=npz:cifar10.npz --workdir=runs/methods \
        [--only=byol,sem_byol] -- --epochs=5 --batch_size=64 --backbone=resnet8

What follows `--` goes to every `run.py`. The recipes differ, so give at least these three there
for every method to have the same budget. Runs that are finished are not repeated and a run that was
stopped is resumed, so the command can be given again until nothing is missing.
"""

import argparse
import json
import statistics
import sys
from functools import partial
from pathlib import Path

from benchmarks.common import Attempts, accuracies_of, exit_if_missing, kept, parse, table, train
from keras_ssl.core.errors import UserError, lookup
from stages.request import read_catalog

COLUMNS = ("method", "k-NN", "linear", "few labels", "rank", "s / epoch", "parameters")
_TASKS = ("knn", "linear", "few labels")


def measure(workdir):
    """Rank, parameters and speed of a run; its accuracies and those of its baselines."""
    import keras
    import numpy as np

    import keras_ssl
    from keras_ssl.analysis.spectrum import rankme
    from keras_ssl.evaluation.representation import FeatureExtractor
    from keras_ssl.evaluation.results import read_results
    from stages.commands import open_run

    run = open_run(workdir)
    method = keras.saving.load_model(workdir / "model.keras", compile=False)
    extract = FeatureExtractor(keras_ssl.backbone_of(run.encoder), run.preprocess)
    lines = (workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    times = [json.loads(line)["time"] for line in lines]
    gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
    results = read_results(workdir).results
    return {
        "labels per class": run.recipe.evaluation.labels_per_class,
        "rank": float(rankme(extract(run.inputs.data.test_images))),
        "seconds": statistics.median(gaps) if gaps else None,  # it takes two epochs to know
        "parameters": int(sum(np.prod(v.shape) for v in method.trainable_variables)),
        "rows": {
            source: accuracies_of(results, source, run.recipe)
            for source in ("random", "pretrained")
        },
    }


def has_accuracies(summary):
    """Whether a summary has them as `measure` gives them, and not an earlier version of it."""
    return "random" in summary["rows"]


def format_table(names, summaries):
    """The markdown table, with the untrained network of the first run as its own row."""
    few = " or ".join(dict.fromkeys(str(summary["labels per class"]) for summary in summaries))
    heads = [f"{few} labels" if column == "few labels" else column for column in COLUMNS]
    lines = []
    for name, summary in zip(names, summaries, strict=True):
        rows = summary["rows"]
        if not lines:
            lines.append(_row("random weights", rows.get("random", {})))
        trained = rows.get("pretrained", {})
        rest = (
            _number(summary["rank"]),
            _number(summary["seconds"]),
            f"{summary['parameters'] / 1e6:.2f} M",
        )
        lines.append(_row(f"`{name}`", trained, *rest))
    return table(heads, lines)


def _row(name, accuracies, *rest):
    return [name, *(_number(accuracies.get(task)) for task in _TASKS), *rest]


def _number(value):
    return "" if value is None else f"{value:.1f}"


def main():
    """Train every method that the command line names, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--workdir", default="runs/methods")
    parser.add_argument("--only", default="", help="names, separated by commas; all by default")
    options = parse(parser)
    bases = read_catalog().methods
    every = [prefix + base for base in bases for prefix in ("", "sem_")]
    names = [name for name in options.only.split(",") if name] or every
    try:
        for name in names:
            lookup(dict.fromkeys(every), name, "method")
        done = [name for name in names if train(name, options)]
    except UserError as error:
        sys.exit(f"error: {error}")
    attempt, found = Attempts(), {}
    for name in done:
        where = Path(options.workdir) / name
        path = where / "methods.json"
        found[name] = attempt(name, kept, path, partial(measure, where), has_accuracies)
    found = {name: summary for name, summary in found.items() if summary is not None}
    print(format_table(found, found.values()))
    exit_if_missing([name for name in names if name not in found])


if __name__ == "__main__":
    main()
