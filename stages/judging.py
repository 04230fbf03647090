"""Judge the encoder of a run, beside raw pixels and random weights."""

from pathlib import Path

import numpy as np

import keras_ssl
from keras_ssl.evaluation.features import FeatureExtractor
from keras_ssl.evaluation.rows import format_table, write_results
from keras_ssl.evaluation.table import evaluate_features
from keras_ssl.layers.necks import bottleneck_of, simplices_of
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
    rows, left_out = [], []
    for name, model in models.items():  # one at a time: wide ones fill the memory
        with plain_errors():
            more, missing = judge(name, model, recipe, inputs)
        rows += more
        left_out += missing
    write_results(Path(workdir) / "results.json", rows, {"method": recipe.name})
    print("\n".join([format_table(rows), *(f"Left out: {why}" for why in dict.fromkeys(left_out))]))


def judge(name, model, recipe, inputs):
    """Rows for one representation: that of `model`, or raw pixels for None."""
    data = inputs.data
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
    return evaluate_features(
        name,
        train,
        data.train_labels,
        test,
        data.test_labels,
        dataset=data.name,
        k=recipe.evaluation.knn_neighbours,
        temperature=recipe.evaluation.knn_temperature,
        per_class=recipe.evaluation.labels_per_class,
    )


def flat(images):
    """Images as rows of numbers in [0, 1]."""
    return images[:].reshape(len(images), -1).astype("float32") / 255
