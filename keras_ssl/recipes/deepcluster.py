"""Recipes of DeepCluster-v2."""

from keras_ssl.core.published import Published
from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import OUR_SGD, SWAV_IMAGENET
from keras_ssl.recipes.published import online

_CIFAR = differences(
    "solo-learn, scripts/pretrain/cifar/deepclusterv2.yaml",
    augment={"policy": "cifar_symmetric"},
    optimizer={"learning_rate": 0.6, "weight_decay": 1e-6},
    schedule={"warmup_epochs": 11, "warmup_start": 0.0, "final_learning_rate": 6e-4},
)

_OURS = {"hidden_dim": 512, "num_prototypes": (100, 100, 100)}

DEEPCLUSTER = {
    "digits": differences(
        "our own",
        method=_OURS,
        optimizer=OUR_SGD,
        training={"batch_size": 32},
    ),
    "small": differences(
        "our own",
        method=_OURS,
        augment={"policy": "cifar_symmetric_weak"},
        optimizer=OUR_SGD,
    ),
    "cifar10": _CIFAR.expecting(online("88.85")),
    "cifar100": _CIFAR.expecting(online("63.61")),
    "imagenet": differences(
        "the authors' code, scripts/deepclusterv2_400ep_2x224_pretrain.sh",
        Published("70.2", "authors' code, README"),
        augment={"policy": "imagenet_symmetric", "interpolation": "bilinear"},
        **SWAV_IMAGENET,
        training={"epochs": 400, "batch_size": 4096},
    ),
}
