"""Recipes of DINO, and of DINO with SEM."""

from keras_ssl.core.published import Published
from keras_ssl.recipes.cplearn_runs import DINO_IMAGENET, vit_runs
from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.published import online, sem

_CIFAR = differences(
    "solo-learn, scripts/pretrain/cifar/dino.yaml; warm-up of the teacher from SEM's script",
    method={"momentum": 0.9995, "num_prototypes": 4096, "warmup_teacher_epochs": 50},
    augment={"policy": "cifar_asymmetric"},
    optimizer={"learning_rate": 0.3, "weight_decay": 1e-6},
)
_SEM_CIFAR = differences("SEM, table 11")
_OURS = {"momentum": 0.99, "hidden_dim": 512, "bottleneck_dim": 128, "warmup_teacher_epochs": 0}

DINO = {
    "digits": differences(
        # A duller teacher ends in the uniform distribution, a slower center in a single class.
        method={
            **_OURS,
            "num_prototypes": 256,
            "teacher_temperature": 0.005,
            "center_momentum": 0.5,
        },
        optimizer={"name": "adamw", "learning_rate": 8e-3, "weight_decay": 0.04, "clipnorm": 3.0},
        training={"batch_size": 32},
    ),
    "small": differences(
        method={
            **_OURS,
            "momentum": 0.97,
            "num_prototypes": 1024,
            "teacher_temperature": 0.005,
            "center_momentum": 0.5,
        },
        optimizer={"name": "adamw", "learning_rate": 4e-3, "weight_decay": 0.04, "clipnorm": 3.0},
    ),
    "cifar10": _CIFAR.expecting(online("89.52")),
    "cifar100": _CIFAR.expecting(sem("66.8±0.3")),
    # Not in the network here: a stochastic depth of 0.1.
    "imagenet": differences(
        "the authors' code, README, vanilla run of ViT-S/16",
        Published("74.0", "authors' code, README"),
        **DINO_IMAGENET,
        method={"teacher_temperature": 0.04, "warmup_teacher_epochs": 0},
        augment={
            "crop_scale": (0.4, 1.0),
            "local_views": 8,
            "local_policy": "imagenet_local",
            "local_size": 96,
            "local_scale": (0.05, 0.4),
        },
        training={"epochs": 100, "batch_size": 512},
    ),
    **vit_runs(
        "the width is the number of prototypes; small crops as in that code",
        {
            128: ("71.8", "46.0"),
            1024: ("73.6", "53.4"),
            2048: ("73.9", "55.2"),
            32768: ("75.1", "63.1"),
            65536: ("76.2", "64.7"),
            131072: ("75.8", "64.3"),
        },
        lambda width: {"num_prototypes": width},
        usual=65536,
        sections={"training": {"epochs": 300}},
    ),
}

SEM_DINO = {
    "cifar10": _SEM_CIFAR,
    "cifar100": _SEM_CIFAR.expecting(sem("69.2±0.3", tau=0.1)),
}
