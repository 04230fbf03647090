"""Self-supervised learning of image encoders in TensorFlow and Keras 3.

Importing the package registers every class that a saved model may hold.
"""

from keras_ssl.core import environment

environment.set_up()  # before TensorFlow is imported
environment.check_keras()

from keras_ssl.backbones import BACKBONES, create_backbone
from keras_ssl.backbones.torch_weights import import_weights
from keras_ssl.core.checks import UserError
from keras_ssl.factory import create, load_encoder
from keras_ssl.layers.bottlenecks import GumbelBottleneck, IdentityBottleneck
from keras_ssl.layers.centering import Centering
from keras_ssl.layers.hyperdimensional import HyperdimensionalProjection
from keras_ssl.layers.langevin import LangevinSampler
from keras_ssl.layers.memory import ClusterMemory
from keras_ssl.layers.necks import add_neck, at_temperature, backbone_of, codes_of, sem_neck
from keras_ssl.layers.norm import BatchNormalization
from keras_ssl.layers.prototypes import (
    L2Normalization,
    Prototypes,
    WeightNormalizedPrototypes,
)
from keras_ssl.layers.quantizer import VectorQuantizer
from keras_ssl.layers.queue import KeyQueue, NeighbourQueue
from keras_ssl.layers.simplicial import BlockDiagonalDense, SimplicialCodes, SimplicialEmbedding
from keras_ssl.layers.sinkhorn import Sinkhorn
from keras_ssl.layers.whitening import DecorrelatedBatchNormalization
from keras_ssl.methods import METHODS
from keras_ssl.methods.barlow_twins import BarlowTwins
from keras_ssl.methods.base import Method
from keras_ssl.methods.byol import BYOL
from keras_ssl.methods.cpc import CPC
from keras_ssl.methods.cplearn import CPLearn
from keras_ssl.methods.dbn import DBN
from keras_ssl.methods.deepcluster import DeepCluster
from keras_ssl.methods.dino import DINO
from keras_ssl.methods.gedi import GEDI
from keras_ssl.methods.gedi_nogen import GEDINoGen
from keras_ssl.methods.moco import MoCo
from keras_ssl.methods.self_classifier import SelfClassifier
from keras_ssl.methods.simclr import SimCLR
from keras_ssl.methods.simmer import SimMER
from keras_ssl.methods.simsiam import SimSiam
from keras_ssl.methods.swav import SwAV
from keras_ssl.methods.vicreg import VICReg
from keras_ssl.methods.wmse import WMSE
from keras_ssl.optimizers import LARS, OPTIMIZERS, SGD, AdamW
from keras_ssl.schedules import Cosine, CosineEMA, WarmupCosine
from keras_ssl.version import __version__

__all__ = [
    "BACKBONES",
    "BYOL",
    "CPC",
    "DBN",
    "DINO",
    "GEDI",
    "LARS",
    "METHODS",
    "OPTIMIZERS",
    "SGD",
    "WMSE",
    "AdamW",
    "BarlowTwins",
    "BatchNormalization",
    "BlockDiagonalDense",
    "CPLearn",
    "Centering",
    "ClusterMemory",
    "Cosine",
    "CosineEMA",
    "DecorrelatedBatchNormalization",
    "DeepCluster",
    "GEDINoGen",
    "GumbelBottleneck",
    "HyperdimensionalProjection",
    "IdentityBottleneck",
    "KeyQueue",
    "L2Normalization",
    "LangevinSampler",
    "Method",
    "MoCo",
    "NeighbourQueue",
    "Prototypes",
    "SelfClassifier",
    "SimCLR",
    "SimMER",
    "SimSiam",
    "SimplicialCodes",
    "SimplicialEmbedding",
    "Sinkhorn",
    "SwAV",
    "UserError",
    "VICReg",
    "VectorQuantizer",
    "WarmupCosine",
    "WeightNormalizedPrototypes",
    "__version__",
    "add_neck",
    "at_temperature",
    "backbone_of",
    "codes_of",
    "create",
    "create_backbone",
    "import_weights",
    "load_encoder",
    "sem_neck",
]
