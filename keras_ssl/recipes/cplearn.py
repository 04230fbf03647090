"""Recipes of CPLearn, and of CPLearn with SEM."""

from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import CPLEARN_VIEWS, SEM_OF_NO_PAPER

_CIFAR = differences(
    "CPLearn, scripts/pretrain/cifar/cplearn.yaml; its weight decay decoupled",
    augment={"policy": "cifar_asymmetric"},
    # 1e-3 per 256 images, as the launcher scales it.
    optimizer={"name": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-4},
    training={"batch_size": 64},
)

CPLEARN = {
    "digits": differences(
        "our own",
        method={"num_codes": 128, "hidden_dim": 1024, "beta": 0.75},
        augment={"policy": "digits_mild"},
    ),
    "small": differences(
        "our own, with the probabilities of CPLearn, table 6",
        method={"num_codes": 512, "beta": 0.5},
        augment=CPLEARN_VIEWS,
    ),
    "cifar10": _CIFAR.expecting("91.3 % linear (CPLearn, table 2)"),
    "cifar100": _CIFAR,
}

SEM_CPLEARN = {"cifar10": SEM_OF_NO_PAPER, "cifar100": SEM_OF_NO_PAPER}
