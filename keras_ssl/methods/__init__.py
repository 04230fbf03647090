"""Every method by its name on the command line; `sem_NAME` is the same method behind a SEM neck."""

from keras_ssl.methods.byol import BYOL
from keras_ssl.methods.simclr import SimCLR
from keras_ssl.methods.simsiam import SimSiam

METHODS = {"byol": BYOL, "simclr": SimCLR, "simsiam": SimSiam}
