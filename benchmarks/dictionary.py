"""Train CPLearn with dictionaries of several sizes, and print and draw what the sizes change.

    python -m benchmarks.dictionary [--codes=10,64,256,1024,4096,16384] [--betas=table,1]
        [--seeds=0,1] [--dataset=npz:cifar10.npz] [--workdir=runs/dictionary]
        [--plot=dictionary.png] [-- --epochs=20 --batch_size=64]

What follows `--` goes to every run, as flags of `run.py`. A run that is finished is not repeated
and one that was stopped is resumed, so the command can be given again until nothing is missing.
docs/codes_analysis.md shows what came out.
"""

import argparse
import itertools
import sys
from functools import partial
from pathlib import Path

from benchmarks.common import Attempts, exit_if_missing, kept, new_recipe, parse, table

TABLE = "table"  # the weight of the agreement that the paper has for a number of codes


def beta_of(codes, beta):
    """The weight of the agreement: a number, or that of table 7 for the next size printed."""
    from keras_ssl.recipes.cplearn import BETAS

    if beta != TABLE:
        return float(beta)
    return BETAS[min((size for size in BETAS if size >= codes), default=max(BETAS))]


def flags_of(codes, beta, seed, options):
    """Flags of `run.py` for a run."""
    settings = {
        "method.num_codes": codes,
        "method.beta": beta_of(codes, beta),
        "evaluation.every_epochs": 0,
    }
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    given = [f"--dataset={options.dataset}", f"--seed={seed}", *options.rest]
    return ["--method=cplearn", *given, *sets]


def train(workdir, flags):
    """Train a run to its end, or resume it, without baselines and without an export."""
    import keras

    import keras_ssl.config as config
    from stages import artifacts, training
    from stages.devices import resolve_auto
    from stages.request import is_trained

    keras.backend.clear_session()
    if is_trained(workdir):
        return
    session = training.prepare(resolve_auto(new_recipe(*flags)))
    resume = (workdir / "recipe.json").exists()
    if not resume:
        config.save(session.recipe, workdir)
    if not training.fit(session, workdir, resume):
        raise KeyboardInterrupt  # a signal ends the program, not this run alone
    artifacts.save_models(session, workdir)


def measure(workdir):
    """Measure a finished run: accuracies, agreement of clusters and classes, and its analysis."""
    import numpy as np

    import keras_ssl.config as config
    from keras_ssl.evaluation.clustering import cluster_agreement
    from keras_ssl.evaluation.knn import knn_accuracy
    from keras_ssl.evaluation.probes.linear import linear_probe
    from stages.analysis.analyze import subject_of
    from stages.analysis.codes import section
    from stages.commands import open_run
    from stages.request import read_catalog

    recipe = config.load(workdir, read_catalog())
    run = open_run(workdir, recipe.with_({"analysis.images": 10**6}, "all images"))
    subject = subject_of(run.recipe, run.inputs, run.encoder, workdir)
    pair = subject.train_features, subject.train_labels, subject.features, subject.labels
    clusters = subject.clusters
    by_chance = cluster_agreement(np.random.default_rng(0).permutation(clusters), subject.labels)
    agreement, values = cluster_agreement(clusters, subject.labels), section(subject).values
    return {
        "knn": knn_accuracy(*pair).accuracy,
        "linear": linear_probe(*pair).accuracy,
        "nmi": agreement.metrics["nmi"],
        "chance nmi": by_chance.metrics["nmi"],
        "ami": agreement.metrics["ami"],
        "invariance": values["certificate"]["terms"]["invariance"],
        "prior": values["certificate"]["terms"]["matching_prior"],
        "proven": values["certificate"]["clusters"],
        "used": values["blocks"]["used"],
        "effective": values["blocks"]["effective"],
        "cosine": float(values["alignment"]["cosine"]),
        "chance cosine": values["alignment"]["chance"],
        "off diagonal": values["decorrelation"]["off_diagonal"],
        "dimensions": values["decorrelation"]["participation"],
    }


def untrained(workdir):
    """Accuracies of the network of a run before its first step."""
    import keras_ssl
    import keras_ssl.config as config
    from keras_ssl.evaluation.knn import knn_accuracy
    from keras_ssl.evaluation.probes.linear import linear_probe
    from keras_ssl.evaluation.representation import extract
    from stages.build import float32_encoder
    from stages.inputs import load_inputs
    from stages.request import read_catalog

    recipe = config.load(workdir, read_catalog())
    inputs = load_inputs(recipe)
    encoder = keras_ssl.backbone_of(float32_encoder(recipe, inputs.preprocessing))
    data, preprocess = inputs.data, inputs.preprocessing.function
    train, test = (
        extract(encoder, part, preprocess) for part in (data.train_images, data.test_images)
    )
    pair = train, data.train_labels, test, data.test_labels
    return {"knn": knn_accuracy(*pair).accuracy, "linear": linear_probe(*pair).accuracy}


