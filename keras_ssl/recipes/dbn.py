"""Recipes of Shuffled-DBN."""

from keras_ssl.core.published import Published
from keras_ssl.recipes.differences import differences

_CIFAR = {
    "backbone": {"stem_padding": 1},
    "augment": {"policy": "simsiam_cifar"},
    "schedule": {"warmup_epochs": 5, "warmup_start": 0.0},
    "training": {"epochs": 200, "batch_size": 64},
}
_SGD = {"name": "sgd", "exclude_1d": False, "learning_rate": 0.02}

DBN = {
    "digits": differences(
        method={"num_groups": 8, "hidden_dim": 512, "projection_dim": 128},
        optimizer={"learning_rate": 8e-3},
    ),
    "small": differences(method={"num_groups": 8, "hidden_dim": 512, "projection_dim": 256}),
    "cifar10": differences(
        "Hua et al., 2021, authors' code, configs/ablation/batch_size/sdbn/64bz.yaml",
        Published("89.17", "noted in that file"),
        optimizer={**_SGD, "weight_decay": 2.5e-3},
        **_CIFAR,
    ),
    "cifar100": differences(
        "Hua et al., 2021, authors' code, configs/exp_small_200ep/cifar100/covnorm.yaml",
        optimizer={**_SGD, "weight_decay": 1e-3},
        **_CIFAR,
    ),
    "imagenet": differences(
        "in no paper known to us: the run on CIFAR-100, with the views of SimSiam",
        augment={"policy": "moco_v2"},
        optimizer={**_SGD, "weight_decay": 1e-3},
        schedule=_CIFAR["schedule"],
        training=_CIFAR["training"],
    ),
}
