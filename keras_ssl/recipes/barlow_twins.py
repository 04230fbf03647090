"""Recipes of Barlow Twins, and of Barlow Twins with SEM."""

from keras_ssl.core.published import Published
from keras_ssl.recipes.cplearn_runs import resnet8_runs, vit_runs
from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import shared_weights
from keras_ssl.recipes.published import cplearn, online, sem

_RELEASED = {"hidden_dim": 2048, "projection_dim": 2048, "loss_scale": 0.1}
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
    "cifar10": _CIFAR.expecting(
        online("92.10"), *cplearn("92.2", "29.1", "CPLearn, table 2", "online")
    ),
    "cifar100": _CIFAR.expecting(sem("70.7±0.3")),
    "imagenet": differences(
        "Zbontar et al., 2021, sec. 2.2, and the authors' code",
        Published("73.2", "Zbontar et al., 2021, table 1"),
        # LARS undoes the scale for weights; for biases and batch normalization, which it leaves
        # alone, it makes 0.2 the 0.0048 of the paper.
        method={"loss_scale": 0.024, "hidden_dim": 8192, "projection_dim": 8192},
        backbone={"zero_init_residual": True},
        optimizer={"learning_rate": 0.2},
        schedule={"final_learning_rate": 2e-4},
        training={"epochs": 1000, "batch_size": 2048},
    ),
    **shared_weights("68.7", "64.2", "63.9"),
    **resnet8_runs(
        "projector and weights of solo-learn's script",
        {
            "svhn": ("76±1", "6±2"),
            "cifar10": ("65±0", "5±1"),
            "cifar100": ("28±0", "10±1"),
        },
        lambda width, classes: _RELEASED,
    ),
    **vit_runs(
        "the width is that of the projections; hidden layers as on CIFAR",
        {128: ("66.9", "30.0"), 1024: ("77.2", "53.6"), 2048: ("77.2", "59.4")},
        lambda width: {"hidden_dim": 2048, "projection_dim": width},
        usual=2048,
    ),
}

SEM_BARLOW_TWINS = {
    "cifar10": _SEM_CIFAR,
    "cifar100": _SEM_CIFAR.expecting(sem("73.0±0.2", tau=0.1)),
}
