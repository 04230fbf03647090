"""Take away what keeps four methods from collapsing, and print what becomes of them.

    python -m benchmarks.collapse [--only=simsiam,byol,cplearn,simmer] [--seeds=0,1]
        [--dataset=npz:cifar10.npz] [--workdir=runs/collapse] [-- --epochs=20 --batch_size=64]

Each method is trained as its recipe says and with one setting changed. What follows `--` goes to
every `run.py`. Runs that are finished are not repeated and one that was stopped is resumed, so the
command can be given again until nothing is missing. docs/collapse.md shows what came out.
"""

import argparse
import sys
import types
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.common import Attempts, accuracies_of, exit_if_missing, kept, parse, table, train
from keras_ssl.core.errors import UserError, lookup


@dataclass(frozen=True)
class Claim:
    """A claim of a paper: the settings that it compares, and the number that decides.

    Attributes:
        settings: {what is done: {setting of run.py: value}}; none for the recipe as it is.
        measure: the column that shows a collapse, by being below the bound.
        bound: name in `BOUNDS`.
    """

    settings: dict
    measure: str
    bound: str = "that of random weights"


# What a measure must reach, from the summary of a run. Batch normalization of an untrained network
# has seen no image, so that all its outputs are nearly the same: training that ends below that has
# taken away what little there was.
BOUNDS = {
    "that of random weights": lambda summary, column: summary["random weights"][column],
    "the number of classes": lambda summary, column: summary["classes"],
}


# Some recipes give the predictor a learning rate of its own.
NO_PREDICTOR = {
    "method.use_predictor": False,
    "optimizer.constant_lr_layers": "",
    "optimizer.constant_lr": "none",
}
CLAIMS = {
    "simsiam": Claim(
        {"no stop-gradient": {"method.stop_gradient": False}, "recipe": {}}, "RankMe of z"
    ),
    "byol": Claim({"no predictor": NO_PREDICTOR, "recipe": {}}, "RankMe of z"),
    "cplearn": Claim(
        {"beta 10": {"method.beta": 10}, "beta 2": {"method.beta": 2}, "recipe": {}},
        "codes in use",
        "the number of classes",
    ),
    "simmer": Claim(
        {
            "both weights 0": {"method.alpha_entropy": 0, "method.alpha_rank": 0},
            "paper weights": {"method.alpha_entropy": 0.1, "method.alpha_rank": 2e-4},
            "recipe": {},
        },
        "std of z",  # nothing is normalized: the constant that costs least is 0
    ),
}
_NUMBERS = {  # column: format
    "k-NN": ".1f",
    "linear": ".1f",
    "spread of z": ".3f",
    "std of z": ".3f",
    "RankMe of z": ".1f",
    "spread of features": ".3f",
    "RankMe of features": ".1f",
    "codes in use": ".1f",
    "largest code": ".0%",
    "NMI": ".2f",
}
COLUMNS = ("method", "setting", "seed", *_NUMBERS, "collapsed")


def options_of(name, setting, seed, options):
    """Where a setting is trained and how, as `common.train` takes it."""
    rest = [*options.rest, f"--seed={seed}", "--set", "evaluation.every_epochs=0"]
    for key, value in CLAIMS[name].settings[setting].items():
        rest += ["--set", f"{key}={value}"]
    workdir = Path(options.workdir) / f"{setting.replace(' ', '-')}-seed{seed}"
    return types.SimpleNamespace(workdir=workdir, dataset=options.dataset, rest=rest)


def measure(workdir):
    """Measure what a run ended with, and the same network before its first step."""
    import keras
    import tensorflow as tf

    from keras_ssl import config
    from keras_ssl.evaluation.results import read_results
    from stages.request import read_catalog
    from stages.training import prepare

    tf.get_logger().setLevel("ERROR")  # it warns of one trace for each network

    recipe = config.load(workdir, read_catalog())
    session = prepare(recipe)
    trained = keras.saving.load_model(workdir / "model.keras", compile=False)
    results = read_results(workdir).results
    found = {"classes": session.inputs.data.num_classes}
    sources = {"random weights": "random", "pretrained": "pretrained"}
    for name, method in (("random weights", session.method), ("pretrained", trained)):
        accuracies = accuracies_of(results, sources[name], recipe)
        found[name] = {
            "k-NN": accuracies.get("knn"),
            "linear": accuracies.get("linear"),
            **statistics_of(method, session.inputs),
        }
    return found


