"""Recipes of CPLearn.

Its runs on a ResNet-8 (tables 1, 6 and 7: 67 % linear on CIFAR-10) are

    run.py --method=cplearn --dataset=cifar10 --set backbone.name=resnet8 --set backbone.width=128
        --set augment.policy=cifar_symmetric_weak --set augment.jitter_probability=0.1
        --set augment.grayscale=0.1 --set augment.noise=0.03 --set optimizer.learning_rate=4e-4
        --set training.epochs=200 --set method.beta=0.05

where 4e-4 is 1e-4 with a batch of 64, the weight decay is not printed, and CIFAR-100 has
backbone.width=256 (40 % linear). The betas of other dictionary sizes are told with the method.
"""

from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import CPLEARN_VIEWS, DINO_IMAGENET

_CIFAR = differences(
    "CPLearn, scripts/pretrain/cifar/cplearn.yaml; its weight decay decoupled",
    augment={"policy": "cifar_asymmetric"},
    # 1e-3 per 256 images, as the launcher scales it.
    optimizer={"name": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-4},
    training={"batch_size": 64},
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
    "cifar10": _CIFAR.expecting("91.3 % linear (CPLearn, table 2)"),
    "cifar100": _CIFAR.expecting(
        "",
        "in no paper on a ResNet-18: the settings of CIFAR-10; a ResNet-8 has 40 % (CPLearn, "
        "table 1)",
    ),
    "imagenet": differences(
        "CPLearn, appendix M, on ImageNet-100, and the authors' code of DINO, vanilla run; epochs "
        "of table 3, appendix M has 100",
        "78.0 % linear on ImageNet-100 (CPLearn, table 3)",
        **DINO_IMAGENET,
        method={"num_codes": 131072, "beta": 0.25},
        augment={"crop_scale": (0.4, 1.0)},
        training={"epochs": 300, "batch_size": 512},
    ),
}
