"""What the recipes of all methods share on one kind of data."""

from keras_ssl.core.constants import CODEBOOK_SIZE, GUMBEL_TEMPERATURE, NUM_CODEBOOKS
from keras_ssl.recipes.differences import differences

_CIFAR = differences(
    "the CIFAR settings of solo-learn, which SEM took over",
    backbone={"stem_padding": 2},
    optimizer={"name": "lars", "variant": "larc_clip", "trust_coefficient": 0.02},
    schedule={"warmup_start": 3e-5, "warmup_inclusive": True},
    training={"epochs": 1000},
    evaluation={"every_epochs": 20},
)

# Fine-tuning in minutes on two CPU cores.
_SHORT = {
    "learning_rates": (0.05, 0.2, 0.8),
    "weight_decays": (5e-4,),
    "batch_size": 64,
    "crop_scale": (0.2, 1.0),
}

FAMILIES = {
    "digits": differences(
        "our own, for a few minutes on two CPU cores",
        backbone={"name": "resnet14", "width": 16},
        data={"image_size": 16},
        augment={"policy": "digits"},
        optimizer={"name": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-4},
        schedule={"warmup_epochs": 5},
        training={"epochs": 60, "batch_size": 64},
        finetune={**_SHORT, "steps": 300, "crop_scale": (0.5, 1.0), "flip": 0.0},
    ),
    "small": differences(
        "our own, for small images and about ten minutes on two CPU cores",
        backbone={"width": 16},
        augment={"policy": "simsiam_cifar"},
        optimizer={"name": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-4},
        schedule={"warmup_epochs": 2},
        training={"epochs": 60},
        finetune={**_SHORT, "steps": 1000},
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

# The recipe for a data set of TensorFlow Datasets, or "digits"; "small" for all others.
FAMILY_OF = {
    "digits": "digits",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "imagenet2012": "imagenet",
    "imagenet100": "imagenet",
    "svhn_cropped": "small/svhn",
}
# The data set of a family's published results, unless a recipe names another.
PUBLISHED_ON = {
    "digits": "digits",
    "small": "",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "imagenet": "imagenet2012",
}

# Facts that several methods' recipes say.
OUR_SGD = {"name": "sgd", "learning_rate": 0.5, "weight_decay": 5e-4}  # on digits and small images
CPLEARN_VIEWS = {"jitter_probability": 0.1, "grayscale": 0.1, "noise": 0.03}  # CPLearn, table 6


def cplearn_resnet8(width, epochs=200, **views):
    """The runs of CPLearn's paper on a ResNet-8: its tables 5 and 6, which print no weight decay.

    That is the one of the authors' ResNet-18.
    """
    return {
        "backbone": {"name": "resnet8", "width": width},
        "augment": {"policy": "cifar_symmetric_weak", **CPLEARN_VIEWS, **views},
        # 1e-4 at a batch of 64.
        "optimizer": {"name": "adamw", "learning_rate": 4e-4, "weight_decay": 1e-4},
        "training": {"epochs": epochs, "batch_size": 64},
    }


def gedi_resnet8(note, expected, width, num_clusters, dataset="", **options):
    """GEDI's runs on ResNet-8, of which the number of clusters and the weights are not printed."""
    return differences(
        f"CPLearn, tables 1, 5 and 6; {note}, a cluster for each class",
        expected,
        dataset,
        method={"num_clusters": num_clusters},
        **cplearn_resnet8(width, **options),
    )


# The repository of SwAV and DeepCluster-v2: with a batch of 4096 the rates are 0.3, 4.8 and 0.0048.
SWAV_IMAGENET = {
    "optimizer": {"variant": "larc", "exclude_1d": False, "learning_rate": 4.8 / 16},
    "schedule": {
        "warmup_start": 0.3 / 16,
        "warmup_inclusive": True,
        "final_learning_rate": 0.0048 / 16,
    },
}

# A ViT-S in the repository of DINO; with a batch of 512 the last learning rate is 1e-6.
DINO_IMAGENET = {
    "backbone": {"name": "vit_small"},
    "optimizer": {"name": "adamw", "learning_rate": 5e-4, "weight_decay": 0.04, "clipnorm": 3.0},
    "schedule": {
        "warmup_inclusive": True,
        "final_learning_rate": 5e-7,
        "final_weight_decay": 0.4,
    },
}

# Where the recipes that have SEM but no published result with it take its settings from.
_SEM_OF_NO_PAPER = {
    "digits": "SEM of our own size",
    "small": "SEM of our own size",
    "cifar10": "SEM is in no paper here: L, V and temperature are those of SEM's BYOL, table 9",
    "cifar100": "SEM is in no paper here: L, V and temperature are those of SEM's BYOL, table 9",
    "imagenet": "SEM is in no paper here: L and V are those of SEM's BYOL, table 15",
}

# What each kind of neck adds; CIFAR has the defaults, SEM's L 5000 and V 13.
_SMALL = {"num_simplices": 128, "simplex_size": 16}
_NECK_SIZES = {"digits": _SMALL, "small": _SMALL, "imagenet": {"simplex_size": 21}}
_SMALL_VQ = {"num_simplices": 64, "simplex_size": 32, "code_dim": 8}
_VQ_SIZES = {"digits": _SMALL_VQ, "small": _SMALL_VQ}


def _necks(kind, sizes=_NECK_SIZES, sources=None, **options):
    """Every family with a neck of `kind`: {family: Differences}."""
    sources = sources or {}
    return {
        family: differences(
            sources.get(family, ""), neck={"kind": kind, **options, **sizes.get(family, {})}
        )
        for family in FAMILIES
    }


# Figures of Gumbel and VQ: SEM, sec. 4.1.
NECK_FAMILIES = {
    "none": _necks("none", {}),
    "sem": _necks("sem", sources=_SEM_OF_NO_PAPER),
    "embed": _necks("embed"),
    "gumbel": _necks("gumbel", temperature=GUMBEL_TEMPERATURE),
    "vq": _necks("vq", _VQ_SIZES, num_simplices=NUM_CODEBOOKS, simplex_size=CODEBOOK_SIZE),
}
