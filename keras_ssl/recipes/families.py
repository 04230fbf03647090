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
        training={"epochs": 60},
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

# What each kind of neck adds; CIFAR has the defaults, SEM's L 5000 and V 13.
_SMALL = {"num_simplices": 128, "simplex_size": 16}
_NECK_SIZES = {"digits": _SMALL, "small": _SMALL, "imagenet": {"simplex_size": 21}}
_SMALL_VQ = {"num_simplices": 64, "simplex_size": 32, "code_dim": 8}
_VQ_SIZES = {"digits": _SMALL_VQ, "small": _SMALL_VQ}


def _necks(kind, sizes=_NECK_SIZES, **options):
    """Every family with a neck of `kind`: {family: Differences}."""
    return {
        family: differences(neck={"kind": kind, **options, **sizes.get(family, {})})
        for family in FAMILIES
    }


# Figures of Gumbel and VQ: SEM, sec. 4.1.
NECK_FAMILIES = {
    "none": _necks("none", {}),
    "sem": _necks("sem"),
    "embed": _necks("embed"),
    "gumbel": _necks("gumbel", temperature=2.0),
    "vq": _necks("vq", _VQ_SIZES, num_simplices=512, simplex_size=128),
}
