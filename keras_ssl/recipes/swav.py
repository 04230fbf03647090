"""Recipes of SwAV, and of SwAV with SEM."""

from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import OUR_SGD, SWAV_IMAGENET

_CIFAR = differences(
    "solo-learn, scripts/pretrain/cifar/swav.yaml",
    method={"queue_size": 3840, "queue_start_epoch": 50, "freeze_epochs": 2},
    augment={"policy": "cifar_symmetric"},
    optimizer={"learning_rate": 0.6, "weight_decay": 1e-6},
)
_SEM_CIFAR = differences(
    "SEM, table 10; optimizer of the authors' launch script",
    neck={"temperature": 0.85, "target_temperature": 1.5},
    optimizer={"exclude_1d": False},
    schedule={"final_learning_rate": 6e-4},
)

_OURS = {"hidden_dim": 512, "queue_start_epoch": 5}

SWAV = {
    "digits": differences(
        # Untrained features say little of which view is of which image: codes that are less sharp
        # than this are unlearnt before they are learnt, and the loss stays at log(num_prototypes).
        method={**_OURS, "num_prototypes": 64, "epsilon": 0.005, "queue_size": 256},
        optimizer=OUR_SGD,
        training={"batch_size": 32},
    ),
    "small": differences(
        method={**_OURS, "num_prototypes": 512, "epsilon": 0.02, "queue_size": 1024},
        augment={"policy": "cifar_symmetric_weak"},
        optimizer=OUR_SGD,
    ),
    "cifar10": _CIFAR.expecting("89.17 % linear, online (solo-learn, README)"),
    "cifar100": _CIFAR.expecting(
        "64.6 % linear (SEM, table 1); 64.88 % online (solo-learn, README)"
    ),
    "imagenet": differences(
        "the authors' code, scripts/swav_800ep_pretrain.sh",
        "75.3 % linear (authors' code, README)",
        augment={
            "policy": "imagenet_symmetric",
            "crop_scale": (0.14, 1.0),
            "interpolation": "bilinear",
            "local_views": 6,
            "local_size": 96,
            "local_scale": (0.05, 0.14),
        },
        **SWAV_IMAGENET,
        training={"epochs": 800, "batch_size": 4096},
    ),
}

SEM_SWAV = {
    "cifar10": _SEM_CIFAR,
    "cifar100": _SEM_CIFAR.expecting("67.7 % linear at tau_d 0.1 (SEM, table 1)"),
}
