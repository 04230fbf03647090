"""Recipes of VICReg, and of VICReg with SEM."""

from keras_ssl.core.published import Published
from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.published import online, sem

_CIFAR = differences(
    "solo-learn, scripts/pretrain/cifar/vicreg.yaml",
    method={"variance_weight": 50.0},  # its 25 weighs the sum of two views
    augment={"policy": "cifar_vicreg"},
    optimizer={"learning_rate": 0.3, "weight_decay": 1e-4},
)
_SEM_CIFAR = differences("SEM, table 13", neck={"temperature": 1.0})

VICREG = {
    "digits": differences(
        method={"hidden_dim": 512, "projection_dim": 128}, optimizer={"learning_rate": 2e-2}
    ),
    "small": differences(method={"hidden_dim": 512, "projection_dim": 512}),
    "cifar10": _CIFAR.expecting(online("92.07")),
    "cifar100": _CIFAR.expecting(sem("68.5±0.2")),
    "imagenet": differences(
        "Bardes et al., 2022, sec. 4.2, and the authors' code",
        Published("73.2", "Bardes et al., 2022, table 1"),
        method={"hidden_dim": 8192, "projection_dim": 8192},
        backbone={"zero_init_residual": True},
        optimizer={"learning_rate": 0.2},
        schedule={"final_learning_rate": 2e-4},
        training={"epochs": 1000, "batch_size": 2048},
    ),
}

SEM_VICREG = {
    "cifar10": _SEM_CIFAR,
    "cifar100": _SEM_CIFAR.expecting(sem("71.4±0.4", tau=0.1)),
}
