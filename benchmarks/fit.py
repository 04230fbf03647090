"""Compare training on the stream of views with the same step on one constant batch.

    python -m benchmarks.fit --dataset=npz:cifar10.npz [--method=simclr] [--steps=40] \
        [--repeats=5] -- --backbone=resnet18 --batch_size=256

What follows `--` goes to `run.py`. Both forms take turns in one process, each `--repeats` times
`--steps` steps of `fit`; a row is the median, with the smallest and the largest. `waiting` is what
a run's progress line shows as `data_wait`: the share of the time in which a step waits for its
batch. Run it on an idle machine.
"""

import argparse
import statistics

from benchmarks.common import Attempts, new_recipe, parse, table


def build(options):
    """The compiled method of a run, and its two data sets."""
    flags = [f"--method={options.method}", f"--dataset={options.dataset}", *options.rest]
    recipe = new_recipe(*flags)
    import tensorflow as tf

    from stages.devices import resolve_auto
    from stages.training import batches_from, prepare

    session = prepare(resolve_auto(recipe))
    stream = batches_from(session, 0)
    batch = next(iter(stream))
    constant = tf.data.Dataset.from_tensors(batch).cache().repeat()
    return session, {"views of the stream": stream, "one constant batch": constant}


def fit_once(session, batches, steps):
    """-> views a second, and the share of the time spent waiting, of `steps` steps of `fit`."""
    from keras_ssl.training.callbacks import Throughput

    watch = Throughput(session.recipe.training.batch_size)
    history = session.method.fit(
        batches, steps_per_epoch=steps, epochs=2, callbacks=[watch], verbose=0, shuffle=False
    )
    speed, wait = (history.history[name][-1] for name in ("images_per_second", "data_wait"))
    return session.recipe.augment.num_views * speed, wait  # the first epoch has filled the buffers


def format_table(measured):
    """The markdown table of {name: [(views a second, share waiting)]}."""
    rows = []
    measured = {name: [found for found in runs if found] for name, runs in measured.items()}
    for name, runs in measured.items():
        if not runs:
            rows.append([name, "failed"])
            continue
        speeds = [speed for speed, _ in runs]
        wait = statistics.median(share for _, share in runs)
        middle = statistics.median(speeds)
        span = f"{min(speeds):.0f} to {max(speeds):.0f}"
        rows.append([name, f"{middle:.0f}", span, f"{wait:.1%}"])
    text = table(["data", "views/s", "smallest to largest", "waiting"], rows)
    if not all(measured.values()):
        return text
    stream, constant = (statistics.median(s for s, _ in runs) for runs in measured.values())
    return f"{text}\n\nThe stream has {stream / constant:.1%} of the constant batch."


def main():
    """Time both data sets by turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--method", default="simclr")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    options = parse(parser)
    session, forms = build(options)
    measured, attempt = {name: [] for name in forms}, Attempts()
    for turn in range(1, options.repeats + 1):
        for name, batches in forms.items():
            title = f"{name}, repeat {turn}"
            measured[name].append(attempt(title, fit_once, session, batches, options.steps))
    print(format_table(measured))
    attempt.finish()


if __name__ == "__main__":
    main()
