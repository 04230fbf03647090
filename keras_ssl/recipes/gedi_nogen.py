"""Recipes of GEDI without its generative term."""

import functools
from dataclasses import replace

from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import DINO_IMAGENET, gedi_resnet8

_CIFAR = differences(
    "CPLearn, scripts/pretrain/cifar/gedi_nogen.yaml, with ten clusters: those of its table 8, "
    "whose 47 MB leave no room for the 2048 of that file",
    method={"num_clusters": 10},
    augment={"policy": "cifar_asymmetric"},
    optimizer={
        "variant": "larc",
        "trust_coefficient": 0.001,
        "exclude_1d": False,
        "learning_rate": 0.3,
        "weight_decay": 1e-4,
    },
)


_resnet8 = functools.partial(gedi_resnet8, "weights of the run on ResNet-18")

# Few clusters: a batch has to use all of them equally, so it needs some images of each.
_OURS = {"hidden_dim": 512, "num_clusters": 10, "temperature": 1.0, "beta": 5.0}

GEDI_NOGEN = {
    "digits": differences(
        "our own",
        method=_OURS,
        augment={"policy": "digits_mild"},
    ),
    "small": differences("our own", method=_OURS),
    "small/svhn": _resnet8(
        "63 % linear (CPLearn, table 1)", 128, 10, "svhn_cropped", epochs=20, flip=0.0
    ),
    "cifar10": _CIFAR.expecting("80.0 % linear (CPLearn, table 2)"),
    "cifar10/resnet8": _resnet8("66 % linear (CPLearn, table 1)", 128, 10),
    "cifar100": replace(
        _CIFAR,
        settings={**_CIFAR.settings, "method.num_clusters": 100},
        source="in no paper on a ResNet-18: the settings of CIFAR-10, a cluster for each class",
    ),
    "cifar100/resnet8": _resnet8("39 % linear (CPLearn, table 1)", 256, 100),
    "imagenet": differences(
        "CPLearn, appendix M, on ImageNet-100, and the authors' code of DINO, vanilla run; beta "
        "and temperature as on CIFAR-10",
        "72.8 % linear on ImageNet-100 (CPLearn, table 3)",
        "imagenet100",
        **DINO_IMAGENET,
        augment={"crop_scale": (0.4, 1.0)},
        training={"epochs": 300, "batch_size": 512},
    ),
}
