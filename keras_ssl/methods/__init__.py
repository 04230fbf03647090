"""Every method by its name on the command line; `sem_NAME` is the same method behind a SEM neck."""

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

__all__ = [
    "BYOL",
    "CPC",
    "DBN",
    "DINO",
    "GEDI",
    "METHODS",
    "WMSE",
    "BarlowTwins",
    "CPLearn",
    "DeepCluster",
    "GEDINoGen",
    "Method",
    "MoCo",
    "SelfClassifier",
    "SimCLR",
    "SimMER",
    "SimSiam",
    "SwAV",
    "VICReg",
]

METHODS = {
    "simclr": SimCLR,
    "moco": MoCo,
    "byol": BYOL,
    "simsiam": SimSiam,
    "swav": SwAV,
    "dino": DINO,
    "barlow_twins": BarlowTwins,
    "vicreg": VICReg,
    "wmse": WMSE,
    "dbn": DBN,
    "deepcluster": DeepCluster,
    "self_classifier": SelfClassifier,
    "cplearn": CPLearn,
    "gedi_nogen": GEDINoGen,
    "gedi": GEDI,
    "simmer": SimMER,
    "cpc": CPC,
}
