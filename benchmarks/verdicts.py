"""Provoke the four kinds of collapse, and print what the analysis of each run calls it.

    python -m benchmarks.verdicts [--dataset=digits] [--seeds=0,1] [--only=cluster,healthy]
        [--workdir=runs/verdicts]
    python -m benchmarks.verdicts --short [--only=simclr,sem_simclr]

The first trains a run for each kind, and a healthy one; the second all methods with and without
SEM, for five epochs by their recipes. What follows `--` goes to every `run.py`. Runs that are
finished are not repeated and one that was stopped is resumed. docs/verdict.md shows what came out.
"""

import argparse
import re
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.common import exit_if_missing, parse, table, train
from keras_ssl.core.errors import UserError, lookup

_NO_NORM = {"backbone.name": "resnet8", "backbone.width": 64}  # which would keep outputs apart
_SMALL = {"backbone.name": "resnet14", "backbone.width": 16, "data.image_size": 16}


@dataclass(frozen=True)
class Provoked:
    """How a collapse is provoked: a method, settings on any data, and more on digits or others."""

    method: str
    settings: dict
    digits: dict = field(default_factory=dict)
    others: dict = field(default_factory=dict)

    def settings_on(self, dataset):
        """{setting of run.py: value} on a data set."""
        own = (
            self.digits if dataset == "digits" else {**_SMALL, "training.epochs": 5, **self.others}
        )
        return {**own, **self.settings}


PROVOKED = {
    "representation": Provoked(
        "simsiam",
        {"method.stop_gradient": False, "method.head_norm": "none", **_NO_NORM},
        {"training.epochs": 10},
        {"training.epochs": 3, "training.batch_size": 256},
    ),
    "dimensional": Provoked("vicreg", {"method.covariance_weight": 0}, {"training.epochs": 15}),
    "cluster": Provoked("cplearn", {"method.beta": 10}, {"training.epochs": 15}),
    "intracluster": Provoked(
        "cplearn",
        {"method.num_codes": 10},
        {"training.epochs": 20, "method.epsilon": 0.05, "optimizer.learning_rate": 0.005},
        {
            "training.epochs": 6,
            "method.epsilon": 0.095,
            "optimizer.learning_rate": 0.01,
            "augment.policy": "digits_mild",
        },
    ),
    "healthy": Provoked("simclr", {}, {"training.epochs": 15}),
}
SHORT = {"training.epochs": 5, "schedule.warmup_epochs": 1}
COLUMNS = ("provoked", "dataset", "seed", "verdict", "evidence")


def flags_of(settings, seed):
    """Settings as flags of run.py."""
    values = {key: str(value).lower() for key, value in settings.items()}
    return [f"--seed={seed}", *(f"--set={key}={value}" for key, value in values.items())]


def provoke(kind, seed, options):
    """Train a run; -> its directory, or None where it did not come to its end."""
    provoked = PROVOKED[kind]
    rest = [*flags_of(provoked.settings_on(options.dataset), seed), *options.rest]
    return _train(provoked.method, f"{kind}-seed{seed}", rest, options)


def train_shortly(name, seed, options):
    """Train a method by its recipe for a few epochs; -> as `provoke`."""
    return _train(name, f"short-seed{seed}", [*flags_of(SHORT, seed), *options.rest], options)


def _train(name, folder, rest, options):
    where = Path(options.workdir) / folder
    made = types.SimpleNamespace(workdir=where, dataset=options.dataset, rest=rest)
    return where / name if train(name, made) else None


def verdict_of(workdir):
    """What the analysis of a run said: {"overall", "state", kind: {"state", "evidence", ...}}."""
    from stages.analysis.analyze import read_analysis

    for section in read_analysis(workdir):
        if section.name == "collapse":
            return section.values["verdict"]
    raise UserError(f"'{workdir}' has no verdict: --mode=analyze --workdir={workdir} makes it.")


def row(kind, dataset, seed, verdict):
    """A row of the table: the verdict, and the first evidence for the kind that was provoked.

    Of a run that is to be healthy it is that for the projections. Bounds are left out.
    """
    evidence = verdict[kind if kind in verdict else "representation"]["evidence"]
    evidence = re.sub(r" \(collapsed [^)]*\)", "", evidence).split("; ")[0]
    return [kind, dataset.split("/")[-1], seed, verdict["overall"], evidence]


def compare(options):
    """Train what is missing, then print the table."""
    rows, missing = [], []
    for name, seed in options.runs:
        workdir = (train_shortly if options.short else provoke)(name, seed, options)
        if workdir is None:
            missing.append(name)
        else:
            rows.append(row(name, options.dataset, seed, verdict_of(workdir)))
    print(table(COLUMNS, rows, texts=len(COLUMNS)))
    exit_if_missing(missing)


def read_arguments():
    """The command line as `options`; `options.runs` are (name, seed)."""
    from keras_ssl.methods import METHODS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--workdir", default="runs/verdicts")
    parser.add_argument("--only", default="", help="kinds, or methods of --short")
    parser.add_argument("--seeds", default="0,1", help="whole numbers, separated by commas")
    parser.add_argument("--short", action="store_true", help="all methods, for a few epochs")
    options = parse(parser)
    known = (
        dict.fromkeys(sem + name for name in METHODS for sem in ("", "sem_"))
        if options.short
        else PROVOKED
    )
    names = options.only.split(",") if options.only else list(known)
    try:
        for name in names:
            lookup(known, name, "method" if options.short else "kind")
    except UserError as error:
        parser.error(str(error))
    options.runs = [(name, seed) for name in names for seed in options.seeds.split(",")]
    return options


def main():
    """Compare what the command line asks for; a mistake ends the program with a message."""
    try:
        compare(read_arguments())
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
