"""The optimizers of self-supervised learning, by name."""

from keras_ssl.optimizers.adam import Adam, AdamW
from keras_ssl.optimizers.lars import LARS
from keras_ssl.optimizers.sgd import SGD

__all__ = ["LARS", "OPTIMIZERS", "SGD", "Adam", "AdamW"]

OPTIMIZERS = {"lars": LARS, "sgd": SGD, "adam": Adam, "adamw": AdamW}
