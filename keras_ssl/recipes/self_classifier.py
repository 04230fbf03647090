"""Recipes of Self-Classifier, whose final version has none for CIFAR."""

from keras_ssl.core.published import Published
from keras_ssl.recipes.cplearn_runs import ADAM, resnet8_runs
from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import ADAM_PROBE, OUR_SGD
from keras_ssl.recipes.published import cplearn

# CPLearn trains its network on one list of classes, of which the states in its table 8 have no
# moments: they were random codes that do not learn, as its own.
_CPLEARN = "classes that learn, where the sizes in CPLearn's table 8 imply fixed random codes"


def _of_cplearn(num_classes):
    return {"num_classes": (num_classes,), "hidden_dim": 2048, "column_temperature": 0.05}


def _resnet18(num_classes, *results):
    return differences(
        f"CPLearn, table 2 and appendix L, 1e-3 per 256 images as for cplearn; {_CPLEARN}",
        *results,
        method=_of_cplearn(num_classes),
        augment={"policy": "cifar_asymmetric"},
        optimizer={**ADAM, "learning_rate": 1e-3},
        training={"batch_size": 64},
        evaluation=ADAM_PROBE,
    )


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
    "cifar10/classes512": _resnet18(512, *cplearn("84.8", "36.9", "CPLearn, table 2", "online")),
    "cifar10/classes16384": _resnet18(
        16384, *cplearn("64.9", "33.9", "CPLearn, table 2", "online")
    ),
    "cifar100": _CIFAR,
    "imagenet": differences(
        "the authors' code, scripts/train_800ep.sh",
        Published("74.2", "Amrani et al., 2022"),
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
    **resnet8_runs(
        f"a class for each of the data's; {_CPLEARN}",
        {"svhn": ("58±1", "7±2"), "cifar10": ("59±1", "28±1"), "cifar100": ("15±0", "26±0")},
        lambda width, classes: _of_cplearn(classes),
    ),
    **resnet8_runs(
        _CPLEARN,
        {"svhn": ("70±1", "25±1"), "cifar10": ("34±18", "14±10"), "cifar100": ("16±0", "17±21")},
        lambda width, classes: _of_cplearn(16384),
        suffix="classes16384",
    ),
}
