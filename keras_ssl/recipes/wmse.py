"""Recipes of W-MSE."""

from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.published import online

_ADAM = {"name": "adam", "exclude_1d": False, "weight_decay": 1e-6}

# The authors' own runs drop the learning rate in steps, and draw weaker colors before the crop:
# augment.policy=wmse.
_CIFAR = differences(
    "solo-learn, scripts/pretrain/cifar/wmse.yaml",
    augment={"policy": "cifar_wmse"},
    optimizer={**_ADAM, "learning_rate": 2e-3},
    schedule={"warmup_start": 0.0},
)

WMSE = {
    "digits": differences(
        method={"whitening_size": 64, "hidden_dim": 512, "projection_dim": 16},
        optimizer={"name": "sgd", "learning_rate": 0.8, "weight_decay": 1e-3},
    ),
    "small": differences(method={"hidden_dim": 512}),
    "cifar10": _CIFAR.expecting(online("88.67")),
    "cifar100": _CIFAR.expecting(online("61.33")),
    "imagenet": differences(
        "the authors' code, README, W-MSE 2 on ImageNet-100",
        method={"whitening_size": 256, "projection_dim": 128},
        backbone={"name": "resnet18"},
        # The authors blur nothing here either. They too crop last, which images that are cut out
        # while they are read cannot do.
        augment={"policy": "cifar_symmetric"},
        # 2e-3 with a batch of 512.
        optimizer={**_ADAM, "learning_rate": 1e-3},
        schedule={"warmup_epochs": 2},
        training={"epochs": 240, "batch_size": 512},
    ),
}