def statistics_of(method, inputs):
    """Spread and rank of features and projector outputs of the test images, in inference mode."""
    import numpy as np

    from keras_ssl.analysis.spectrum import rankme
    from keras_ssl.evaluation.representation import extract
    from keras_ssl.training.online import feature_std

    clusters = hasattr(method, "codes")

    def outputs(images, training):
        features = method.encoder(images, training=training)
        head = method.embedder if clusters else method.projector
        z = head(features, training=training)
        return {"features": features, "z": z, **({"codes": method.codes(z)} if clusters else {})}

    arrays = extract(outputs, inputs.data.test_images, inputs.preprocessing.function)
    found = {"std of z": float(np.std(arrays["z"], axis=0).mean())}
    for name in ("features", "z"):
        found[f"spread of {name}"] = feature_std(arrays[name])
        found[f"RankMe of {name}"] = float(rankme(arrays[name]))
    if clusters:
        found |= use_of_codes(arrays["codes"].argmax(axis=1), inputs.data.test_labels)
    return found


def use_of_codes(codes, labels):
    """How many codes the images fall on: `exp` of the entropy of their shares, so that codes of a
    few images hardly count; the largest share; and the NMI with the labels.
    """
    import numpy as np
    from sklearn.metrics import normalized_mutual_info_score

    shares = np.unique(codes, return_counts=True)[1] / len(codes)
    return {
        "codes in use": float(np.exp(-np.sum(shares * np.log(shares)))),
        "largest code": float(shares.max()),
        "NMI": float(normalized_mutual_info_score(labels, codes)),
    }


def collapsed(claim, summary):
    """Whether the number that decides is below its bound."""
    bound = BOUNDS[claim.bound](summary, claim.measure)
    return summary["pretrained"][claim.measure] < bound


def format_table(runs):
    """The markdown table of [(name, setting, seed, summary)].

    The network before training has one row for each method and seed.
    """
    rows = []
    begun = set()
    for name, setting, seed, summary in runs:
        if (name, seed) not in begun:
            begun.add((name, seed))
            rows.append(_row(name, "random weights", seed, summary["random weights"], ""))
        verdict = "yes" if collapsed(CLAIMS[name], summary) else "no"
        rows.append(_row(name, setting, seed, summary["pretrained"], verdict))
    return table(COLUMNS, rows, texts=3)


def _row(name, setting, seed, numbers, verdict):
    values = [(numbers.get(column), form) for column, form in _NUMBERS.items()]
    cells = ["" if value is None else f"{value:{form}}" for value, form in values]
    return [f"`{name}`", setting, seed, *cells, verdict]


def rules(names):
    """What `collapsed` means, a line for each number that decides."""
    decides = {}
    for name in names:
        rule = f"{CLAIMS[name].measure} below {CLAIMS[name].bound}"
        decides.setdefault(rule, []).append(name)
    return "\n".join(f"{', '.join(who)}: collapsed is {rule}." for rule, who in decides.items())


def read_arguments():
    """The command line as `options`; what follows `--` is in `options.rest`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--workdir", default="runs/collapse")
    parser.add_argument("--only", default=",".join(CLAIMS), help="methods, separated by commas")
    parser.add_argument("--seeds", default="0", help="whole numbers, separated by commas")
    options = parse(parser)
    options.names = [name for name in options.only.split(",") if name]
    try:
        for name in options.names:
            lookup(CLAIMS, name, "method")
    except UserError as error:
        parser.error(str(error))
    return options


def main():
    """Compare what the command line asks for; a mistake ends the program with a message."""
    try:
        compare(read_arguments())
    except UserError as error:
        sys.exit(f"error: {error}")


def compare(options):
    """Train what is missing of the comparison, then print it."""
    wanted = [
        (name, setting, seed)
        for name in options.names
        for seed in options.seeds.split(",")
        for setting in CLAIMS[name].settings
    ]
    done, missing, attempt = [], [], Attempts()
    for name, setting, seed in wanted:
        where, title = options_of(name, setting, seed, options), f"{name} ({setting}, seed {seed})"
        if not train(name, where):
            missing.append(title)
            continue
        path = where.workdir / name
        found = attempt(title, kept, path / "collapse.json", partial(measure, path))
        if found is not None:
            done.append((name, setting, seed, found))
    print(format_table(done), rules(options.names), sep="\n\n")
    exit_if_missing([*missing, *attempt.failed])


if __name__ == "__main__":
    main()
