"""The recipes of all methods: {method: {family: Differences}}."""

from keras_ssl.recipes.barlow_twins import BARLOW_TWINS, SEM_BARLOW_TWINS
from keras_ssl.recipes.byol import BYOL, SEM_BYOL
from keras_ssl.recipes.cpc import CPC
from keras_ssl.recipes.cplearn import CPLEARN
from keras_ssl.recipes.dbn import DBN
from keras_ssl.recipes.deepcluster import DEEPCLUSTER
from keras_ssl.recipes.dino import DINO, SEM_DINO
from keras_ssl.recipes.gedi import GEDI
from keras_ssl.recipes.gedi_nogen import GEDI_NOGEN
from keras_ssl.recipes.moco import MOCO, SEM_MOCO
from keras_ssl.recipes.self_classifier import SELF_CLASSIFIER
from keras_ssl.recipes.simclr import SEM_SIMCLR, SIMCLR
from keras_ssl.recipes.simmer import SIMMER
from keras_ssl.recipes.simsiam import SIMSIAM
from keras_ssl.recipes.swav import SEM_SWAV, SWAV
from keras_ssl.recipes.vicreg import SEM_VICREG, VICREG
from keras_ssl.recipes.wmse import WMSE

RECIPES = {
    "byol": BYOL,
    "sem_byol": SEM_BYOL,
    "simclr": SIMCLR,
    "sem_simclr": SEM_SIMCLR,
    "simsiam": SIMSIAM,
    "moco": MOCO,
    "sem_moco": SEM_MOCO,
    "swav": SWAV,
    "sem_swav": SEM_SWAV,
    "dino": DINO,
    "sem_dino": SEM_DINO,
    "self_classifier": SELF_CLASSIFIER,
    "barlow_twins": BARLOW_TWINS,
    "sem_barlow_twins": SEM_BARLOW_TWINS,
    "vicreg": VICREG,
    "sem_vicreg": SEM_VICREG,
    "wmse": WMSE,
    "dbn": DBN,
    "simmer": SIMMER,
    "cpc": CPC,
    "cplearn": CPLEARN,
    "deepcluster": DEEPCLUSTER,
    "gedi": GEDI,
    "gedi_nogen": GEDI_NOGEN,
}
