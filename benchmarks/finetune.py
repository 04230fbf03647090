"""Fine-tune trained encoders on few and on many labels, and the same networks from scratch.

    python -m benchmarks.finetune runs/simclr-cifar10-1 [more runs] [--shares=0.01,0.1,1]
        [--learning_rates=0.05,0.2,0.8] [--steps=1000] [--dataset=npz:cifar10.npz]

Both starts get the same search and the same number of steps. Each result is kept in the directory
of its run, so the command can be given again after it was stopped and resumes. It prints one table:
accuracy on the test images, and the learning rate that the held-out fifth chose.
"""

import argparse
import hashlib
import json
import sys
import types
from functools import partial
from pathlib import Path

from benchmarks.common import Attempts, kept, table

STARTS = ("pretrained", "from scratch")
VIEWS = {"crop_scale": (0.2, 1.0), "flip": 0.5}  # how a training view is drawn


def numbers(text):
    """The numbers of a list that is separated by commas."""
    return tuple(float(part) for part in text.split(",") if part)


def read_arguments(argv=None):
    """The command line: runs, data set, and the settings of the trainings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="directories of runs that have ended")
    parser.add_argument("--dataset", help="by default that of the run")
    parser.add_argument("--shares", type=numbers, default=(0.01, 0.1, 1.0))
    parser.add_argument("--learning_rates", type=numbers, default=(0.05, 0.2, 0.8))
    parser.add_argument("--weight_decays", type=numbers, default=(5e-4,))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--schedule", default="cosine", help="cosine or steps")
    parser.add_argument("--layer_decay", type=float, default=1.0)
    parser.add_argument("--temperature", type=float, default=1.0, help="tau_d of SEM")
    return parser.parse_args(argv)


def settings_of(options):
    """What every training of the table shares."""
    settings = {**vars(options), **VIEWS}
    for name in ("runs", "dataset", "shares"):
        del settings[name]
    return types.SimpleNamespace(**settings)


def path_of(run, dataset, settings, start, share):
    """Where a result is kept; other settings have another file."""
    text = json.dumps([dataset, vars(settings)], sort_keys=True)
    digits = hashlib.sha256(text.encode()).hexdigest()[:8]
    return Path(run) / "finetune" / f"{start.replace(' ', '-')}-{share:g}-{digits}.json"


def measure(recipe, inputs, settings, weights, share):
    """Fine-tune once: accuracy, what was chosen, and every setting."""
    from keras_ssl.config.schema import Finetune
    from stages.finetuning import finetuned

    result = finetuned(recipe, inputs, Finetune(**vars(settings)), weights, share)
    return {
        "accuracy": result.accuracy,
        **{name: result.details[name] for name in ("learning_rate", "weight_decay", "validation")},
        "protocol": result.protocol,
    }


def results_of(directory, options, attempt):
    """{(start, share): summary} of a run, each measured once; None for what failed."""
    import tensorflow as tf

    from stages.commands import open_run

    tf.get_logger().setLevel("ERROR")  # it warns of one trace for each network
    settings = settings_of(options)
    run = open_run(directory, dataset=options.dataset)
    recipe, inputs = run.recipe, run.inputs
    weights = {"pretrained": run.encoder.get_weights(), "from scratch": None}
    found = {}
    for share in options.shares:
        for start in STARTS:
            path = path_of(directory, recipe.data.dataset, settings, start, share)
            path.parent.mkdir(exist_ok=True)
            once = partial(measure, recipe, inputs, settings, weights[start], share)
            title = f"{directory}, {start}, {100 * share:g} % of labels"
            found[start, share] = summary = attempt(title, kept, path, once)
            if summary is not None:
                print(f"{path}: {summary['accuracy']:.1f} %", file=sys.stderr, flush=True)
    return found


def format_table(found, shares):
    """The markdown table of {run: {(start, share): summary}}."""
    heads = ["run", "start", *(f"{100 * share:g} % of labels" for share in shares)]
    rows = []
    for name, results in found.items():
        rows += [[name, start, *(_cell(results[start, s]) for s in shares)] for start in STARTS]
    return table(heads, rows, texts=2)


def _cell(summary):
    if summary is None:
        return "failed"
    return f"{summary['accuracy']:.1f} (lr {summary['learning_rate']:g})"


def main():
    """Fine-tune every run that the command line names, and print the table."""
    options, attempt = read_arguments(), Attempts()
    found = {
        Path(name).name: attempt(name, results_of, name, options, attempt) for name in options.runs
    }
    whole = {name: results for name, results in found.items() if results is not None}
    print(format_table(whole, options.shares))
    attempt.finish()


if __name__ == "__main__":
    main()
