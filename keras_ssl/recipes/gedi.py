"""Recipes of GEDI."""

import functools

from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import CPLEARN_VIEWS, DINO_IMAGENET, gedi_resnet8

_resnet8 = functools.partial(gedi_resnet8, "heads and weights as for gedi_nogen")

_OURS = {
    "hidden_dim": 512,
    "temperature": 1.0,
    "generative_weight": 0.1,
    "buffer_size": 1000,
    "num_langevin_steps": 10,
}

GEDI = {
    "digits": differences(
        "our own",
        method={**_OURS, "num_clusters": 32, "beta": 16.0},
        augment={"policy": "digits_mild"},
        optimizer={"learning_rate": 1e-3},
    ),
    "small": differences(
        "our own, with the probabilities of CPLearn, table 6",
        method={**_OURS, "num_clusters": 64, "beta": 32.0},
        augment=CPLEARN_VIEWS,
        optimizer={"learning_rate": 1e-3},
    ),
    "small/svhn": _resnet8(
        "58 % linear (CPLearn, table 1)", 128, 10, "svhn_cropped", epochs=20, flip=0.0
    ),
    "cifar10": _resnet8("64 % linear on ResNet-8 (CPLearn, table 1)", 128, 10),
    "cifar100": _resnet8("38 % linear on ResNet-8 (CPLearn, table 1)", 256, 100),
    "imagenet": differences(
        "in no paper: the settings of gedi_nogen, with fewer samples in memory than on CIFAR",
        **DINO_IMAGENET,
        method={"buffer_size": 1024},
        augment={"crop_scale": (0.4, 1.0)},
        training={"epochs": 300, "batch_size": 512},
    ),
}
