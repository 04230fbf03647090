"""Recipes of Barlow Twins, and of Barlow Twins with SEM."""

from keras_ssl.recipes.differences import differences

_CIFAR = differences(
    "solo-learn, scripts/pretrain/cifar/barlow.yaml",
    method={"loss_scale": 0.1},
    augment={"policy": "cifar_asymmetric"},
    optimizer={"learning_rate": 0.3, "weight_decay": 1e-4},
)
_SEM_CIFAR = differences("SEM, table 12", neck={"temperature": 1.0, "target_temperature": 0.99})

BARLOW_TWINS = {
    "digits": differences(
        method={"redundancy_weight": 0.05, "hidden_dim": 512, "projection_dim": 64},
        optimizer={"learning_rate": 8e-3},
    ),
    "small": differences(method={"hidden_dim": 512, "projection_dim": 512}),
    "cifar10": _CIFAR.expecting("92.10 % linear, online (solo-learn, README)"),
    "cifar100": _CIFAR.expecting("70.7 % linear (SEM, table 1)"),
    "imagenet": differences(
        "Zbontar et al., 2021, sec. 2.2, and the authors' code",
        "73.2 % linear (Zbontar et al., 2021, table 1)",
        # LARS undoes the scale for weights; for biases and batch normalization, which it leaves
        # alone, it makes 0.2 the 0.0048 of the paper.
        method={"loss_scale": 0.024, "hidden_dim": 8192, "projection_dim": 8192},
        backbone={"zero_init_residual": True},
        optimizer={"learning_rate": 0.2},
        schedule={"final_learning_rate": 2e-4},
        training={"epochs": 1000, "batch_size": 2048},
    ),
}

SEM_BARLOW_TWINS = {
    "cifar10": _SEM_CIFAR,
    "cifar100": _SEM_CIFAR.expecting("73.0 % linear at tau_d 0.1 (SEM, table 1)"),
}
