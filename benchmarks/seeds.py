"""Means and standard deviations of the results of runs that differ in their seed only, as a table.

    python -m benchmarks.seeds runs/byol-0 runs/byol-1 runs/simclr-0 runs/simclr-1 --against=simclr

A row is a representation of a method, a column is a task under one protocol, as in
`run.py --mode=compare`. A cell is the mean over the seeds and the standard deviation with n - 1, of
n seeds. Runs count as one method if all settings agree that the trained network feels, but for the
seed. `--against` adds the differences of the other methods from that one, seed by seed.
"""

import argparse
from dataclasses import dataclass

import numpy as np

import keras_ssl.config as config
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.evaluation.compare import NamedRun as RunResults
from keras_ssl.evaluation.compare import (
    load_run,
    protocol_differences,
)
from keras_ssl.evaluation.tables import (
    columns_of,
    headings,
    markdown_table,
    name_of,
    representation_name,
)
from stages.request import read_catalog

RAW, RANDOM = ("pixels", None, None), ("random", "backbone", None)  # representations
# What makes no other method; of the evaluation each row says itself how it was done.
NOT_TRAINING = (*config.NOT_TRAINING, "training.seed")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        method: str.
        settings: {key: value} that the trained network depends on, without the seed.
        seed: int.
        results: `evaluation.compare.NamedRun`.
    """

    method: str
    settings: dict
    seed: int
    results: RunResults


def read(workdir, catalog):
    """The run at `workdir`.

    Raises:
        UserError: if it has no recipe or no table of results.
    """
    recipe = config.load(workdir, catalog)
    trained = {k: v for k, (v, _) in recipe.settings.items() if not k.startswith(NOT_TRAINING)}
    return Run(recipe.name, trained, recipe.training.seed, load_run(workdir))


def grouped(runs, kind=lambda run: (run.method, run.settings)):
    """{name: its runs}; the names of those with one head say in which settings they differ.

    Args:
        runs: sequence of `Run`.
        kind: function of a run -> (head of the name, settings); equal ones are one group.
    """
    kinds = []
    for run in runs:
        same = [members for found, members in kinds if found == kind(run)]
        if same:
            same[0].append(run)
        else:
            kinds.append((kind(run), [run]))
    names = {}
    for (head, settings), members in kinds:
        differ = _differing([other for (name, other), _ in kinds if name == head])
        own = ", ".join(f"{key}={settings.get(key, 'unset')}" for key in differ)
        names[f"{head} ({own})".strip() if own else head] = members
    return names


def _differing(groups):
    """Keys in which settings differ; if they are of as many data sets, only that one."""
    keys = dict.fromkeys(key for settings in groups for key in settings)
    values = {key: [settings.get(key, "unset") for settings in groups] for key in keys}
    if len(set(values.get("data.dataset", ()))) == len(groups) > 1:
        return ["data.dataset"]
    return [key for key, found in values.items() if any(value != found[0] for value in found)]


def by_seed(runs, representation, column):
    """{seed: value} of a row; the mean where several runs have one seed."""
    values = {}
    for run in runs:
        result = run.results.find(representation, column)
        if result is not None:
            values.setdefault(run.seed, []).append(result.value)
    return {seed: float(np.mean(found)) for seed, found in values.items()}


def spread(values, form=".1f"):
    """Mean and standard deviation (n - 1) of numbers, and how many they are.

    >>> spread([50.0, 52.0, 54.0])
    '52.0 ± 2.0 (n=3)'
    """
    if not values:
        return "-"
    std = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):{form}}{std} (n={len(values)})"


def table(runs):
    """The markdown table of all representations, and sentences on what it keeps apart.

    Raises:
        UserError: if two runs of one method have the same seed.
    """
    methods, columns = grouped(runs), columns_of(r for run in runs for r in run.results.results)
    check_seeds(methods)
    lines = [["method", "representation", *headings(columns.values())]]
    lines.append(["", representation_name(*RAW), *(_constant(runs, column) for column in columns)])
    networks = grouped(runs, lambda run: ("", _network(run.settings)))
    baselines = {name: (members, [RANDOM]) for name, members in networks.items()}
    trained = {name: (members, trained_of(members)) for name, members in methods.items()}
    for name, (members, representations) in [*baselines.items(), *trained.items()]:
        for representation in representations:
            found = [by_seed(members, representation, column) for column in columns]
            words = representation_name(*representation)
            lines.append([name, words, *(spread(list(x.values())) for x in found)])
    return markdown_table(lines, texts=2), kept_apart(list(columns.values()))


def differences(runs, against):
    """The markdown table of what other methods have over the method `against`.

    Of each method the representation with the best mean counts, column by column; the cell names
    it where there are several.

    Raises:
        UserError: if no method has that name.
    """
    methods, columns = grouped(runs), columns_of(r for run in runs for r in run.results.results)
    reference = lookup(methods, against, "method")
    lines = [["method", *headings(columns.values())]]
    for name, members in methods.items():
        if name != against:
            lines.append([name, *(_difference(members, reference, c) for c in columns)])
    return markdown_table(lines)


def check_seeds(methods):
    """Refuse a seed that counts twice."""
    for name, members in methods.items():
        seen = {}
        for run in members:
            if run.seed in seen:
                raise UserError(
                    f"{seen[run.seed]} and {run.results.name} are both {name} with seed "
                    f"{run.seed}: give one of them."
                )
            seen[run.seed] = run.results.name


def trained_of(runs):
    """Representations that are no baseline of all methods, in order."""
    every = dict.fromkeys(r.representation for run in runs for r in run.results.results)
    return [one for one in every if one[0] not in ("pixels", "random")]


def kept_apart(results):
    """A sentence for each two columns, a result of each, that differ only in the protocol."""
    sentences = []
    for i, one in enumerate(results):
        for other in results[:i]:
            same = name_of(other) == name_of(one) and other.column[1:4] == one.column[1:4]
            if same:
                changes = protocol_differences(other.protocol, one.protocol)
                text = "; ".join(f"{name} is {a}, not {b}" for name, (a, b) in changes.items())
                hashes = f"[{other.column[-1]}] is not [{one.column[-1]}]"
                sentences.append(f"'{name_of(one)}' {hashes}: {text}.")
    return sentences


def _network(settings):
    return {k: v for k, v in settings.items() if k.startswith(("backbone.", "data."))}


def _constant(runs, column):
    """Raw pixels know no seed: their value once, unless runs disagree."""
    values = [x for run in runs for x in by_seed([run], RAW, column).values()]
    return f"{values[0]:.1f}" if len(set(values)) == 1 else spread(values)


def _difference(runs, reference, column):
    (ours, which), (theirs, _) = _best(runs, column), _best(reference, column)
    common = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
    words = representation_name(*which) if common else ""
    which = f", {words.removeprefix('pretrained, ')}" if "," in words else ""
    return spread(common, "+.1f") + which


def _best(runs, column):
    """({seed: value}, representation) of the trained one with the highest mean in a column."""
    every = [one for one in trained_of(runs) if one[0] in ("pretrained", "fine-tuned")]
    found = [(by_seed(runs, one, column), one) for one in every]
    there = [pair for pair in found if pair[0]]
    return max(there, key=lambda pair: np.mean(list(pair[0].values())), default=({}, None))


def main():
    """Print the table of the runs on the command line, and differences if it asks for them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of finished runs")
    parser.add_argument("--against", help="method to show the differences from")
    options = parser.parse_args()
    try:
        catalog = read_catalog()
        runs = [read(workdir, catalog) for workdir in options.runs]
        text, apart = table(runs)
        parts = [text, *apart]
        if options.against:
            parts += [
                f"Differences from {options.against}, paired by seed; of each method the "
                "representation with the best mean here:",
                differences(runs, options.against),
            ]
        print("\n\n".join(parts))
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
