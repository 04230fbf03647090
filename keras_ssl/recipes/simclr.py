"""Recipes of SimCLR, and of SimCLR with SEM."""

from keras_ssl.core.published import Published
from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import shared_weights
from keras_ssl.recipes.published import online, sem

_CIFAR = differences(
    "solo-learn, scripts/pretrain/cifar/simclr.yaml, with the weight decay of SEM's scripts",
    method={"temperature": 0.2, "projection_dim": 256},
    augment={"policy": "cifar_symmetric"},
    optimizer={"learning_rate": 0.4, "weight_decay": 1e-5},
)
_SEM_CIFAR = differences("SEM, table 7", neck={"temperature": 0.17, "target_temperature": 0.78})
_STRENGTHS = ("large", "moderate", "small")


def _geometry(strength):
    return differences(
        f"Cosentino et al., 2022, sec. 2, {strength} augmentations of table 2, as many epochs as "
        "figure 6 shows; the batch is printed for figure 3 only, where it is 128",
        method={
            "objective": "decoupled",
            "temperature": 0.5,  # beta 2
            "hidden_dim": 0,
            "projection_dim": 128,
            "projection_bias": False,
        },
        augment={"policy": f"geometry_{strength}"},
        optimizer={
            "variant": "original",
            "trust_coefficient": 0.001,
            "learning_rate": 4.0,
            "weight_decay": 1e-6,
        },
        training={"epochs": 500},
    )


SIMCLR = {
    "digits": differences(
        method={"temperature": 0.2, "hidden_dim": 512, "projection_dim": 128},
    ),
    "small": differences(
        "our own",
        method={"temperature": 0.1, "hidden_dim": 512},
        optimizer={"name": "adamw", "learning_rate": 8e-3, "weight_decay": 0.1},
    ),
    "cifar10": _CIFAR.expecting(online("90.74")),
    "cifar100": _CIFAR.expecting(sem("65.8±0.3")),
    **{f"cifar100/geometry_{strength}": _geometry(strength) for strength in _STRENGTHS},
    "imagenet": differences(
        "Chen et al., 2020, sec. 2.1 and appendix B.6; temperature of the authors' code",
        Published("69.3", "Chen et al., 2020, table 6"),
        method={"temperature": 0.1},
        augment={"policy": "imagenet_simclr"},
        optimizer={"variant": "simclr"},
        training={"epochs": 1000, "batch_size": 4096},
    ),
    **shared_weights("64.4", "63.1", "63.5"),
}

SEM_SIMCLR = {
    "cifar10": _SEM_CIFAR,
    "cifar100": _SEM_CIFAR.expecting(sem("69.5±0.2", tau=0.1)),
}
