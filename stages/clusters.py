"""The clusters that a trained method puts images in by itself, against their classes."""

import zipfile
from dataclasses import replace
from pathlib import Path

import keras
from keras import ops

from keras_ssl.evaluation.clustering import cluster_agreement, code_agreement
from keras_ssl.evaluation.features import FeatureExtractor
from keras_ssl.evaluation.rows import Row
from keras_ssl.evaluation.rows_of import cluster_rows
from keras_ssl.layers.necks import bottleneck_of, code_sizes, codes_of
from stages.errors import LeftOut

CODES = "pretrained, codes"


def assigned(workdir, encoder, inputs):
    """Rows of the clusters of a run, and what was left out: of its method and of its codes.

    Nothing for a method without clusters, a run without `model.keras`, an encoder without a neck.

    Args:
        workdir: directory of a finished run.
        encoder: its encoder, in float32.
        inputs: `Inputs` whose test images have labels.

    Returns:
        (list of (`Row`, bool (images,) or None), list of `LeftOut`).
    """
    pairs, left_out = code_rows(encoder, inputs), []
    try:
        method = float32_method(workdir, encoder)
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        left_out.append(LeftOut(f"the method's clusters: model.keras cannot be read: {reason}"))
    else:
        pairs += head_rows(method, inputs) if method is not None else []
    return pairs, left_out


def head_rows(method, inputs):
    """Rows of the argmax of `cluster_scores` on the test images; none where there are no clusters.

    The representation names the head. The number of clusters is part of the protocol, as chance
    gives more NMI to more clusters.

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, 2025,
    tables 1 and 2.
    """
    if method.cluster_head is None:
        return []
    data, preprocess = inputs.data, inputs.preprocessing.function

    def assign(images, training):
        # As floats, like all features: exact up to 2^24 clusters.
        return ops.argmax(method.cluster_scores(images), axis=-1)

    assignments = FeatureExtractor(assign, preprocess)(data.test_images).astype("int64")
    result = cluster_agreement(assignments, data.test_labels)
    clusters = method.cluster_scores(preprocess(data.test_images[:1])).shape[-1]
    protocol = {**result.protocol, "clusters": "argmax", "k": int(clusters)}
    result = replace(result, protocol=protocol)
    return _rows(result, f"pretrained, {method.cluster_head}", "argmax", data.name)


def code_rows(encoder, inputs):
    """Rows of the codes of the test images, as means over simplices or codebooks; or none."""
    if bottleneck_of(encoder) is None:
        return []
    data, preprocess = inputs.data, inputs.preprocessing.function
    codes = FeatureExtractor(codes_of(encoder), preprocess)(data.test_images).astype("int64")
    result = code_agreement(codes, data.test_labels)
    result = replace(result, protocol={**result.protocol, "k": code_sizes(encoder)[1]})
    return _rows(result, CODES, "codes", data.name)


def float32_method(workdir, encoder):
    """The trained method of a run in float32, whatever it was trained in.

    Args:
        workdir: directory of the run.
        encoder: its encoder in float32, which becomes the method's.

    Returns:
        `Method`, not compiled; None if there is no `model.keras`.
    """
    path = Path(workdir) / "model.keras"
    if not path.exists():
        return None
    trained = keras.saving.load_model(path, compile=False)
    keras.config.set_dtype_policy("float32")
    settings = {**trained.get_config(), "encoder": encoder, "dtype": "float32"}
    method = type(trained).from_config(settings)
    method.set_weights(trained.get_weights())
    return method


def _rows(result, representation, task, dataset):
    """Rows of agreement, and one of the share of the clusters that have an image."""
    share = 100 * result.details["clusters"] / result.protocol["k"]
    used = Row(representation, task, "used", share, dataset, "test", result.protocol)
    return [*cluster_rows(result, representation, task, dataset), (used, None)]
