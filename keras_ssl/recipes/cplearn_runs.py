"""The runs of CPLearn's paper, which several methods have: tables 1 (ResNet-8) and 3 (ViT-S)."""

from collections.abc import Callable, Mapping

from keras_ssl.recipes.differences import Differences, differences
from keras_ssl.recipes.families import ADAM_PROBE
from keras_ssl.recipes.published import cplearn

VIEWS = {"jitter_probability": 0.1, "grayscale": 0.1, "noise": 0.03}  # table 6

# Section 4 and tables 1 and 6: {data: (the recipe's name, width f, classes k, sections)}.
_LONG, _SHORT = {"training": {"epochs": 200}}, {"training": {"epochs": 20}}
_RESNET8 = {
    "svhn": ("svhn", 128, 10, {"augment": {"flip": 0.0}, **_SHORT}),
    "cifar10": ("cifar10/resnet8", 128, 10, _LONG),
    "cifar100": ("cifar100/resnet8", 256, 100, _LONG),
}
# The authors' Adam, with its penalty on all weights. Table 6 prints none: it is that of their
# ResNet-18.
ADAM = {"name": "adam", "exclude_1d": False, "weight_decay": 1e-4}


def resnet8_runs(
    note: str,
    rows: Mapping[str, tuple[str, str]],
    method: Callable[[int, int], dict],
    *,
    suffix: str | Callable[[int, int], str] = "",
    place: str = "CPLearn, table 1",
) -> dict[str, Differences]:
    """The runs of a row of table 1: {recipe: Differences}.

    Args:
        note: what the tables leave open, in words.
        rows: {"svhn", "cifar10" or "cifar100": (accuracy, NMI)} in percent, as printed.
        method: function of (width of the network, number of classes) -> settings of the method.
        suffix: end of the names, or function of the same.
        place: where the results are printed.

    Example:

    >>> runs = resnet8_runs("", {"svhn": ("76±1", "6±2")}, lambda width, classes: {})
    >>> [*runs], runs["svhn"].settings["training.epochs"]
    (['svhn'], 20)
    """
    runs = {}
    for data, (accuracy, nmi) in rows.items():
        name, width, classes, sections = _RESNET8[data]
        end = suffix if isinstance(suffix, str) else suffix(width, classes)
        if end:
            name += f"{'_' if '/' in name else '/'}{end}"
        runs[name] = differences(
            f"{place.replace('table', 'tables')}, 5 and 6; {note}; every block residual, where "
            "table 5 has it for the first",
            *cplearn(accuracy, nmi, place),
            method=method(width, classes),
            backbone={"name": "resnet8", "width": width},
            augment={"policy": "cifar_symmetric_weak", **VIEWS, **sections.get("augment", {})},
            optimizer={**ADAM, "learning_rate": 4e-4},  # 1e-4 at a batch of 64
            training={"batch_size": 64, **sections["training"]},
            evaluation=ADAM_PROBE,
        )
    return runs


# A ViT-S in the repository of DINO; with a batch of 512 the last learning rate is 1e-6.
DINO_IMAGENET = {
    "backbone": {"name": "vit_small"},
    "optimizer": {"name": "adamw", "learning_rate": 5e-4, "weight_decay": 0.04, "clipnorm": 3.0},
    "schedule": {
        "warmup_inclusive": True,
        "final_learning_rate": 5e-7,
        "final_weight_decay": 0.4,
    },
}
IMAGENET100 = {
    **DINO_IMAGENET,
    "augment": {
        "policy": "imagenet_asymmetric",
        "crop_scale": (0.4, 1.0),
        "local_views": 0,
    },
    "training": {"epochs": 300, "batch_size": 512},
}


def vit_runs(
    note: str,
    rows: Mapping[int, tuple[str, str]],
    method: Callable[[int], dict],
    *,
    usual: int,
    sections: Mapping[str, dict] = IMAGENET100,
) -> dict[str, Differences]:
    """The runs of a row of table 3: {recipe: Differences}, one for each width of the projector.

    Args:
        note: what appendix M leaves open, in words.
        rows: {width: (accuracy, NMI)} in percent, as printed.
        method: function of the width -> settings of the method.
        usual: the width that the recipe for the data set has.
        sections: all other settings.

    Example:

    >>> rows = {128: ("66.9", "30.0"), 2048: ("77.2", "59.4")}
    >>> [*vit_runs("", rows, lambda width: {"projection_dim": width}, usual=2048)]
    ['imagenet100', 'imagenet100/128']
    """
    place = "CPLearn, table 3"
    runs = {
        "imagenet100" if width == usual else f"imagenet100/{width}": differences(
            f"{place} and appendix M, whose 100 epochs are 300 in the table; the rest of the "
            f"authors' code of DINO, vanilla run; {note}",
            *cplearn(accuracy, nmi, place),
            method=method(width),
            evaluation={"probe": "adam", "probe_views": "augmented"},  # as in DINO's code
            **sections,
        )
        for width, (accuracy, nmi) in rows.items()
    }
    return {"imagenet100": runs.pop("imagenet100"), **runs}
