"""Recipes of GEDI without its generative term."""

from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import DINO_IMAGENET

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

_OURS = {"hidden_dim": 512, "temperature": 0.3}

GEDI_NOGEN = {
    "digits": differences(
        "our own",
        method={**_OURS, "num_clusters": 32, "beta": 16.0},
        augment={"policy": "digits_mild"},
    ),
    "small": differences(
        "our own",
        method={**_OURS, "num_clusters": 64, "beta": 32.0},
    ),
    "cifar10": _CIFAR.expecting("80.0 % linear (CPLearn, table 2)"),
    "cifar100": _CIFAR.expecting(
        "",
        "in no paper on a ResNet-18: the settings of CIFAR-10; a ResNet-8 has 39 % (CPLearn, "
        "table 1)",
    ),
    "imagenet": differences(
        "CPLearn, appendix M, on ImageNet-100, and the authors' code of DINO, vanilla run; beta "
        "and temperature as on CIFAR-10",
        "72.8 % linear on ImageNet-100 (CPLearn, table 3)",
        **DINO_IMAGENET,
        augment={"crop_scale": (0.4, 1.0)},
        training={"epochs": 300, "batch_size": 512},
    ),
}
