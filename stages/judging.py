"""Judge the encoder of a run, beside raw pixels and random weights."""

from pathlib import Path

import numpy as np

import keras_ssl
from keras_ssl.evaluation.clustering import kmeans_agreement
from keras_ssl.evaluation.compare import compare_runs, load_run
from keras_ssl.evaluation.features import FeatureExtractor
from keras_ssl.evaluation.hits import images_digest, write_hits
from keras_ssl.evaluation.knn import knn_scores
from keras_ssl.evaluation.probe_grid import probe_grid
from keras_ssl.evaluation.robustness import corruption_accuracy
from keras_ssl.evaluation.rows import format_table, write_results
from keras_ssl.evaluation.rows_of import cluster_rows, corruption_rows, grid_rows
from keras_ssl.evaluation.table import evaluate_features
from keras_ssl.layers.necks import bottleneck_of, simplices_of
from pipelines.corruptions import CORRUPTIONS, SEVERITIES, corrupt, table_for
from stages.build import float32_encoder
from stages.errors import plain_errors

FEATURE_LIMIT = 4  # GiB of features that the table judges at a time


def representations(encoder, recipe):
    """Every representation of the trained encoder that the table judges: {row name: model}."""
    if bottleneck_of(encoder) is None:
        return {"pretrained": encoder}
    models = {"pretrained, backbone": keras_ssl.backbone_of(encoder)}
    if simplices_of(encoder) is None:
        return {**models, f"pretrained, {recipe.neck.kind}": encoder}
    for tau in recipe.evaluation.temperatures:
        models[f"pretrained, SEM tau_d={tau:g}"] = keras_ssl.at_temperature(encoder, tau)
    return models


def evaluate(recipe, inputs, encoder, workdir):
    """Judge the encoder beside raw pixels and random weights; write and print the table."""
    data = inputs.data
    if data.train_labels is None or data.test_labels is None:
        print("No table: it needs labels for train and test images.")
        return
    untrained = keras_ssl.backbone_of(float32_encoder(recipe, inputs.preprocessing))
    models = {"raw pixels": None, "random weights": untrained, **representations(encoder, recipe)}
    pairs, left_out = [], []
    for name, model in models.items():  # one at a time: wide ones fill the memory
        with plain_errors():
            more, missing = judge(name, model, recipe, inputs)
        pairs += more
        left_out += missing
    rows = [row for row, _ in pairs]
    write_results(Path(workdir) / "results.json", rows, {"method": recipe.name})
    save_hits(Path(workdir) / "results.npz", pairs, data)
    print("\n".join([format_table(rows), *(f"Left out: {why}" for why in dict.fromkeys(left_out))]))


def judge(name, model, recipe, inputs):
    """Rows with their hits, of one representation: that of `model`, or raw pixels for None."""
    data, wanted = inputs.data, recipe.evaluation
    count = len(data.train_images) + len(data.test_images)
    width = np.prod(data.train_images.shape[1:]) if model is None else model.output_shape[-1]
    needed = 4 * count * int(width) / 2**30
    if needed > FEATURE_LIMIT:
        return [], [f"{name}: its features need {needed:.0f} GiB; {FEATURE_LIMIT} is the limit."]
    if model is None:
        train, test = flat(data.train_images), flat(data.test_images)
    else:
        extract = FeatureExtractor(model, inputs.preprocessing.function)
        train, test = extract(data.train_images), extract(data.test_images)
    parts = (train, data.train_labels, test, data.test_labels)
    pairs, left_out = evaluate_features(
        name,
        *parts,
        dataset=data.name,
        k=wanted.knn_neighbours,
        temperature=wanted.knn_temperature,
        per_class=wanted.labels_per_class,
    )
    if wanted.gradient_probe != "none":
        seeds = tuple(range(wanted.probe_seeds))
        found = probe_grid(*parts, protocol=wanted.gradient_probe, names=(name,), seeds=seeds)
        pairs += grid_rows(found, wanted.gradient_probe, data.name)
    if wanted.clusters:
        found = kmeans_agreement(test, data.test_labels)
        pairs += cluster_rows(found, name, "k-means", data.name)
    if wanted.corrupted_images and model is not None:
        pairs += corrupted(name, model, train, recipe, inputs)
    return pairs, left_out


def corrupted(name, model, train, recipe, inputs):
    """Rows of the k-NN of clean train features on corrupted test images, and their hits."""
    data, wanted = inputs.data, recipe.evaluation
    count = min(wanted.corrupted_images, len(data.test_images))
    images, labels = data.test_images[:count], data.test_labels[:count]
    extract = FeatureExtractor(model, inputs.preprocessing.function, batch_size=min(256, count))
    settings = {"k": wanted.knn_neighbours, "temperature": wanted.knn_temperature}
    classes = int(data.train_labels.max()) + 1

    def predict(images):
        scores = knn_scores(
            train, data.train_labels, extract(images), num_classes=classes, **settings
        )
        return scores.argmax(axis=1)

    kinds = ((c, s, corrupt(images, c, s)) for c in CORRUPTIONS for s in SEVERITIES)
    result = corruption_accuracy(predict, labels, kinds)
    protocol = {"classifier": "weighted knn", **settings, "corruptions": len(CORRUPTIONS)}
    protocol |= {"severities": len(SEVERITIES), "constants": table_for(images.shape[1:3])}
    protocol |= {"seed": 0, "images": count}
    return corruption_rows(result, name, data.name, protocol)


def save_hits(path, pairs, data):
    """Write which test images the rows got right, of the rows that are about all of them."""
    count = len(data.test_images)
    whole = [(row, hits) for row, hits in pairs if hits is not None and hits.shape[-1] == count]
    write_hits(path, whole, images_digest(data.test_images, data.test_labels))


def compare(folders):
    """Print runs side by side, and what could not be compared."""
    table, left_out = compare_runs([load_run(folder) for folder in folders])
    print("\n".join([table, *left_out]))


def flat(images):
    """Images as rows of numbers in [0, 1]."""
    return images[:].reshape(len(images), -1).astype("float32") / 255
