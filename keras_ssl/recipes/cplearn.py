"""Recipes of CPLearn.

All have the reverse divergence (`method.divergence`), as the authors' code has throughout. Their
paper prints it for ImageNet-100 (appendix N) and the forward one elsewhere (eq. 2).
"""

from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import CPLEARN_VIEWS, DINO_IMAGENET, cplearn_resnet8

_CIFAR = differences(
    "CPLearn, scripts/pretrain/cifar/cplearn.yaml; its weight decay decoupled; 1e-3 per 256 images "
    "as the launcher scales it, so 2.5e-4, where appendix L prints 1e-3 and a batch of 64",
    augment={"policy": "cifar_asymmetric"},
    optimizer={"name": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-4},
    training={"batch_size": 64},
)


def _resnet8(expected, width, dataset="", **options):
    return differences(
        "CPLearn, tables 5 to 7; every block residual, where table 5 has it for the first; weight "
        "decay of the authors' ResNet-18; reverse divergence of their code, where eq. 2 is "
        "method.divergence=forward",
        expected,
        dataset,
        # Embeddings are as wide as the features (sec. 3); codes by the betas of table 7.
        method={"num_codes": 16384, "hidden_dim": width, "beta": 0.05},
        **cplearn_resnet8(width, **options),
    )


CPLEARN = {
    "digits": differences(
        "our own",
        method={"num_codes": 128, "hidden_dim": 1024, "beta": 0.75},
        augment={"policy": "digits_mild"},
    ),
    "small": differences(
        "our own, with the probabilities of CPLearn, table 6",
        method={"num_codes": 512, "beta": 0.5},
        augment=CPLEARN_VIEWS,
    ),
    "small/svhn": _resnet8(
        "75 % linear (CPLearn, table 1)", 128, "svhn_cropped", epochs=20, flip=0.0
    ),
    "cifar10": _CIFAR.expecting("91.3 % linear (CPLearn, table 2)"),
    "cifar10/complete": differences(
        "CPLearn, appendix L: as many codes as the ResNet-18 has features",
        "91.6 % linear (CPLearn, table 2)",
        method={"num_codes": 512},
    ),
    "cifar10/resnet8": _resnet8("67 % linear (CPLearn, table 1)", 128),
    "cifar100": _CIFAR.expecting("", "in no paper on a ResNet-18: the settings of CIFAR-10"),
    "cifar100/resnet8": _resnet8("40 % linear (CPLearn, table 1)", 256),
    "imagenet": differences(
        "CPLearn, appendices M and N, on ImageNet-100, and the authors' code of DINO, vanilla run; "
        "epochs of table 3, appendix M has 100",
        "78.0 % linear on ImageNet-100 (CPLearn, table 3)",
        "imagenet100",
        **DINO_IMAGENET,
        # Embeddings are as wide as the features of a ViT-S (secs. 3 and 4).
        method={"num_codes": 131072, "hidden_dim": 384, "beta": 0.25},
        augment={"crop_scale": (0.4, 1.0)},
        training={"epochs": 300, "batch_size": 512},
    ),
}
