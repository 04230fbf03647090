"""Recipes of SimSiam."""

from keras_ssl.core.published import Published
from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import LARS_PROBE, mini_imagenet
from keras_ssl.recipes.published import online

# The authors decay everything and leave the predictor's learning rate alone, as solo-learn does.
_SGD = {"name": "sgd", "exclude_1d": False, "constant_lr_layers": ("predictor",)}

_CIFAR = differences(
    "solo-learn, scripts/pretrain/cifar/simsiam.yaml",
    augment={"policy": "cifar_symmetric_weak"},
    optimizer={**_SGD, "learning_rate": 0.5, "weight_decay": 1e-5},
    evaluation=LARS_PROBE,
)


def _printed(value, table):
    return Published(value, f"Chen and He, 2021, table {table}", "lars")


def _run(value, table, **sections):
    return differences(f"Chen and He, 2021, table {table}", _printed(value, table), **sections)


# What is changed in the run on ImageNet.
_RUNS = {
    "decayed_predictor": _run("67.7", 1, optimizer={"constant_lr_layers": ()}),
    "no_predictor": _run("0.1", 1, method={"predictor_kind": "none"}),
    "fixed_predictor": _run("1.5", 1, method={"predictor_kind": "fixed"}),
    **{
        f"batch{size}": _run(value, 2, training={"batch_size": size})
        for size, value in {
            64: "66.1",
            128: "67.3",
            256: "68.1",
            1024: "68.0",
            2048: "67.9",
            4096: "64.0",
        }.items()
    },
    "no_norm": _run("34.6", 3, method={"head_norm": "none"}),
    "hidden_norm": _run("67.4", 3, method={"head_norm": "hidden"}),
    **{
        f"epochs{epochs}": _run(value, 4, training={"epochs": epochs, "batch_size": 256})
        for epochs, value in {200: "70.0", 400: "70.8", 800: "71.3"}.items()
    },
}

# In our own two the predictor learns much faster than the rest: at the same rate only few
# directions of the features grow.
SIMSIAM = {
    "digits": differences(
        method={"projection_dim": 512, "hidden_dim": 512, "prediction_dim": 128, "num_layers": 2},
        optimizer={**_SGD, "learning_rate": 0.5, "constant_lr": 8.0, "weight_decay": 1e-3},
        training={"batch_size": 32},
    ),
    "small": differences(
        method={"projection_dim": 512, "hidden_dim": 512, "prediction_dim": 128, "num_layers": 2},
        optimizer={**_SGD, "learning_rate": 0.6, "constant_lr": 4.8, "weight_decay": 5e-4},
        training={"epochs": 45, "batch_size": 64},
    ),
    "cifar10": _CIFAR.expecting(online("90.51")),
    "cifar100": _CIFAR.expecting(online("66.04")),
    "imagenet": differences(
        "Chen and He, 2021, sec. 3, and the authors' code",
        _printed("68.1", 2),
        backbone={"zero_init_residual": True},
        augment={"policy": "moco_v2"},
        optimizer={**_SGD, "learning_rate": 0.05, "weight_decay": 1e-4},
        schedule={"warmup_epochs": 0, "hold": "epoch"},
        training={"batch_size": 512},
        evaluation=LARS_PROBE,
    ),
    **{f"imagenet/{name}": run for name, run in _RUNS.items()},
    "mini_imagenet": mini_imagenet("58.14"),
}
