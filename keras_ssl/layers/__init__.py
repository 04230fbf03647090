"""Layers, necks and heads that methods are made of.

A saved model may hold any layer that is listed here, so importing this package registers them all.
"""

from keras_ssl.layers.bank import MemoryBank
from keras_ssl.layers.bottlenecks import GumbelBottleneck, IdentityBottleneck
from keras_ssl.layers.centering import Centering
from keras_ssl.layers.heads import dino_head, mlp, self_classifier_head
from keras_ssl.layers.hyperdimensional import HyperdimensionalProjection
from keras_ssl.layers.kmeans_memory import KMeansMemory, kmeans, whitened
from keras_ssl.layers.langevin import LangevinSampler
from keras_ssl.layers.memory import ClusterMemory, spherical_kmeans
from keras_ssl.layers.necks import (
    add_neck,
    at_temperature,
    backbone_of,
    codes_of,
    embedding_of,
    sem_neck,
)
from keras_ssl.layers.norm import BatchNormalization
from keras_ssl.layers.patches import patch_grid, row_context
from keras_ssl.layers.prototypes import L2Normalization, Prototypes, WeightNormalizedPrototypes
from keras_ssl.layers.quantizer import QuantizerCodes, VectorQuantizer
from keras_ssl.layers.queue import KeyQueue, NeighbourQueue
from keras_ssl.layers.simplicial import (
    BlockDiagonalDense,
    SimplicialCodes,
    SimplicialEmbedding,
    entropy_of_simplices,
    simplicial_codes,
    simplicial_embedding,
    simplicial_entropy,
)
from keras_ssl.layers.sinkhorn import Sinkhorn
from keras_ssl.layers.whitening import (
    DecorrelatedBatchNormalization,
    cholesky_whiten,
    iterative_whiten,
    shuffled_whiten,
    whiten,
    whiten_sub_batches,
    zca_whiten,
)

__all__ = [
    "BatchNormalization",
    "BlockDiagonalDense",
    "Centering",
    "ClusterMemory",
    "DecorrelatedBatchNormalization",
    "GumbelBottleneck",
    "HyperdimensionalProjection",
    "IdentityBottleneck",
    "KMeansMemory",
    "KeyQueue",
    "L2Normalization",
    "LangevinSampler",
    "MemoryBank",
    "NeighbourQueue",
    "Prototypes",
    "QuantizerCodes",
    "SimplicialCodes",
    "SimplicialEmbedding",
    "Sinkhorn",
    "VectorQuantizer",
    "WeightNormalizedPrototypes",
    "add_neck",
    "at_temperature",
    "backbone_of",
    "cholesky_whiten",
    "codes_of",
    "dino_head",
    "embedding_of",
    "entropy_of_simplices",
    "iterative_whiten",
    "kmeans",
    "mlp",
    "patch_grid",
    "row_context",
    "self_classifier_head",
    "sem_neck",
    "shuffled_whiten",
    "simplicial_codes",
    "simplicial_embedding",
    "simplicial_entropy",
    "spherical_kmeans",
    "whiten",
    "whiten_sub_batches",
    "whitened",
    "zca_whiten",
]
