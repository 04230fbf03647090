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

# Few clusters: a batch shall use each of them alike, and has to have some images of each.
_OURS = {"hidden_dim": 512, "num_clusters": 10, "temperature": 1.0, "beta": 5.0}

GEDI_NOGEN = {
    "digits": differences(
        "our own",
        method=_OURS,
        augment={"policy": "digits_mild"},
    ),
    "small": differences("our own", method=_OURS),
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
