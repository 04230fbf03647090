"""Names of data sets: which are known, and which recipe fits each."""

import difflib
import os

from keras_ssl.core.checks import UserError

EMBEDDED = "digits"
PREFIXES = ("npz:", "folder:")
DESCRIPTIONS = {
    EMBEDDED: "1,797 handwritten digits of 8x8 pixels, part of scikit-learn",
    "npz:PATH": "a file with the arrays x_train, y_train, x_test, y_test",
    "folder:PATH": "a folder of images; its subfolders, if there are any, are the classes",
    "NAME": "any image set of TensorFlow Datasets, such as cifar10 or stl10",
}

# Image sets of TensorFlow Datasets, only to tell a misspelt name from an unknown one: close
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

_FAMILY_OF = {
    "digits": "digits",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "imagenet2012": "imagenet",
}


def family_of(dataset):
    """The recipe that fits a data set by its name: that of small images where nothing is known.

    Example:

    >>> family_of("cifar10"), family_of("npz:images.npz")
    ('cifar10', 'small')
    """
    return _FAMILY_OF.get(_stem(dataset), "small")


def check_dataset(name):
    """Refuse a name that looks like a misspelt one; leave unknown ones to TensorFlow Datasets.

    Raises:
        UserError: if `name` is empty, is a path without its prefix, or is near a known name.
    """
    prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
    if prefix == name:
        raise UserError(f"The data set '{name}' lacks the path: write {name}PATH.")
    if prefix or _stem(name) in (EMBEDDED, *TFDS):
        return
    if name.endswith(".npz") or os.path.exists(name):
        prefix = "folder:" if os.path.isdir(name) else "npz:"
        raise UserError(f"Unknown data set '{name}'. Did you mean '{prefix}{name}'?")
    # Stricter than for other names: the data sets that one could mean are not all known here.
    known = [EMBEDDED, *TFDS, *(prefix.rstrip(":") for prefix in PREFIXES)]
    near = difflib.get_close_matches(_stem(name), known, 1, 0.75)
    if near or not _stem(name):
        hint = f" Did you mean '{near[0]}'?" if near else ""
        kinds = "digits, npz:PATH, folder:PATH, or a name of TensorFlow Datasets"
        raise UserError(f"Unknown data set '{name}'.{hint} There are {kinds}.")


def _stem(name):
    """`name` without the configuration or version that TensorFlow Datasets allows after it."""
    return name.split("/")[0].split(":")[0]
