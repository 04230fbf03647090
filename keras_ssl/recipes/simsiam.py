"""Recipes of SimSiam, and of SimSiam with SEM, which is in no paper."""

from keras_ssl.recipes.differences import differences

# The authors decay everything and leave the predictor's learning rate alone, as solo-learn does.
_SGD = {"name": "sgd", "exclude_1d": False, "constant_lr_layers": ("predictor",)}

_CIFAR = differences(
    "solo-learn, scripts/pretrain/cifar/simsiam.yaml",
    augment={"policy": "cifar_symmetric_weak"},
    optimizer={**_SGD, "learning_rate": 0.5, "weight_decay": 1e-5},
)

SIMSIAM = {
    "digits": differences(
        method={"projection_dim": 512, "hidden_dim": 512, "prediction_dim": 128, "num_layers": 2},
        optimizer={**_SGD, "learning_rate": 0.5, "weight_decay": 1e-3},
        training={"batch_size": 32},
    ),
    "small": differences(
        method={"projection_dim": 512, "hidden_dim": 512, "prediction_dim": 128, "num_layers": 2},
        optimizer={**_SGD, "learning_rate": 0.3, "weight_decay": 5e-4},
    ),
    "cifar10": _CIFAR.expecting("90.51 % linear, online (solo-learn, README)"),
    "cifar100": _CIFAR.expecting("66.04 % linear, online (solo-learn, README)"),
    "imagenet": differences(
        "Chen and He, 2021, sec. 3, and the authors' code",
        "68.1 % linear (Chen and He, 2021, table 4)",
        backbone={"zero_init_residual": True},
        augment={
            "policy": "imagenet_symmetric",
            "crop_scale": (0.2, 1.0),
            "interpolation": "bilinear",
            "brightness": 0.4,
            "contrast": 0.4,
            "saturation": 0.4,
            "hue": 0.1,
        },
        optimizer={**_SGD, "learning_rate": 0.05, "weight_decay": 1e-4},
        schedule={"warmup_epochs": 0, "hold": "epoch"},
        training={"batch_size": 512},
    ),
}

_SEM_CIFAR = differences("in no paper: L, V and temperature are those of SEM's BYOL")

SEM_SIMSIAM = {"cifar10": _SEM_CIFAR, "cifar100": _SEM_CIFAR, "imagenet": _SEM_CIFAR}
