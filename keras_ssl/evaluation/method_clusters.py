"""The clusters that a trained method puts images in by itself, against their classes."""

from dataclasses import replace

from keras import ops

from keras_ssl.evaluation.clustering import cluster_agreement, code_agreement
from keras_ssl.evaluation.representation import FeatureExtractor
from keras_ssl.layers.necks import bottleneck_of, code_sizes, codes_of


def head_clusters(method, data, preprocess):
    """Results of the argmax of `cluster_scores` on the test images; none without clusters.

    The readout is the head. The number of clusters is part of the protocol, as chance gives more
    NMI to more clusters.

    Args:
        method: `Method` in float32.
        data: `ImageData` whose test images have labels.
        preprocess: callable `uint8 batch -> float batch`.

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, 2025,
    tables 1 and 2.
    """
    if method.cluster_head is None:
        return []

    def assign(images, training):
        # As floats, like all features: exact up to 2^24 clusters.
        return ops.argmax(method.cluster_scores(images), axis=-1)

    assignments = FeatureExtractor(assign, preprocess)(data.test_images).astype("int64")
    clusters = method.cluster_scores(preprocess(data.test_images[:1])).shape[-1]
    found = cluster_agreement(assignments, data.test_labels)
    found = _among(found, int(clusters), clusters="argmax")
    return found.results("argmax", data.name, source="pretrained", readout=method.cluster_head)


def code_clusters(encoder, data, preprocess):
    """Results of the codes of the test images, means over simplices or codebooks; or none."""
    if bottleneck_of(encoder) is None:
        return []
    codes = FeatureExtractor(codes_of(encoder), preprocess)(data.test_images).astype("int64")
    found = _among(code_agreement(codes, data.test_labels), code_sizes(encoder)[1])
    return found.results("codes", data.name, source="pretrained", readout="codes")


def _among(found, k, **protocol):
    """With the number of clusters to choose from, and the percentage that have an image."""
    used = {"used": 100 * found.details["clusters"] / k}
    protocol = {**found.protocol, **protocol, "k": k}
    return replace(found, metrics={**found.metrics, **used}, protocol=protocol)
