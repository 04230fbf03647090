"""Judge the encoder of a run, beside raw pixels and random weights."""

from dataclasses import asdict, replace
from pathlib import Path

import keras_ssl
from keras_ssl.core.checks import UserError
from keras_ssl.core.files import write_text
from keras_ssl.evaluation.clustering import kmeans_agreement
from keras_ssl.evaluation.compare import compare_runs, load_run
from keras_ssl.evaluation.hits import images_digest, write_hits
from keras_ssl.evaluation.knn import knn_scores
from keras_ssl.evaluation.probe_grid import probe_grid
from keras_ssl.evaluation.robustness import corruption_accuracies
from keras_ssl.evaluation.rows import write_results
from keras_ssl.evaluation.rows_of import cluster_rows, corruption_rows, grid_rows
from keras_ssl.evaluation.table import evaluate_features
from pipelines.corruptions import CORRUPTIONS, SEVERITIES, corrupt, table_for
from stages.augmented import PROBE_VIEW, augmented_features
from stages.build import float32_encoder
from stages.clusters import assigned
from stages.errors import plain_errors
from stages.readings import Readings, readings_of
from stages.shifted import shifted_rows
from stages.tables import format_tables

FEATURE_LIMIT = 4  # GiB of features that the table judges at a time
STARTS = 3  # of k-means, of which the best counts


def evaluate(recipe, inputs, encoder, workdir):
    """Judge the encoder beside raw pixels and random weights; write and print the table."""
    data, workdir = inputs.data, Path(workdir)
    if data.train_labels is None or data.test_labels is None:
        print("No table: it needs labels for train and test images.")
        return
    directory = workdir / "features" if recipe.evaluation.keep_features else None
    pairs, left_out = [], []
    for readings in [*baselines(recipe, inputs), *trained_readings(encoder, recipe, inputs)]:
        with plain_errors():  # one at a time: wide ones fill the memory
            more, missing = judge(readings, recipe, inputs, directory)
        pairs += more
        left_out += missing
    if recipe.evaluation.clusters:
        more, missing = attempt(assigned, workdir, inputs)
        pairs += more
        left_out += missing
    rows = [row for row, _ in pairs]
    write_results(workdir / "results.json", rows, {"method": recipe.name})
    write_text(workdir / "results.md", format_tables(rows, markdown=True) + "\n")
    save_hits(workdir / "results.npz", pairs, data)
    print(format_tables(rows), *(f"Left out: {why}" for why in dict.fromkeys(left_out)), sep="\n")


def baselines(recipe, inputs):
    """What the trained encoder has to surpass."""
    preprocess = inputs.preprocessing.function
    untrained = keras_ssl.backbone_of(float32_encoder(recipe, inputs.preprocessing))
    return [
        Readings(None, preprocess, ("raw pixels",)),
        Readings(untrained, preprocess, ("random weights",)),
    ]


def trained_readings(encoder, recipe, inputs):
    """Every representation of the trained encoder."""
    return readings_of(encoder, recipe, inputs.preprocessing.function)


def judge(readings, recipe, inputs, directory=None):
    """Rows with their hits of all representations of `readings`, and what was left out.

    Features are kept in `directory`, unless that is None.
    """
    data = inputs.data
    needed = 4 * (readings.width(data.train_images) + readings.width(data.test_images)) / 2**30
    if needed > FEATURE_LIMIT:
        name = readings.names[0]
        return [], [f"{name}: its features need {needed:.0f} GiB; {FEATURE_LIMIT} is the limit."]
    features = [
        readings.features(images, directory) for images in (data.train_images, data.test_images)
    ]
    pairs, left_out = [], []
    for name in readings.names:
        train, test = (readings.read(name, part) for part in features)
        more, missing = judge_features(name, train, test, recipe, data)
        pairs += more
        left_out += missing
    for measure in (gradient_probe, corrupted, shifted_rows):
        more, missing = attempt(measure, readings, *features, recipe, inputs)
        pairs += more
        left_out += missing
    return pairs, left_out


def attempt(measure, *arguments):
    """What `measure` gives, or nothing and the reason where the features do not allow it."""
    try:
        return measure(*arguments)
    except UserError as error:
        return [], [f"{measure.__name__.replace('_', ' ')}: {error}"]


def judge_features(name, train, test, recipe, data):
    """Rows of k-NN, logistic regression and clusters of one representation."""
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
    more, missing = attempt(clusters, name, test, recipe, data)
    return pairs + more, left_out + missing


def clusters(name, test, recipe, data):
    """Rows of k-means of the test features against the classes."""
    if not recipe.evaluation.clusters:
        return [], []
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


def corrupted(readings, train, test, recipe, inputs):
    """Rows of the k-NN of clean train features on corrupted test images."""
    data, wanted = inputs.data, recipe.evaluation
    if not wanted.corrupted_images or readings.model is None:
        return [], []
    count = min(wanted.corrupted_images, len(data.test_images))
    images, labels = data.test_images[:count], data.test_labels[:count]
    settings = {"k": wanted.knn_neighbours, "temperature": wanted.knn_temperature}
    classes = int(data.train_labels.max()) + 1
    references = {name: readings.read(name, train) for name in readings.names}

    def nearest(name, features):
        read = readings.read(name, features)
        options = {"num_classes": classes, **settings}
        scores = knn_scores(references[name], data.train_labels, read, **options)
        return scores.argmax(axis=1)

    def predict(images):
        features = readings.extract(images)
        return {name: nearest(name, features) for name in readings.names}

    kinds = ((c, s, corrupt(images, c, s)) for c in CORRUPTIONS for s in SEVERITIES)
    found = corruption_accuracies(predict, labels, kinds)
    protocol = {"classifier": "weighted knn", **settings, "corruptions": len(CORRUPTIONS)}
    protocol |= {"severities": len(SEVERITIES), "constants": table_for(images.shape[1:3])}
    protocol |= {"seed": 0, "images": count}
    pairs = [
        pair
        for name, result in found.items()
        for pair in corruption_rows(result, name, data.name, protocol)
    ]
    return pairs, []


def save_hits(path, pairs, data):
    """Write which test images the rows got right, of the rows that are about all of them."""
    count = len(data.test_images)
    whole = [
        (row, hits)
        for row, hits in pairs
        if hits is not None and hits.shape[-1] == count and row.dataset == data.name
    ]
    write_hits(path, whole, images_digest(data.test_images, data.test_labels))


def compare(folders):
    """Print runs side by side, and what could not be compared."""
    table, left_out = compare_runs([load_run(folder) for folder in folders])
    print("\n".join([table, *left_out]))
