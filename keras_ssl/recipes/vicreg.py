"""Recipes of VICReg, and of VICReg with SEM."""

from keras_ssl.core.published import Published
from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.published import online, sem

_CIFAR = differences(
    "solo-learn, scripts/pretrain/cifar/vicreg.yaml",
    method={"variance_weight": 50.0},  # its 25 weighs the sum of two views
    augment={"policy": "cifar_vicreg"},
    optimizer={"learning_rate": 0.3, "weight_decay": 1e-4},
)
_SEM_CIFAR = differences("SEM, table 13", neck={"temperature": 1.0})
_PREDICTOR, _NO_COVARIANCE = {"predictor_kind": "mlp"}, {"covariance_weight": 0.0}


def _short(value, table=4, backbone=None, **method):
    return differences(
        f"Bardes et al., 2022, table {table}; rate and batch for 100 epochs of the authors' code, "
        "README",
        Published(value, f"Bardes et al., 2022, table {table}"),
        method=method,
        backbone=backbone or {},
        optimizer={"learning_rate": 0.3},
        schedule={"final_learning_rate": 3e-4},
        training={"epochs": 100, "batch_size": 512},
    )


VICREG = {
    "digits": differences(
        method={"hidden_dim": 512, "projection_dim": 128}, optimizer={"learning_rate": 2e-2}
    ),
    "small": differences(method={"hidden_dim": 512, "projection_dim": 512}),
    "cifar10": _CIFAR.expecting(online("92.07")),
    "cifar100": _CIFAR.expecting(sem("68.5±0.2")),
    "imagenet": differences(
        "Bardes et al., 2022, sec. 4.2, and the authors' code",
        Published("73.2", "Bardes et al., 2022, table 1"),
        method={"hidden_dim": 8192, "projection_dim": 8192},
        backbone={"zero_init_residual": True},
        optimizer={"learning_rate": 0.2},
        schedule={"final_learning_rate": 2e-4},
        training={"epochs": 1000, "batch_size": 2048},
    ),
    "imagenet/epochs100": _short("68.6"),
    "imagenet/variance": _short("57.5", **_NO_COVARIANCE),
    "imagenet/no_norm": _short("67.4", hidden_norm=False),
    "imagenet/no_norm_variance": _short("56.5", hidden_norm=False, **_NO_COVARIANCE),
    "imagenet/predictor": _short("68.7", **_PREDICTOR),
    "imagenet/predictor_variance": _short("57.1", **_PREDICTOR, **_NO_COVARIANCE),
    "imagenet/predictor_no_norm": _short("67.3", **_PREDICTOR, hidden_norm=False),
    "imagenet/predictor_no_norm_variance": _short(
        "56.2", **_PREDICTOR, hidden_norm=False, **_NO_COVARIANCE
    ),
    "imagenet/unshared": _short("66.5", 5, shared="none"),
    "imagenet/unshared_vit_small": _short("66.2", 5, {"second": "vit_small"}, shared="none"),
}

SEM_VICREG = {
    "cifar10": _SEM_CIFAR,
    "cifar100": _SEM_CIFAR.expecting(sem("71.4±0.4", tau=0.1)),
}
