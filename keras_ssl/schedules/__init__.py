"""Schedules: from a step to the value of a learning rate, a momentum or a temperature."""

from keras_ssl.schedules.curves import cosine, linear_then_constant, warmup_cosine
from keras_ssl.schedules.objects import Cosine, CosineEMA, WarmupCosine

__all__ = [
    "Cosine",
    "CosineEMA",
    "WarmupCosine",
    "cosine",
    "linear_then_constant",
    "warmup_cosine",
]
