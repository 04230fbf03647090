"""Recipes of Self-Classifier, whose final version has none for CIFAR."""

from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import OUR_SGD

_CIFAR = differences(
    "our own: a tenth of the authors' classes, and the optimizer of solo-learn's SwAV",
    method={"num_classes": (100, 200, 400, 800), "hidden_dim": 2048},
    augment={"policy": "cifar_symmetric"},
    optimizer={"learning_rate": 0.6, "weight_decay": 1e-6},
)

SELF_CLASSIFIER = {
    "digits": differences(
        # Targets that are less sharp are unlearnt before they are learnt.
        method={"num_classes": (20, 40, 80), "hidden_dim": 512, "column_temperature": 0.01},
        optimizer=OUR_SGD,
        training={"batch_size": 64},
    ),
    "small": differences(
        method={"num_classes": (50, 100, 200), "hidden_dim": 512, "column_temperature": 0.02},
        augment={"policy": "cifar_symmetric_weak"},
        optimizer=OUR_SGD,
    ),
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "imagenet": differences(
        "the authors' code, scripts/train_800ep.sh",
        "74.2 % linear (Amrani et al., 2022)",
        method={"queue_size": 262144},
        augment={
            "policy": "imagenet_self_classifier",
            "crop_scale": (0.4, 1.0),
            "local_views": 6,
            "local_size": 96,
            "local_scale": (0.05, 0.4),
        },
        # With the authors' batch of 4092 the rates are 0.2, 3.2 and 0.0032.
        optimizer={"variant": "larc", "exclude_1d": False, "learning_rate": 3.2 / 16},
        schedule={
            "warmup_start": 0.2 / 16,
            "warmup_inclusive": True,
            "final_learning_rate": 0.0032 / 16,
        },
        training={"epochs": 800, "batch_size": 4096},
    ),
}
