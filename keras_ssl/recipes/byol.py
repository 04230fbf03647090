"""Recipes of BYOL, and of BYOL with SEM."""

from keras_ssl.core.constants import CODEBOOK_SIZE, GUMBEL_TEMPERATURE, NUM_CODEBOOKS
from keras_ssl.core.published import Published
from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import mini_imagenet
from keras_ssl.recipes.published import online, sem

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
    "finetune": {"protocol": "sem_semi"},  # appendix B.6; sem_transfer on other data: B.5
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
_TABLE_3 = ("imagenet_v2", "imagenet_r", "imagenet2012_corrupted/*", "imagenet_a")
_TABLE_5 = ("imagenet2012_subset/1pct", "imagenet2012_subset/10pct")
_TABLE_4 = ("food101", "cifar10", "cifar100", "sun397", "dtd", "oxford_flowers102")

# Of SEM's appendices B.5 and B.6, what tells their fine-tuning from other kinds.
_B5 = {"share": 1.0, "steps": 20_000, "batch_size": 256}
_B6 = {"share": 1.0, "batch_size": 224}


def _on_imagenet(linear, shifted, transfer, finetuned, top1, top5, readout=""):
    """What SEM's tables 3 to 5 print of a run; the simplices have another tau_d in each."""
    zero, one = ({"tau": tau} if readout else {} for tau in (0.0, 1.0))
    probe = {"task": "sem_sgd_imagenet", "readout": readout}
    return (
        sem(linear, "SEM, table 3", **probe),
        *(
            sem(value, "SEM, table 3", task="shifted probe", readout=readout, dataset=dataset)
            for dataset, value in zip(_TABLE_3, shifted.split(), strict=True)
        ),
        *(
            Published(value, "SEM, table 4", task, dataset=dataset, **how)
            for task, values, how in (
                ("transfer", transfer, zero),
                ("finetune", finetuned, {**one, "protocol": _B5}),
            )
            for dataset, value in zip(_TABLE_4, values.split(), strict=True)
        ),
        *(
            Published(
                *(value, "SEM, table 5", "finetune", metric, readout),
                dataset=dataset,
                protocol=_B6,
            )
            for metric, values in (("accuracy", top1), ("top5", top5))
            for dataset, value in zip(_TABLE_5, values.split(), strict=True)
        ),
    )


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
    "cifar10": _CIFAR.expecting(online("92.58")),
    "cifar100": _CIFAR.expecting(sem("70.7±0.2")),
    "cifar100/resnet50": differences("SEM, table 6", sem("74.3", "SEM, table 17"), **_RESNET50),
    "imagenet": differences(
        "solo-learn, scripts/pretrain/imagenet/byol.yaml",
        Published("68.37", "solo-learn, README"),
        method={"momentum": 0.99},
        optimizer={"learning_rate": 0.45},
        schedule={"warmup_start": 3e-5, "warmup_inclusive": True},
        training={"batch_size": 128, "accumulate": 16},
    ),
    "imagenet/sem_baseline": differences(
        "SEM, table 16; accumulation from the authors' launch script",
        *_on_imagenet(
            "71.9",
            "59.2 18.8 39.5 1.65",
            "74.2 91.8 74.9 60.9 72.2 88.9",
            "83.1 97.2 83.6 59.1 69.2 85.4",
            top1="51.6 67.5",
            top5="78.0 88.9",
        ),
        **_SEM_IMAGENET,
    ),
    "mini_imagenet": mini_imagenet("59.46"),
}

SEM_BYOL = {
    "small": differences(optimizer={"exclude_1d": False}),
    "cifar100": differences(
        "SEM, table 9",
        sem("73.9±0.2", tau=0.1),
        sem("73.2", "SEM, table 2", tau=0.0),
    ),
    "cifar100/gumbel": differences(
        "SEM, table 9 and sec. 4.1",
        sem("48.6", "SEM, table 2", readout="gumbel"),
        neck={"kind": "gumbel", "temperature": GUMBEL_TEMPERATURE},
    ),
    "cifar100/vq": differences(
        "SEM, table 9 and sec. 4.1",
        sem("65.6", "SEM, table 2", readout="vq"),
        neck={"kind": "vq", "num_simplices": NUM_CODEBOOKS, "simplex_size": CODEBOOK_SIZE},
    ),
    "cifar100/blocks8": differences(
        "SEM, tables 9 and 17, which prints no tau_d",
        sem("73.3", "SEM, table 17", readout="simplices"),
        neck={"num_blocks": 8},
    ),
    "cifar100/no_decay": differences(
        "SEM, tables 9 and 18",
        sem("68.3", "SEM, table 18", tau=0.1),
        optimizer={"weight_decay": 0.0},
    ),
    "cifar100/no_norm": differences(
        "SEM, tables 9 and 18",
        sem("57.9", "SEM, table 18", tau=0.1),
        neck={"embedder_norm": False},
    ),
    "cifar100/no_norm_no_decay": differences(
        "SEM, tables 9 and 18",
        sem("67.2", "SEM, table 18", tau=0.1),
        neck={"embedder_norm": False},
        optimizer={"weight_decay": 0.0},
    ),
    "cifar100/resnet50": differences(
        "SEM, table 14",
        sem("77.4", "SEM, table 17", readout="simplices"),
        sem("77.3", "SEM, table 20", tau=0.1),
        **_RESNET50,
    ),
    "cifar100/resnet50_blocks8": differences(
        "SEM, tables 6, 14 and 17, which prints no tau_d",
        sem("76.6", "SEM, table 17", readout="simplices"),
        neck={"num_blocks": 8},
        **_RESNET50,
    ),
    "cifar100/resnet50_embed": differences(
        "SEM, tables 6 and 20",
        sem("74.2", "SEM, table 20"),
        sem("69.8", "SEM, table 20", readout="embed"),
        sem("72.3", "SEM, table 20", tau=0.1),
        neck={"kind": "embed"},
        **_RESNET50,
    ),
    "imagenet": differences(
        "SEM, tables 15 and 16; accumulation from the authors' launch script",
        *_on_imagenet(
            "74.1",
            "61.2 22.1 43.4 2.53",
            "74.7 93.5 78.6 62.1 71.9 91.5",
            "84.7 97.2 85.6 63.3 71.3 91.7",
            top1="56.7 69.9",
            top5="81.0 90.0",
            readout="simplices",
        ),
        neck={"temperature": 0.16, "target_temperature": 0.04},
        **_SEM_IMAGENET,
    ),
}
