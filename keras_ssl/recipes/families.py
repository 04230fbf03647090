"""What the recipes of all methods share on one kind of data."""

from keras_ssl.recipes.differences import differences

_CIFAR = differences(
    "the CIFAR settings of solo-learn, which SEM took over",
    backbone={"stem_padding": 2},
    optimizer={"name": "lars", "variant": "larc_clip", "trust_coefficient": 0.02},
    schedule={"warmup_start": 3e-5, "warmup_inclusive": True},
    training={"epochs": 1000},
    evaluation={"every_epochs": 20},
)

FAMILIES = {
    "digits": differences(
        "our own, for a few minutes on two CPU cores",
        backbone={"name": "resnet14", "width": 16},
        data={"image_size": 16},
        augment={"policy": "digits"},
        optimizer={"name": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-4},
        schedule={"warmup_epochs": 5},
        training={"epochs": 60, "batch_size": 64},
    ),
    "small": differences(
        "our own, for small images and about ten minutes on two CPU cores",
        backbone={"width": 16},
        augment={"policy": "simsiam_cifar"},
        optimizer={"name": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-4},
        schedule={"warmup_epochs": 2},
        training={"epochs": 40},
    ),
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "imagenet": differences(
        "the ImageNet settings that most papers share",
        backbone={"name": "resnet50"},
        data={"image_size": 224},
        augment={"policy": "imagenet_asymmetric"},
        optimizer={"name": "lars", "learning_rate": 0.3, "weight_decay": 1e-6},
    ),
}

# What the SEM neck adds on each; CIFAR has the defaults, L 5000 and V 13.
_SMALL_SEM = {"kind": "sem", "num_simplices": 128, "simplex_size": 16}
SEM_FAMILIES = {
    "digits": differences(neck=_SMALL_SEM),
    "small": differences(neck=_SMALL_SEM),
    "cifar10": differences(neck={"kind": "sem"}),
    "cifar100": differences(neck={"kind": "sem"}),
    "imagenet": differences(neck={"kind": "sem", "simplex_size": 21}),
}
