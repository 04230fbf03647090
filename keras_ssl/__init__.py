"""Self-supervised learning of image encoders in TensorFlow and Keras 3.

Importing the package registers every class that a saved model may hold.
"""

from keras_ssl.backbones import BACKBONES, create_backbone
from keras_ssl.core.checks import UserError
from keras_ssl.factory import create, load_encoder
from keras_ssl.layers.bottlenecks import GumbelBottleneck, VectorQuantizer
from keras_ssl.layers.centering import Centering
from keras_ssl.layers.hyperdimensional import HyperdimensionalProjection
from keras_ssl.layers.necks import add_neck, at_temperature, backbone_of, codes_of, sem_neck
from keras_ssl.layers.prototypes import (
    L2Normalization,
    Prototypes,
    WeightNormalizedPrototypes,
)
from keras_ssl.layers.queue import KeyQueue, NeighbourQueue
from keras_ssl.layers.sinkhorn import Sinkhorn
from keras_ssl.layers.whitening import DecorrelatedBatchNormalization
from keras_ssl.methods import METHODS
from keras_ssl.methods.base import Method
from keras_ssl.methods.byol import BYOL
from keras_ssl.methods.dino import DINO
from keras_ssl.methods.moco import MoCo
from keras_ssl.methods.self_classifier import SelfClassifier
from keras_ssl.methods.simclr import SimCLR
from keras_ssl.methods.simsiam import SimSiam
from keras_ssl.methods.swav import SwAV
from keras_ssl.optimizers import LARS, OPTIMIZERS, SGD, AdamW
from keras_ssl.schedules import Cosine, CosineEMA, WarmupCosine
from keras_ssl.version import __version__

__all__ = [
    "BACKBONES",
    "BYOL",
    "DINO",
    "LARS",
    "METHODS",
    "OPTIMIZERS",
    "SGD",
    "AdamW",
    "Centering",
    "Cosine",
    "CosineEMA",
    "DecorrelatedBatchNormalization",
    "GumbelBottleneck",
    "HyperdimensionalProjection",
    "KeyQueue",
    "L2Normalization",
    "Method",
    "MoCo",
    "NeighbourQueue",
    "SelfClassifier",
    "SimCLR",
    "SimSiam",
    "SwAV",
    "UserError",
    "Prototypes",
    "Sinkhorn",
    "VectorQuantizer",
    "WeightNormalizedPrototypes",
    "WarmupCosine",
    "__version__",
    "add_neck",
    "at_temperature",
    "backbone_of",
    "codes_of",
    "create",
    "create_backbone",
    "load_encoder",
    "sem_neck",
]
