"""Recipes of SimMER."""

from keras_ssl.recipes.differences import differences

_TRAINING = {
    "optimizer": {"name": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-6},
    "schedule": {"warmup_epochs": 0},
    "training": {"epochs": 800, "batch_size": 512},
}
_CIFAR = differences(
    "SimMER, sec. 3.1, with decoupled weight decay; a projector without the batch normalization "
    "that ends SimSiam's, of two readings (method.output_norm)",
    method={"num_layers": 2},
    backbone={"stem_padding": 1},
    augment={"policy": "simsiam_cifar", "num_views": 4},
    **_TRAINING,
)
# Of the size of the total variance at the start. With the paper's weights it first shrinks all
# representations together, and a short run ends before they have spread again.
_SMALL = {
    "alpha_entropy": 30.0,
    "alpha_rank": 2e-2,
    "hidden_dim": 512,
    "projection_dim": 256,
    "num_layers": 2,
}

SIMMER = {
    "digits": differences(method=_SMALL, optimizer={"learning_rate": 8e-3}),
    "small": differences(method=_SMALL),
    "cifar10": _CIFAR.expecting("92.44 % linear (SimMER, table 4)"),
    "cifar10/views10": differences(
        expected="92.61 % linear (SimMER, table 4)", augment={"num_views": 10}
    ),
    "cifar100": _CIFAR.expecting("", "in no paper: the settings of CIFAR-10 (SimMER, sec. 3.1)"),
    "imagenet": differences(
        "SimMER, secs. 3.1 to 3.3, on Mini-ImageNet, whose images have 84 pixels, with decoupled "
        "weight decay; a projector as on CIFAR-10",
        "62.62 % linear on Mini-ImageNet (SimMER, table 2)",
        "Mini-ImageNet",
        data={"image_size": 84},
        augment={"policy": "moco_v2", "num_views": 4},
        **_TRAINING,
    ),
}
