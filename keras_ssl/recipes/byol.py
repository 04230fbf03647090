"""Recipes of BYOL, and of BYOL with SEM."""

from keras_ssl.recipes.differences import differences

_CIFAR = differences(
    "solo-learn, scripts/pretrain/cifar/byol.yaml",
    method={"momentum": 0.99},
    augment={"policy": "cifar_asymmetric"},
    optimizer={"learning_rate": 1.0, "weight_decay": 1e-5},
)
# What SEM trains without and with simplices.
_SEM_IMAGENET = {
    "optimizer": {"learning_rate": 0.4},
    "training": {"epochs": 200, "batch_size": 256},
}
_RESNET50 = {
    "backbone": {"name": "resnet50", "stem_padding": 2},
    "optimizer": {
        "variant": "larc",
        "trust_coefficient": 0.001,
        "learning_rate": 0.5,
        "weight_decay": 1e-4,
    },
}

BYOL = {
    "digits": differences(
        method={"momentum": 0.98, "hidden_dim": 512, "prediction_dim": 512, "projection_dim": 128},
        # As in SimSiam's, the predictor learns much faster than the rest.
        optimizer={
            "name": "sgd",
            "learning_rate": 0.5,
            "weight_decay": 1e-3,
            "constant_lr_layers": ("predictor",),
            "constant_lr": 8.0,
        },
        schedule={"warmup_epochs": 2},
        training={"epochs": 50},
    ),
    "small": differences(
        method={"momentum": 0.9, "hidden_dim": 1024, "prediction_dim": 1024},
        optimizer={
            "name": "sgd",
            "learning_rate": 0.6,
            "weight_decay": 5e-4,
            "constant_lr_layers": ("predictor",),
            "constant_lr": 4.8,
        },
        training={"epochs": 45, "batch_size": 64},
    ),
    "cifar10": _CIFAR.expecting("92.58 % linear, online (solo-learn, README)"),
    "cifar100": _CIFAR.expecting("70.7 % linear (SEM, table 1)"),
    "cifar100/resnet50": differences("SEM, table 6", "74.3 % linear (SEM, table 17)", **_RESNET50),
    "imagenet": differences(
        "solo-learn, scripts/pretrain/imagenet/byol.yaml",
        "68.37 % linear (solo-learn, README)",
        method={"momentum": 0.99},
        optimizer={"learning_rate": 0.45},
        schedule={"warmup_start": 3e-5, "warmup_inclusive": True},
        training={"batch_size": 128, "accumulate": 16},
    ),
    "imagenet/sem_baseline": differences(
        "SEM, table 16; accumulation from the authors' launch script",
        "71.9 % linear (SEM, table 3)",
        **_SEM_IMAGENET,
    ),
}

SEM_BYOL = {
    "small": differences(optimizer={"exclude_1d": False}),
    "cifar100": differences("SEM, table 9", "73.9 % linear at tau_d 0.1 (SEM, table 1)"),
    "cifar100/blocks8": differences(
        "SEM, tables 9 and 17", "73.3 % linear (SEM, table 17)", neck={"num_blocks": 8}
    ),
    "cifar100/no_decay": differences(
        "SEM, tables 9 and 18",
        "68.3 % linear (SEM, table 18)",
        optimizer={"weight_decay": 0.0},
    ),
    "cifar100/no_norm": differences(
        "SEM, tables 9 and 18", "57.9 % linear (SEM, table 18)", neck={"embedder_norm": False}
    ),
    "cifar100/no_norm_no_decay": differences(
        "SEM, tables 9 and 18",
        "67.2 % linear (SEM, table 18)",
        neck={"embedder_norm": False},
        optimizer={"weight_decay": 0.0},
    ),
    "cifar100/resnet50": differences("SEM, table 14", "77.4 % linear (SEM, table 17)", **_RESNET50),
    "cifar100/resnet50_blocks8": differences(
        "SEM, tables 6, 14 and 17",
        "76.6 % linear (SEM, table 17)",
        neck={"num_blocks": 8},
        **_RESNET50,
    ),
    "imagenet": differences(
        "SEM, tables 15 and 16; accumulation from the authors' launch script",
        "74.1 % linear (SEM, table 3)",
        neck={"temperature": 0.16, "target_temperature": 0.04},
        **_SEM_IMAGENET,
    ),
}
