"""Judge the encoder of a run, beside raw pixels and random weights."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

import keras_ssl
from keras_ssl.core.errors import UserError
from keras_ssl.core.files import remove_leftovers
from keras_ssl.evaluation.clustering import kmeans_agreement
from keras_ssl.evaluation.compare import compare_runs, load_run
from keras_ssl.evaluation.hits import images_digest, write_hits
from keras_ssl.evaluation.probes.sgd import probe_grid
from keras_ssl.evaluation.rows import protocol_hash, read_meta, read_results, write_results
from keras_ssl.evaluation.rows_of import cluster_rows, grid_rows
from keras_ssl.evaluation.table import evaluate_features
from keras_ssl.ops.precision import full_float32
from pipelines.data.image_array import as_images
from stages.augmented import PROBE_VIEW, augmented_features
from stages.build import float32_encoder
from stages.clusters import assigned
from stages.corrupted import corrupted
from stages.errors import LeftOut, translate_tf_errors
from stages.readings import Readings, readings_of
from stages.shifted import shifted_rows
from stages.tables import format_tables, write_tables

FEATURE_LIMIT = 4  # GiB of features that the table judges at a time
STARTS = 3  # of k-means, of which the best counts
TABLES = "tables"  # what an evaluation ends with


@full_float32()
def evaluate(
    recipe, inputs, encoder, workdir, resume=False, *, again="Run the same command again."
):
    """Judge the encoder beside raw pixels and random weights; write and print the tables.

    Rows are written as they come, with a note of what they finish, and what cannot be measured is
    told and left out. With `resume` only what has no such note is measured.

    Args:
        again: str. How to get what is missing at another time, as the user is told.

    Raises:
        UserError: in the end, where something is missing that another attempt may get.
    """
    data, workdir = inputs.data, Path(workdir)
    if data.train_labels is None or data.test_labels is None:
        print("No table: it needs labels for train and test images.")
        return note_evaluated(workdir, data.name, recipe, [TABLES])
    directory = workdir / "features"
    remove_leftovers(directory)
    places = (None, None)
    if recipe.evaluation.keep_features:
        places = [(directory, as_images(x).digest()) for x in (data.train_images, data.test_images)]
    images = images_digest(data.test_images, data.test_labels)
    every = [
        *baselines(recipe, inputs),
        *readings_of(encoder, recipe, inputs.preprocessing.function),
    ]
    tasks = [(of.names[0], judge, of, recipe, inputs, places) for of in every]
    if recipe.evaluation.clusters:
        tasks.append(("clusters", assigned, workdir, encoder, inputs))
    rows, left_out, done = [], [], evaluated(workdir, data.name, recipe) if resume else []
    for title, *task in tasks:
        if title in done:
            continue
        print(f"Evaluating {title} ...", flush=True)
        pairs, missing = attempt(title, *task)
        # The hits first: a note of what is done shall cover them.
        save_hits(workdir / "results.npz", pairs, data, images)
        done = done if any(each.retry for each in missing) else [*done, title]
        note_evaluated(workdir, data.name, recipe, done, [row for row, _ in pairs])
        rows += [row for row, _ in pairs]
        left_out += missing
    write_tables(workdir)
    rows = read_results(workdir / "results.json") if resume else rows
    texts = dict.fromkeys(each.text for each in left_out)
    print(format_tables(rows), *(f"Left out: {text}" for text in texts), sep="\n")
    to_mend = [each.text.rstrip(".") for each in left_out if each.retry]
    if to_mend:
        raise UserError(
            f"The table is not complete, for a reason that can be mended: {to_mend[0]}. {again}",
            retry=True,
        )
    note_evaluated(workdir, data.name, recipe, [*done, TABLES])


def is_evaluated(workdir, recipe):
    """Whether everything that the recipe asks for has been measured."""
    return TABLES in evaluated(workdir, recipe.data.dataset, recipe)


def evaluated(workdir, dataset, recipe):
    """Titles of what has been measured of a data set by an evaluation with these settings."""
    return _notes(workdir).get(_asked_for(dataset, recipe), [])


def note_evaluated(workdir, dataset, recipe, done, rows=()):
    """Write rows, and that `done` of the evaluation with these settings is; in one go."""
    notes = {**_notes(workdir), _asked_for(dataset, recipe): done}
    meta = {"method": recipe.name, "evaluated": notes}
    write_results(workdir / "results.json", rows, meta)


def _notes(workdir):
    return read_meta(Path(workdir) / "results.json").get("evaluated", {})


def _asked_for(dataset, recipe):
    return protocol_hash({"data": dataset, **asdict(recipe.evaluation)})


def baselines(recipe, inputs):
    """What the trained encoder has to surpass."""
    preprocess = inputs.preprocessing.function
    untrained = keras_ssl.backbone_of(float32_encoder(recipe, inputs.preprocessing))
    return [
        Readings(None, preprocess, ("raw pixels",)),
        Readings(untrained, preprocess, ("random weights",)),
    ]


def judge(readings, recipe, inputs, places=(None, None)):
    """Rows with their hits of all representations of `readings`, and what was left out.

    Features of the train and the test part are kept at `places`, as `Readings.features` takes them.
    """
    data = inputs.data
    needed = 4 * (readings.width(data.train_images) + readings.width(data.test_images)) / 2**30
    if needed > FEATURE_LIMIT:
        raise UserError(f"Its features need {needed:.0f} GiB; {FEATURE_LIMIT} is the limit.")
    parts = zip((data.train_images, data.test_images), places, strict=True)
    features = [readings.features(images, place) for images, place in parts]
    pairs, left_out = [], []
    for name in readings.names:  # one at a time: wide ones fill the memory
        train, test = (readings.read(name, part) for part in features)
        tasks = {
            name: (judge_features, name, train, test, recipe, data),
            f"{name}, clusters": (clusters, name, test, recipe, data),
            f"{name}, corrupted": (corrupted, readings, name, train, recipe, inputs),
        }
        for title, task in tasks.items():
            more, missing = attempt(title, *task)
            pairs += more
            left_out += missing
    for title, measure in (("gradient probe", gradient_probe), ("shifted", shifted_rows)):
        what = f"{readings.names[0]}, {title}"
        more, missing = attempt(what, measure, readings, *features, recipe, inputs)
        pairs += more
        left_out += missing
    return pairs, left_out


def attempt(title, measure, *arguments):
    """What `measure` gives, or nothing and a `LeftOut` with the reason why there is none."""
    try:
        with translate_tf_errors():
            return measure(*arguments)
    except (UserError, OSError) as error:
        return [], [LeftOut.by(title, error)]


def judge_features(name, train, test, recipe, data):
    """Rows of k-NN and logistic regression of one representation."""
    wanted = recipe.evaluation
    pairs, left_out = evaluate_features(
        name,
        train,
        data.train_labels,
        test,
        data.test_labels,
        dataset=data.name,
        k=wanted.knn_neighbours,
        temperature=wanted.knn_temperature,
        per_class=wanted.labels_per_class,
        shares=wanted.label_shares,
        sweep=wanted.knn_sweep,
    )
    return pairs, [LeftOut(text) for text in left_out]


def clusters(name, test, recipe, data):
    """Rows of k-means of the test features against the classes."""
    if not recipe.evaluation.clusters:
        return [], []
    if len(np.unique(data.test_labels)) == len(test):
        raise UserError(
            f"{len(test)} test images of as many classes are as many clusters, so that every score "
            "would be 100. It needs two images of a class."
        )
    found = kmeans_agreement(test, data.test_labels, repeats=STARTS)
    return cluster_rows(found, name, "k-means", data.name), []


def gradient_probe(readings, train, test, recipe, inputs):
    """Rows of the linear probe by gradient descent, trained for all representations at once."""
    data, wanted = inputs.data, recipe.evaluation
    if wanted.gradient_probe == "none":
        return [], []
    augmented = wanted.probe_views == "augmented"
    found = probe_grid(
        train,
        data.train_labels,
        test,
        data.test_labels,
        protocol=wanted.gradient_probe,
        names=readings.names,
        read=readings.read_all,
        views=augmented_features(readings.model, inputs) if augmented else None,
        seeds=tuple(range(wanted.probe_seeds)),
    )
    if augmented:
        found = {name: with_view(result) for name, result in found.items()}
    return grid_rows(found, wanted.gradient_probe, data.name), []


def with_view(result):
    """The result of a probe on augmented images, with how they were augmented."""
    return replace(result, protocol={**result.protocol, "view": asdict(PROBE_VIEW)})


def save_hits(path, pairs, data, images):
    """Write which test images the rows got right, of the rows that are about all of them.

    `images` is the `images_digest` of the test part.
    """
    count = len(data.test_images)
    whole = [
        (row, hits)
        for row, hits in pairs
        if hits is not None and hits.shape[-1] == count and row.dataset == data.name
    ]
    write_hits(path, whole, images)


def compare(folders):
    """Print runs side by side, and what could not be compared."""
    table, left_out = compare_runs([load_run(folder) for folder in folders])
    print("\n".join([table, *left_out]))
