"""Recipes of GEDI without its generative term."""

from dataclasses import replace

from keras_ssl.recipes.cplearn_runs import ADAM, IMAGENET100, resnet8_runs, vit_runs
from keras_ssl.recipes.differences import differences
from keras_ssl.recipes.families import ADAM_PROBE
from keras_ssl.recipes.published import cplearn

# CPLearn, scripts/pretrain/cifar/gedi_nogen.yaml.
RELEASED = {"hidden_dim": 2048, "temperature": 0.1, "beta": 0.1}

# The file has 2048 clusters, LARS and batches of 256. A state of 47 MB leaves room for about ten
# clusters, and a checkpoint of 140 MB has the two moments of Adam (CPLearn, table 8).
_CIFAR = differences(
    "CPLearn, scripts/pretrain/cifar/gedi_nogen.yaml, with the ten clusters and the optimizer of "
    "two moments that the sizes in its table 8 imply: Adam as appendix L has it, 1e-3 per 256 "
    "images as for cplearn",
    method={"num_clusters": 10},
    augment={"policy": "cifar_asymmetric"},
    optimizer={**ADAM, "learning_rate": 1e-3},
    training={"batch_size": 64},
    evaluation=ADAM_PROBE,
)

# Few clusters: a batch has to use all of them equally, so it needs some images of each.
_OURS = {"hidden_dim": 512, "num_clusters": 10, "temperature": 1.0, "beta": 5.0}

GEDI_NOGEN = {
    "digits": differences(
        "our own",
        method=_OURS,
        augment={"policy": "digits_mild"},
    ),
    "small": differences("our own", method=_OURS),
    "cifar10": _CIFAR.expecting(*cplearn("80.0", "44.6", "CPLearn, table 2", "online")),
    "cifar100": replace(
        _CIFAR,
        settings={**_CIFAR.settings, "method.num_clusters": 100},
        source="in no paper on a ResNet-18: the settings of CIFAR-10, a cluster for each class",
    ),
    "imagenet": differences("in no paper: the settings of ImageNet-100", **IMAGENET100),
    **resnet8_runs(
        "a cluster for each class, weights of the run on a ResNet-18",
        {"svhn": ("63±2", "7±2"), "cifar10": ("66±1", "33±2"), "cifar100": ("39±0", "28±0")},
        lambda width, classes: {**RELEASED, "num_clusters": classes},
    ),
    **vit_runs(
        "weight and temperature as on CIFAR-10; the width is the number of clusters",
        {
            128: ("71.8", "24.5"),
            1024: ("73.2", "36.3"),
            2048: ("72.8", "38.8"),
            32768: ("72.9", "32.7"),
            65536: ("72.7", "32.9"),
            131072: ("72.8", "33.3"),
        },
        lambda width: {"num_clusters": width},
        usual=2048,
    ),
}
