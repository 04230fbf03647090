"""The recipes of all methods: {method: {family: Differences}}."""

from keras_ssl.recipes.barlow_twins import BARLOW_TWINS, SEM_BARLOW_TWINS
from keras_ssl.recipes.byol import BYOL, SEM_BYOL
from keras_ssl.recipes.cpc import CPC, SEM_CPC
from keras_ssl.recipes.cplearn import CPLEARN, SEM_CPLEARN
from keras_ssl.recipes.dbn import DBN, SEM_DBN
from keras_ssl.recipes.deepcluster import DEEPCLUSTER, SEM_DEEPCLUSTER
from keras_ssl.recipes.dino import DINO, SEM_DINO
from keras_ssl.recipes.gedi import GEDI, SEM_GEDI
from keras_ssl.recipes.gedi_nogen import GEDI_NOGEN, SEM_GEDI_NOGEN
from keras_ssl.recipes.moco import MOCO, SEM_MOCO
from keras_ssl.recipes.self_classifier import SELF_CLASSIFIER
from keras_ssl.recipes.simclr import SEM_SIMCLR, SIMCLR
from keras_ssl.recipes.simmer import SEM_SIMMER, SIMMER
from keras_ssl.recipes.simsiam import SEM_SIMSIAM, SIMSIAM
from keras_ssl.recipes.swav import SEM_SWAV, SWAV
from keras_ssl.recipes.vicreg import SEM_VICREG, VICREG
from keras_ssl.recipes.wmse import SEM_WMSE, WMSE

RECIPES = {
    "byol": BYOL,
    "sem_byol": SEM_BYOL,
    "simclr": SIMCLR,
    "sem_simclr": SEM_SIMCLR,
    "simsiam": SIMSIAM,
    "sem_simsiam": SEM_SIMSIAM,
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
    "sem_wmse": SEM_WMSE,
    "dbn": DBN,
    "sem_dbn": SEM_DBN,
    "simmer": SIMMER,
    "sem_simmer": SEM_SIMMER,
    "cpc": CPC,
    "sem_cpc": SEM_CPC,
    "cplearn": CPLEARN,
    "sem_cplearn": SEM_CPLEARN,
    "deepcluster": DEEPCLUSTER,
    "sem_deepcluster": SEM_DEEPCLUSTER,
    "gedi": GEDI,
    "sem_gedi": SEM_GEDI,
    "gedi_nogen": GEDI_NOGEN,
    "sem_gedi_nogen": SEM_GEDI_NOGEN,
}
