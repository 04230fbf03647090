"""The recipes of all methods: {method: {family: Differences}}."""

from keras_ssl.recipes.byol import BYOL, SEM_BYOL
from keras_ssl.recipes.simclr import SEM_SIMCLR, SIMCLR
from keras_ssl.recipes.simsiam import SEM_SIMSIAM, SIMSIAM

RECIPES = {
    "byol": BYOL,
    "sem_byol": SEM_BYOL,
    "simclr": SIMCLR,
    "sem_simclr": SEM_SIMCLR,
    "simsiam": SIMSIAM,
    "sem_simsiam": SEM_SIMSIAM,
}
