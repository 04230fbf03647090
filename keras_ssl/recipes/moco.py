"""Recipes of MoCo, and of MoCo with SEM."""

from keras_ssl.core.published import Published
from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import OUR_SGD, mini_imagenet
from keras_ssl.recipes.published import online, sem

_SGD = {"name": "sgd", "exclude_1d": False}  # the authors decay everything
_OURS = {"momentum": 0.99, "hidden_dim": 512, "symmetric": True}

_CIFAR = differences(
    "solo-learn, scripts/pretrain/cifar/mocov2plus.yaml",
    method={"momentum": 0.99, "projection_dim": 256, "queue_size": 32768, "symmetric": True},
    augment={"policy": "cifar_symmetric_weak"},
    optimizer={**_SGD, "learning_rate": 0.3, "weight_decay": 1e-4},
    schedule={"final_momentum": 0.999},
)
_SEM_CIFAR = differences(
    "SEM, table 8; width of the projection from the authors' launch script",
    method={"projection_dim": 128},
    neck={"temperature": 0.04, "target_temperature": 0.01},
)

MOCO = {
    "digits": differences(
        # A queue of more steps, or a faster key encoder, ends in keys that are all the same.
        method={**_OURS, "queue_size": 128},
        optimizer=OUR_SGD,
        schedule={"final_momentum": 0.99},
        training={"batch_size": 32},
    ),
    "small": differences(
        method={**_OURS, "queue_size": 4096},
        augment={"policy": "cifar_symmetric_weak"},
        optimizer=OUR_SGD,
        schedule={"final_momentum": 0.999},
    ),
    "cifar10": _CIFAR.expecting(online("92.94")),
    "cifar100": _CIFAR.expecting(sem("69.3±0.3"), online("69.89")),
    "imagenet": differences(
        "Chen et al., 2020 (v2), and the authors' code",
        Published("67.5", "authors' code, README"),
        augment={"policy": "moco_v2"},
        optimizer={**_SGD, "learning_rate": 0.03, "weight_decay": 1e-4},
        schedule={"warmup_epochs": 0, "hold": "epoch", "final_momentum": 0.999},
        training={"epochs": 200, "batch_size": 256},
    ),
    "imagenet/epochs800": differences(
        "Chen et al., 2020 (v2), table 3",
        Published("71.1", "Chen et al., 2020 (v2), table 3"),
        training={"epochs": 800},
    ),
    "mini_imagenet": mini_imagenet("55.30"),
}

SEM_MOCO = {
    "cifar10": _SEM_CIFAR,
    "cifar100": _SEM_CIFAR.expecting(sem("71.0±0.3", tau=0.1)),
}
