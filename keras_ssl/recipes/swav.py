"""Recipes of SwAV, and of SwAV with SEM."""

from keras_ssl.core.published import Published
from keras_ssl.recipes.cplearn_runs import resnet8_runs, vit_runs
from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import OUR_SGD, SWAV_IMAGENET, mini_imagenet
from keras_ssl.recipes.published import cplearn, online, sem

_RELEASED = {"queue_size": 3840, "queue_start_epoch": 50, "freeze_epochs": 2}
_CIFAR = differences(
    "solo-learn, scripts/pretrain/cifar/swav.yaml",
    method=_RELEASED,
    augment={"policy": "cifar_symmetric"},
    optimizer={"learning_rate": 0.6, "weight_decay": 1e-6},
)
_SEM_CIFAR = differences(
    "SEM, table 10; optimizer of the authors' launch script",
    neck={"temperature": 0.85, "target_temperature": 1.5},
    optimizer={"exclude_1d": False},
    schedule={"final_learning_rate": 6e-4},
)

_OURS = {"hidden_dim": 512, "queue_start_epoch": 5}

SWAV = {
    "digits": differences(
        # Untrained features say little of which view is of which image: codes that are less sharp
        # than this are unlearnt before they are learnt, and the loss stays at log(num_prototypes).
        method={**_OURS, "num_prototypes": 64, "epsilon": 0.005, "queue_size": 256},
        optimizer=OUR_SGD,
        training={"batch_size": 32},
    ),
    "small": differences(
        method={**_OURS, "num_prototypes": 512, "epsilon": 0.02, "queue_size": 1024},
        augment={"policy": "cifar_symmetric_weak"},
        optimizer=OUR_SGD,
    ),
    "cifar10": _CIFAR.expecting(
        online("89.17"), *cplearn("89.6", "18.9", "CPLearn, table 2", "online")
    ),
    "cifar100": _CIFAR.expecting(sem("64.6±0.3"), online("64.88")),
    "imagenet": differences(
        "the authors' code, scripts/swav_800ep_pretrain.sh",
        Published("75.3", "authors' code, README"),
        augment={
            "policy": "imagenet_symmetric",
            "crop_scale": (0.14, 1.0),
            "interpolation": "bilinear",
            "local_views": 6,
            "local_size": 96,
            "local_scale": (0.05, 0.14),
        },
        **SWAV_IMAGENET,
        training={"epochs": 800, "batch_size": 4096},
    ),
    **{
        f"imagenet/batch256_epochs{epochs}": differences(
            f"the authors' code, scripts/swav_{epochs}ep_bs256_pretrain.sh",
            Published(value, "Caron et al., 2020, table 3"),
            method={"queue_size": 3840},
            optimizer={"learning_rate": 0.6},
            schedule={"warmup_epochs": 0, "final_learning_rate": 6e-4},
            training={"epochs": epochs, "batch_size": 256},
        )
        for epochs, value in {200: "72.7", 400: "74.3"}.items()
    },
    "mini_imagenet": mini_imagenet("42.70"),
    **resnet8_runs(
        "prototypes and queue of solo-learn's script",
        {"svhn": ("45±3", "3±1"), "cifar10": ("56±1", "29±2"), "cifar100": ("10±6", "12±7")},
        lambda width, classes: {
            **_RELEASED,
            "hidden_dim": 2048,
            "num_prototypes": 3000,
            "epsilon": 0.05,
        },
    ),
    **vit_runs(
        "the width is the number of prototypes",
        {
            128: ("76.6", "28.0"),
            1024: ("77.7", "47.9"),
            2048: ("78.0", "51.2"),
            32768: ("76.6", "60.7"),
            65536: ("77.7", "60.5"),
            131072: ("77.3", "62.8"),
        },
        lambda width: {"num_prototypes": width},
        usual=2048,
    ),
}

SEM_SWAV = {
    "cifar10": _SEM_CIFAR,
    "cifar100": _SEM_CIFAR.expecting(sem("67.7±0.2", tau=0.1)),
}