COLUMNS = {
    "k-NN": ("knn", ".1f"),
    "linear": ("linear", ".1f"),
    "NMI": ("nmi", ".1f"),
    "of it by chance": ("chance nmi", ".1f"),
    "AMI": ("ami", ".1f"),
    "codes used": ("used", ".0f"),
    "as even as": ("effective", ".1f"),
    "invariance": ("invariance", ".2f"),
    "prior": ("prior", ".2f"),
    "clusters proven": ("proven", ".1f"),
    "cosine": ("cosine", ".2f"),
    "by chance": ("chance cosine", ".2f"),
    "off diagonal": ("off diagonal", ".2f"),
    "dimensions": ("dimensions", ".1f"),
}


def mean(found, key):
    """Mean over the seeds."""
    return sum(one[key] for one in found) / len(found)


def format_table(runs):
    """The markdown table of {(beta, codes): summaries of the seeds}."""
    rows = []
    for (beta, codes), found in runs.items():
        numbers = [f"{mean(found, key):{form}}" for key, form in COLUMNS.values()]
        rows.append([codes, f"{beta_of(codes, beta):g}", len(found), *numbers])
    return table(["codes", "beta", "seeds", *COLUMNS], rows, texts=0)


# Panels of the picture: {title: {key of a summary: (label, marker)}}.
PANELS = {
    "clusters of the method": {
        "nmi": ("NMI", "o"),
        "chance nmi": ("NMI of the same clusters, shuffled", "x"),
        "ami": ("AMI", "s"),
    },
    "frozen features": {"linear": ("linear", "o"), "knn": ("k-NN", "s")},
}


def draw(runs, path):
    """Draw the agreement of clusters and the accuracies against the number of codes (figure 5)."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(PANELS), figsize=(8.6, 3.4), layout="constrained")
    betas = dict.fromkeys(beta for beta, _ in runs)
    styles = dict(zip(betas, ("-", "--", ":", "-."), strict=False))
    for axis, (title, lines) in zip(axes, PANELS.items(), strict=True):
        for color, (key, (label, marker)) in zip(("C0", "C7", "C1"), lines.items(), strict=False):
            for beta in betas:
                points = [(codes, found) for (each, codes), found in runs.items() if each == beta]
                points.sort(key=lambda point: point[0])
                x = [codes for codes, _ in points]
                y = [mean(found, key) for _, found in points]
                of = "beta of table 7" if beta == TABLE else f"beta {beta}"
                name = f"{label}, {of}" if len(betas) > 1 else label
                axis.plot(x, y, styles.get(beta, "-"), color=color, marker=marker, label=name)
                for codes, found in points:
                    axis.plot([codes] * len(found), [one[key] for one in found], ".", color=color)
        axis.set(xscale="log", xlabel="codes c", ylabel="percent", title=title)
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=90, pil_kwargs={"optimize": True})
    plt.close(figure)


def read_arguments():
    """The command line as `options`; what follows `--` is in `options.rest`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--workdir", default="runs/dictionary")
    parser.add_argument("--codes", default="10,64,256,1024,4096,16384")
    parser.add_argument("--betas", default=f"{TABLE},1", help="numbers, or 'table' for table 7")
    parser.add_argument("--seeds", default="0", help="whole numbers, separated by commas")
    parser.add_argument("--plot", help="PNG file to draw")
    return parse(parser)


def main():
    """Compare what the command line asks for; a signal ends the program once a run is saved."""
    try:
        compare(read_arguments())
    except KeyboardInterrupt:
        sys.exit("Stopped. Give the command again to resume.")


def compare(options):
    """Train what is missing, then print and draw the comparison."""
    wanted = itertools.product(*(each.split(",") for each in (options.seeds, options.betas)))
    done, attempt = {}, Attempts()
    for seed, beta in wanted:
        for codes in map(int, options.codes.split(",")):
            path = Path(options.workdir) / f"codes{codes}-beta{beta}-seed{seed}"
            title = f"{codes} codes, beta {beta}, seed {seed}"
            path.mkdir(parents=True, exist_ok=True)
            found = attempt(
                title,
                kept,
                path / "dictionary.json",
                partial(run, path, codes, beta, seed, options),
            )
            if found is not None:
                done.setdefault((beta, codes), []).append(found)
    runs = {key: done[key] for key in sorted(done)}
    print(format_table(runs))
    for path in sorted(Path(options.workdir).glob("*/model.keras"))[:1]:
        found = kept(Path(options.workdir) / "untrained.json", partial(untrained, path.parent))
        print("\nRandom weights: k-NN {knn:.1f}, linear {linear:.1f}.".format(**found))
    if options.plot:
        draw(runs, options.plot)
    exit_if_missing(attempt.failed)


def run(workdir, codes, beta, seed, options):
    """Train a run, or what is missing of it, and measure it."""
    train(workdir, flags_of(codes, beta, seed, options))
    return measure(workdir)


if __name__ == "__main__":
    main()
