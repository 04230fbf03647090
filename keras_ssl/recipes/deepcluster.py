"""Recipes of DeepCluster-v2, and of it with SEM."""

from keras_ssl.recipes.differences import differences

_CIFAR = differences(
    "solo-learn, scripts/pretrain/cifar/deepclusterv2.yaml",
    augment={"policy": "cifar_symmetric"},
    optimizer={"learning_rate": 0.6, "weight_decay": 1e-6},
    schedule={"warmup_epochs": 11, "warmup_start": 0.0, "final_learning_rate": 6e-4},
)

_OURS = {"hidden_dim": 512, "num_prototypes": (100, 100, 100)}

DEEPCLUSTER = {
    "digits": differences(
        "our own",
        method=_OURS,
        optimizer={"name": "sgd", "learning_rate": 0.5, "weight_decay": 5e-4},
        training={"batch_size": 32},
    ),
    "small": differences(
        "our own",
        method=_OURS,
        augment={"policy": "cifar_symmetric_weak"},
        optimizer={"name": "sgd", "learning_rate": 0.5, "weight_decay": 5e-4},
    ),
    "cifar10": _CIFAR.expecting("88.85 % linear, online (solo-learn, README)"),
    "cifar100": _CIFAR.expecting("63.61 % linear, online (solo-learn, README)"),
    "imagenet": differences(
        "the authors' code, scripts/deepclusterv2_400ep_2x224_pretrain.sh",
        "70.2 % linear (authors' code, README)",
        augment={"policy": "imagenet_symmetric", "interpolation": "bilinear"},
        # With a batch of 4096 the rates are 0.3, 4.8 and 0.0048.
        optimizer={"variant": "larc", "exclude_1d": False, "learning_rate": 4.8 / 16},
        schedule={
            "warmup_start": 0.3 / 16,
            "warmup_inclusive": True,
            "final_learning_rate": 0.0048 / 16,
        },
        training={"epochs": 400, "batch_size": 4096},
    ),
}

_SEM_CIFAR = differences("in no paper: L, V and temperature are those of SEM's BYOL")

SEM_DEEPCLUSTER = {"cifar10": _SEM_CIFAR, "cifar100": _SEM_CIFAR, "imagenet": _SEM_CIFAR}
