"""What the recipes of all methods share on one kind of data."""

from keras_ssl.core.constants import CODEBOOK_SIZE, GUMBEL_TEMPERATURE, NUM_CODEBOOKS
from keras_ssl.core.published import Published
from keras_ssl.recipes.differences import differences

# Probes of the papers: SEM, appendix B.2 and, of tau_d, sec. 4; SimSiam, appendix A, by whose
# protocol SimMER goes; CPLearn, appendix I, which says nothing of augmentation.
_READ = {"probe_views": "augmented", "temperatures": (0.0, 0.01, 0.1, 1.0)}
LARS_PROBE = {"probe": "lars", "probe_views": "augmented"}
ADAM_PROBE = {"probe": "adam", "probe_views": "cached"}

_CIFAR = differences(
    "the CIFAR settings of solo-learn, which SEM took over, and SEM's linear probe",
    backbone={"stem_padding": 2},
    optimizer={"name": "lars", "variant": "larc_clip", "trust_coefficient": 0.02},
    schedule={"warmup_start": 3e-5, "warmup_inclusive": True},
    training={"epochs": 1000},
    evaluation={"every_epochs": 20, "probe": "sem_sgd", **_READ},
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
        "the ImageNet settings that most papers share, and SEM's linear probe",
        backbone={"name": "resnet50"},
        data={"image_size": 224, "test_crop": 224 / 256},  # SEM, appendix B.1
        augment={"policy": "imagenet_asymmetric"},
        optimizer={"name": "lars", "learning_rate": 0.3, "weight_decay": 1e-6},
        evaluation={"probe": "sem_sgd_imagenet", **_READ},
    ),
}

# Families that start from another one, of the methods too.
BUILT_ON = {"svhn": "small", "imagenet100": "imagenet", "mini_imagenet": "imagenet"}
FAMILIES |= {
    "svhn": differences(
        "as for small images, never mirrored", augment={"flip": 0.0}, finetune={"flip": 0.0}
    ),
    "imagenet100": differences("as for imagenet2012"),
    "mini_imagenet": differences(
        "as for imagenet2012, on images of 84 pixels",
        data={"image_size": 84, "test_crop": 1.0},
        augment={"local_size": 0},
        evaluation=LARS_PROBE,
    ),
}

# The recipe for a data set of TensorFlow Datasets, or "digits"; "small" for all others.
FAMILY_OF = {
    "digits": "digits",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "svhn_cropped": "svhn",
    "imagenet2012": "imagenet",
    "imagenet100": "imagenet100",
    "mini_imagenet": "mini_imagenet",
}
# The data set of a family's published results.
PUBLISHED_ON = {family: dataset for dataset, family in FAMILY_OF.items()} | {"small": ""}
# Of recipes: runs and users may have them.
FORMER_NAMES = {"small/svhn": "svhn", "cifar100/geometry": "cifar100/geometry_large"}


def family_in(name):
    """The family that a recipe's name begins with: "cifar100" of "cifar100/resnet50"."""
    return name.partition("/")[0]


def levels_of(name):
    """What a recipe builds on, general first, and the recipe: names.

    Example:

    >>> levels_of("imagenet100/128")
    ['imagenet', 'imagenet100', 'imagenet100/128']
    """
    family = family_in(name)
    return list(dict.fromkeys([BUILT_ON.get(family, family), family, name]))


# Facts that several methods' recipes say.
OUR_SGD = {"name": "sgd", "learning_rate": 0.5, "weight_decay": 5e-4}  # on digits and small images


def shared_weights(*values):
    """VICReg's table 5 of another method: branches alike, apart, and apart with a ViT-S.

    Returns:
        {recipe: Differences}.
    """
    place = "Bardes et al., 2022, table 5"
    source = f"{place}: the settings of the method's own run, for 100 epochs"
    apart = {"shared": "none"}
    sections = {
        "imagenet/epochs100": {},
        "imagenet/unshared": {"method": apart},
        "imagenet/unshared_vit_small": {"method": apart, "backbone": {"second": "vit_small"}},
    }
    return {
        name: differences(source, Published(value, place), training={"epochs": 100}, **more)
        for (name, more), value in zip(sections.items(), values, strict=True)
    }


def mini_imagenet(value):
    """The run of a method that SimMER is compared with on Mini-ImageNet."""
    return differences(
        "SimMER, sec. 3.3, which took each method's default settings of a ResNet-50 (BYOL's those "
        "of PyTorch Lightning): read as the recipe for ImageNet, on images of 84 pixels",
        Published(value, "SimMER, table 2", "lars"),
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
    """Every family that starts from no other with a neck of `kind`: {family: Differences}."""
    sources = sources or {}
    return {
        family: differences(
            sources.get(family, ""), neck={"kind": kind, **options, **sizes.get(family, {})}
        )
        for family in FAMILIES
        if family not in BUILT_ON
    }


# Figures of Gumbel and VQ: SEM, sec. 4.1.
NECK_FAMILIES = {
    "none": _necks("none", {}),
    "sem": _necks("sem", sources=_SEM_OF_NO_PAPER),
    "embed": _necks("embed"),
    "gumbel": _necks("gumbel", temperature=GUMBEL_TEMPERATURE),
    "vq": _necks("vq", _VQ_SIZES, num_simplices=NUM_CODEBOOKS, simplex_size=CODEBOOK_SIZE),
}
