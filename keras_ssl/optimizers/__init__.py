"""The optimizers of self-supervised learning, by name."""

from keras_ssl.optimizers.adamw import AdamW
from keras_ssl.optimizers.lars import LARS
from keras_ssl.optimizers.sgd import SGD

__all__ = ["LARS", "OPTIMIZERS", "SGD", "AdamW"]

OPTIMIZERS = {"lars": LARS, "sgd": SGD, "adamw": AdamW}
