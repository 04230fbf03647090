"""Recipes of GEDI."""

from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import CPLEARN_VIEWS, DINO_IMAGENET


def _cifar(width, expected):
    """The runs on ResNet-8, of which the number of clusters and the weights are not printed."""
    return differences(
        "CPLearn, tables 1 and 6; heads and weights as for gedi_nogen",
        expected,
        backbone={"name": "resnet8", "width": width},
        augment={"policy": "cifar_symmetric_weak", **CPLEARN_VIEWS},
        # 1e-4 at a batch of 64.
        optimizer={"name": "adamw", "learning_rate": 4e-4},
        training={"epochs": 200, "batch_size": 64},
    )


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
    "cifar10": _cifar(128, "64 % linear on ResNet-8 (CPLearn, table 1)"),
    "cifar100": _cifar(256, "38 % linear on ResNet-8 (CPLearn, table 1)"),
    "imagenet": differences(
        "in no paper: the settings of gedi_nogen, with fewer samples in memory than on CIFAR",
        **DINO_IMAGENET,
        method={"buffer_size": 1024},
        augment={"crop_scale": (0.4, 1.0)},
        training={"epochs": 300, "batch_size": 512},
    ),
}
