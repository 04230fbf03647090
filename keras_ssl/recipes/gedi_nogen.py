"""Recipes of GEDI without its generative term, and of it with SEM."""

from keras_ssl.recipes.differences import differences

_CIFAR = differences(
    "CPLearn, scripts/pretrain/cifar/gedi_nogen.yaml",
    augment={"policy": "cifar_asymmetric"},
    optimizer={
        "variant": "larc",
        "trust_coefficient": 0.001,
        "exclude_1d": False,
        "learning_rate": 0.3,
        "weight_decay": 1e-4,
    },
)

GEDI_NOGEN = {
    "digits": differences(
        "our own", method={"num_clusters": 32, "hidden_dim": 512, "temperature": 1.0, "beta": 4.0}
    ),
    "small": differences(
        "our own", method={"num_clusters": 64, "hidden_dim": 512, "temperature": 1.0, "beta": 4.0}
    ),
    "cifar10": _CIFAR.expecting("80.0 % linear (CPLearn, table 2)"),
    "cifar100": _CIFAR,
}

_SEM_CIFAR = differences("in no paper: L, V and temperature are those of SEM's BYOL")

SEM_GEDI_NOGEN = {"cifar10": _SEM_CIFAR, "cifar100": _SEM_CIFAR}
