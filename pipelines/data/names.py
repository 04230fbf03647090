"""Names of data sets: refuse at once, without reading anything, what cannot be one."""

import difflib
import os
import re

from keras_ssl.core.constants import DATASET_FORMS, DATASET_PREFIXES
from keras_ssl.core.errors import UserError, did_you_mean
from pipelines.data.shards import find_shards

EMBEDDED = "digits"
# Parts of other sets; the classes of each are in class_lists.
SUBSETS = {"imagenet100": "imagenet2012", "mini_imagenet": "imagenet2012"}
# Images of each class that both parts of a subset take from the split `train` of the set.
PER_CLASS = {"mini_imagenet": {"train": 500, "test": 100}}

OTHER_NAMES = {"svhn": "svhn_cropped", "imagenet": "imagenet2012", "ilsvrc2012": "imagenet2012"}

_WANTED = {"npz": "an .npz file", "folder": "a folder of images"}

# Image sets of TensorFlow Datasets, only to distinguish a misspelt name from an unknown one: close
# relatives must all be here, or the name of one would be taken for a typing error of the other.
TFDS = """
beans bee_dataset bigearthnet binarized_mnist binary_alpha_digits caltech101 caltech_birds2010
caltech_birds2011 cars196 cassava cats_vs_dogs celeb_a celeb_a_hq chexpert cifar10 cifar100
cifar100_n cifar10_1 cifar10_corrupted cifar10_h cifar10_n citrus_leaves cmaterdb
colorectal_histology colorectal_histology_large cycle_gan deep_weeds
diabetic_retinopathy_detection dmlab domainnet dtd emnist eurosat fashion_mnist food101
geirhos_conflict_stimuli horses_or_humans i_naturalist2017 i_naturalist2018 i_naturalist2021
imagenet2012 imagenet2012_corrupted imagenet2012_fewshot imagenet2012_multilabel imagenet2012_real
imagenet2012_subset imagenet_a imagenet_lt imagenet_pi imagenet_r imagenet_resized imagenet_sketch
imagenet_v2 imagenette imagewang kmnist lfw malaria mnist mnist_corrupted moving_mnist omniglot
oxford_flowers102 oxford_iiit_pet patch_camelyon pet_finder places365_small placesfull
plant_leaves plant_village plantae_k quickdraw_bitmap resisc45 rock_paper_scissors siscore
smallnorb so2sat stanford_dogs stanford_online_products stl10 sun397 svhn_cropped tf_flowers
uc_merced visual_domain_decathlon
""".split()  # noqa: SIM905


# Names that stand for the sets of the 15 corruptions of Hendrycks and Dietterich at 5 severities:
# for each corruption what TensorFlow Datasets calls it.
_IMAGENET_C = """
gaussian_noise shot_noise impulse_noise defocus_blur glass_blur motion_blur zoom_blur snow frost fog
brightness contrast elastic_transform pixelate jpeg_compression
""".split()  # noqa: SIM905
COLLECTIONS = {
    "imagenet2012_corrupted/*": {name: name for name in _IMAGENET_C},
    "cifar10_corrupted/*": {name: name for name in _IMAGENET_C}
    | {"glass_blur": "frosted_glass_blur", "elastic_transform": "elastic"},
}
_SEVERITIES = (1, 2, 3, 4, 5)


def members(name):
    """{(corruption, severity): data set} of a name that stands for several; empty for others.

    Example:

    >>> sets = members("cifar10_corrupted/*")
    >>> len(sets), sets["glass_blur", 3]
    (75, 'cifar10_corrupted/frosted_glass_blur_3')
    """
    stem = name.removesuffix("*")
    return {
        (corruption, severity): f"{stem}{own}_{severity}"
        for corruption, own in COLLECTIONS.get(name, {}).items()
        for severity in _SEVERITIES
    }


def is_member(name):
    """Whether a data set is one of those that a name of `COLLECTIONS` stands for.

    Example:

    >>> is_member("cifar10_corrupted/fog_3"), is_member("cifar10")
    (True, False)
    """
    return any(name in members(collection).values() for collection in COLLECTIONS)


def check_name(name):
    """Refuse a name that looks like a misspelt one; leave unknown ones to TensorFlow Datasets.

    Raises:
        UserError: if `name` lacks its path, is a path without its kind, is of an unknown kind, or
            is near a known name.

    Example:

    >>> check_name("digits"), check_name("a_set_of_next_year")
    (None, None)
    """
    if name in DATASET_PREFIXES:
        raise UserError(f"The data set '{name}' lacks the path: write {name}PATH.")
    if name.startswith(DATASET_PREFIXES):
        return
    if name in COLLECTIONS:
        raise UserError(f"'{name}' stands for 75 data sets, which evaluation.shifted takes.")
    whole, mark, feature = name.partition("#")
    kind, _, rest = whole.partition(":")
    stem = kind.split("/")[0]
    if mark and (not feature or stem == EMBEDDED):
        what = "has no other labels" if stem == EMBEDDED else "lacks the feature behind '#'"
        raise UserError(f"The data set '{name}' {what}: write NAME, or NAME#FEATURE.")
    if rest and not re.fullmatch(r"[\d.*]+", rest):  # a TFDS version is digits and dots
        suggestion = did_you_mean(f"{kind}:", DATASET_PREFIXES)
        if stem in TFDS:
            suggestion = f" For a feature as the label write {kind}#{rest}."
        known = ", ".join(DATASET_PREFIXES)
        raise UserError(f"Unknown kind of data '{kind}:'.{suggestion} Known: {known}.")
    if name.endswith("/*"):
        raise UserError(
            f"'{name}' stands for no data sets.{did_you_mean(name, COLLECTIONS)} There are "
            f"{' and '.join(COLLECTIONS)}, for evaluation.shifted."
        )
    if stem in (EMBEDDED, *SUBSETS, *TFDS):
        return
    if name.endswith(".npz") or os.path.exists(name):
        prefix = "folder:" if os.path.isdir(name) else "npz:"
        prefix = "tfrecord:" if ".tfrec" in os.path.basename(name) else prefix
        raise UserError(f"Unknown data set '{name}'. Did you mean '{prefix}{name}'?")
    # Stricter than for other names: the data sets that one could mean are not all known here.
    near = [OTHER_NAMES[stem]] if stem in OTHER_NAMES else []
    known = [EMBEDDED, *SUBSETS, *TFDS, *DATASET_PREFIXES]
    near = near or difflib.get_close_matches(stem, known, 1, 0.75)
    if near or not stem:
        hint = f" Did you mean '{near[0]}'?" if near else ""
        kinds = f"{EMBEDDED}, {', '.join(DATASET_FORMS)}, or a name of TensorFlow Datasets"
        raise UserError(f"Unknown data set '{name}'.{hint} There are {kinds}.")


def check_exists(name):
    """Refuse a path at which there is nothing, before anything slow is imported to read it.

    Raises:
        UserError: if the path of npz:PATH or folder:PATH does not exist, or no file fits the
            pattern of tfrecord:PATTERN.
    """
    kind, _, path = name.partition(":")
    if not name.startswith(DATASET_PREFIXES) or "://" in path:
        return
    if kind == "tfrecord":
        find_shards(os.path.expanduser(path))
    else:
        check_path(kind, os.path.expanduser(path))


def check_path(kind, path):
    """Refuse a path at which there is nothing.

    Args:
        kind: "npz" or "folder".
        path: str.

    Raises:
        UserError: if nothing is there.
    """
    if not os.path.exists(path):
        raise UserError(f"{path} does not exist. Give {_WANTED[kind]}, as {kind}:PATH.")
