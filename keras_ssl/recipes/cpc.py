"""Recipes of CPC."""

from keras_ssl.recipes.differences import differences

_VIEW = {"policy": "cpc", "num_views": 1}
_OURS = {"patch_size": 8, "num_steps": 2, "context_dim": 128, "context_blocks": 2}
_CIFAR = differences(
    "our own: the paper has no result on small images",
    augment=_VIEW,
    optimizer={"name": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-4},
)

CPC = {
    "digits": differences(
        "our own", method=_OURS, augment={"num_views": 1}, optimizer={"learning_rate": 4e-3}
    ),
    "small": differences(
        "our own", method={**_OURS, "patch_size": 16}, augment=_VIEW, training={"batch_size": 128}
    ),
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "imagenet": differences(
        "van den Oord et al., 2018, sec. 3.3, whose 48.7 % are of a ResNet-v2-101 on gray patches",
        data={"image_size": 256},
        augment=_VIEW,
        # 2e-4 at 32 batches of 16.
        optimizer={"name": "adamw", "learning_rate": 1e-4},
        training={"batch_size": 512},
    ),
}
