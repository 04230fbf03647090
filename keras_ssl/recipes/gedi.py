"""Recipes of GEDI."""

from keras_ssl.recipes.cplearn_runs import IMAGENET100, VIEWS, resnet8_runs
from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.gedi_nogen import RELEASED

_OURS = {
    "hidden_dim": 512,
    "temperature": 1.0,
    "generative_weight": 0.1,
    "buffer_size": 1000,
    "num_langevin_steps": 10,
}
_RESNET8 = resnet8_runs(
    "a cluster for each class and weights as for gedi_nogen; samples of the method's defaults",
    {"svhn": ("58±0", "7±0"), "cifar10": ("64±1", "29±1"), "cifar100": ("38±0", "25±1")},
    lambda width, classes: {
        **RELEASED,
        "num_clusters": classes,
        "generative_weight": 1.0,
        "buffer_size": 10000,
        "num_langevin_steps": 20,
    },
)

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
        augment=VIEWS,
        optimizer={"learning_rate": 1e-3},
    ),
    "svhn": _RESNET8["svhn"],
    "cifar10": _RESNET8["cifar10/resnet8"],
    "cifar10/resnet8": _RESNET8["cifar10/resnet8"],
    "cifar100": _RESNET8["cifar100/resnet8"],
    "cifar100/resnet8": _RESNET8["cifar100/resnet8"],
    "imagenet": differences(
        "in no paper: the settings of gedi_nogen, with fewer samples in memory than on CIFAR",
        method={"buffer_size": 1024},
        **IMAGENET100,
    ),
}
