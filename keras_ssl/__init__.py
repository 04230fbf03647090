"""Self-supervised learning of image encoders in TensorFlow and Keras 3.

Importing the package registers every class that a saved model may hold. Parts of methods are listed
by `keras_ssl.layers`, `keras_ssl.losses` and `keras_ssl.schedules`, measures of a representation by
`keras_ssl.analysis` and `keras_ssl.evaluation`.
"""

from keras_ssl.core import environment

environment.set_up()  # before TensorFlow is imported
environment.check_keras()

from keras_ssl.backbones import BACKBONES, create_backbone
from keras_ssl.backbones.torch_weights import import_weights
from keras_ssl.core.errors import UserError
from keras_ssl.factory import create, load_encoder
from keras_ssl.layers import add_neck, at_temperature, backbone_of, codes_of, sem_neck
from keras_ssl.methods import (
    BYOL,
    CPC,
    DBN,
    DINO,
    GEDI,
    METHODS,
    WMSE,
    BarlowTwins,
    CPLearn,
    DeepCluster,
    GEDINoGen,
    Method,
    MoCo,
    SelfClassifier,
    SimCLR,
    SimMER,
    SimSiam,
    SwAV,
    VICReg,
)
from keras_ssl.optimizers import LARS, OPTIMIZERS, SGD, Adam, AdamW
from keras_ssl.schedules import Cosine, CosineEMA, WarmupCosine
from keras_ssl.version import __version__

__all__ = [
    "Adam",
    "AdamW",
    "BACKBONES",
    "BYOL",
    "BarlowTwins",
    "CPC",
    "CPLearn",
    "Cosine",
    "CosineEMA",
    "DBN",
    "DINO",
    "DeepCluster",
    "GEDI",
    "GEDINoGen",
    "LARS",
    "METHODS",
    "Method",
    "MoCo",
    "OPTIMIZERS",
    "SGD",
    "SelfClassifier",
    "SimCLR",
    "SimMER",
    "SimSiam",
    "SwAV",
    "UserError",
    "VICReg",
    "WMSE",
    "WarmupCosine",
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
