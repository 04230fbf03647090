"""Augmentation policies: what is drawn for each view of the methods, and where it comes from."""

import dataclasses
import itertools

from keras_ssl.core.bounds import NumViews, check
from keras_ssl.core.errors import UserError, did_you_mean
from pipelines.views.policy import ViewPolicy

# What differs between two people's digits: turns, leans, shifts and sizes of the hand, pressure and
# width of the pen. No flip, which would make other characters. Chosen by the accuracy with 10
# labels per class at seed 0.
_DIGITS = ViewPolicy(
    crop_scale=(0.5, 1.0),
    rotation=15.0,
    shear=15.0,
    translate=0.1,
    zoom=(0.8, 1.2),
    jitter_probability=0.8,
    brightness=0.6,
    contrast=0.6,
    saturation=0.0,
    hue=0.0,
    grayscale=0.0,
    blur=0.5,
    blur_sigma=(0.3, 1.0),
    flip=0.0,
)

# For methods that do not learn from views that differ much (CPLearn, GEDI).
_DIGITS_MILD = dataclasses.replace(
    _DIGITS,
    crop_scale=(0.9, 1.0),
    rotation=5.0,
    shear=5.0,
    translate=0.03,
    zoom=(0.95, 1.05),
    blur=0.0,
)

# SEM's scripts (simplicial-embeddings, CIFAR), which are solo-learn's: bicubic crops, no blur.
_CIFAR = ViewPolicy(interpolation="bicubic", brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2)
_CIFAR_WEAK = dataclasses.replace(_CIFAR, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
_CIFAR_ASYMMETRIC = dataclasses.replace(_CIFAR_WEAK, saturation=0.2)

# solo-learn's CIFAR runs of VICReg and W-MSE.
_CIFAR_VICREG = dataclasses.replace(_CIFAR_ASYMMETRIC, crop_scale=(0.2, 1.0), solarize=0.1)
_CIFAR_WMSE = dataclasses.replace(_CIFAR, crop_scale=(0.2, 1.0))

# BYOL, appendix B (blur 1.0 and 0.1, solarize 0 and 0.2), with solo-learn's arithmetic.
_IMAGENET_ASYMMETRIC = dataclasses.replace(_CIFAR_ASYMMETRIC, blur=1.0)

# SimSiam, appendix A and D: its ImageNet policy without the blur. SimMER, sec. 3.1, takes it over.
_SIMSIAM_CIFAR = ViewPolicy(crop_scale=(0.2, 1.0), saturation=0.4)

# MoCo v2's repository (--aug-plus), which SimSiam takes over for ImageNet.
_MOCO_V2 = dataclasses.replace(_SIMSIAM_CIFAR, blur=0.5)

# W-MSE's repository on CIFAR: the colors of the whole image come before the crop.
_WMSE = ViewPolicy(
    crop_scale=(0.2, 1.0),
    interpolation="bicubic",
    crop_last=True,
    saturation=0.4,
    grayscale=0.1,
)

# Google's repository of SimCLR: colors of strength 1 and blur for ImageNet, 0.5 and none on CIFAR.
_SIMCLR = dataclasses.replace(_CIFAR, arithmetic="tensorflow_scaled", blur=0.5)
_SIMCLR_CIFAR = dataclasses.replace(_CIFAR_WEAK, arithmetic="tensorflow_scaled")

# DeepMind's repository of BYOL.
_BYOL = dataclasses.replace(_IMAGENET_ASYMMETRIC, arithmetic="tensorflow")

# Cosentino et al., table 2, whose colors have SimCLR's strength s.
_GEOMETRY = dataclasses.replace(_CIFAR_WEAK, interpolation="bilinear")
_GEOMETRY_MODERATE = dataclasses.replace(
    _GEOMETRY, crop_scale=(0.5, 1.0), brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05
)
_GEOMETRY_SMALL = dataclasses.replace(
    _GEOMETRY,
    crop_scale=(0.9, 1.0),
    brightness=0.04,
    contrast=0.04,
    saturation=0.04,
    hue=0.01,
    flip=0.0,
)

# CPC, sec. 3.3: crops of 256 from 300 pixels, flips. There all images are gray, so that color does
# not tell which patches belong together; here half are, for encoders that are used on colors.
_CPC = ViewPolicy(crop_scale=(0.73, 1.0), jitter_probability=0.0, grayscale=0.5)

# Gray images of 28 pixels (Fashion-MNIST): the crop and jitter of SimSiam that one channel has.
_GRAY = ViewPolicy(crop_scale=(0.2, 1.0), saturation=0.0, hue=0.0, grayscale=0.0)

# One operator alone, for the ablation of SimCLR, sec. 3; strengths of appendix A where it has them.
_NOTHING = ViewPolicy(crop_scale=(1.0, 1.0), jitter_probability=0.0, grayscale=0.0, flip=0.0)
_STRONG = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2}
_ONLY = {
    "crop": {"crop_scale": (0.08, 1.0)},
    "crop_flip": {"crop_scale": (0.08, 1.0), "flip": 0.5},
    "color_drop": {"grayscale": 0.5},
    "color_jitter": {"jitter_probability": 0.8, **_STRONG},
    "rotate": {"quarter_turn": 0.75},
    "cutout": {"cutout": 1.0},
    "noise": {"noise": 0.1},
    "blur": {"blur": 0.5},
    "sobel": {"sobel": 0.5},
}


def _both(view):
    return (view, view)


POLICIES = {
    "digits": _both(_DIGITS),
    "digits_mild": _both(_DIGITS_MILD),
    "cifar_symmetric": _both(_CIFAR),
    "cifar_symmetric_weak": _both(_CIFAR_WEAK),
    "cifar_asymmetric": (_CIFAR_ASYMMETRIC, dataclasses.replace(_CIFAR_ASYMMETRIC, solarize=0.2)),
    "cifar_vicreg": _both(_CIFAR_VICREG),
    "cifar_wmse": _both(_CIFAR_WMSE),
    "imagenet_symmetric": _both(dataclasses.replace(_CIFAR, blur=0.5)),
    "imagenet_asymmetric": (
        _IMAGENET_ASYMMETRIC,
        dataclasses.replace(_IMAGENET_ASYMMETRIC, blur=0.1, solarize=0.2),
    ),
    # The small crops of DINO's code, between its two views.
    "imagenet_local": _both(dataclasses.replace(_IMAGENET_ASYMMETRIC, blur=0.5)),
    "imagenet_self_classifier": (  # the authors' code: one view has the blur and the solarization
        dataclasses.replace(_IMAGENET_ASYMMETRIC, blur=0.1),
        dataclasses.replace(_IMAGENET_ASYMMETRIC, solarize=0.2),
    ),
    "simsiam_cifar": _both(_SIMSIAM_CIFAR),
    "moco_v2": _both(_MOCO_V2),
    "wmse": _both(_WMSE),
    "simclr_cifar": _both(_SIMCLR_CIFAR),
    "imagenet_simclr": _both(_SIMCLR),
    "imagenet_byol": (_BYOL, dataclasses.replace(_BYOL, blur=0.1, solarize=0.2)),
    "geometry_small": _both(_GEOMETRY_SMALL),
    "geometry_moderate": _both(_GEOMETRY_MODERATE),
    "geometry_large": _both(_GEOMETRY),
    "cpc": _both(_CPC),
    "gray": _both(_GRAY),
    **{f"only_{name}": _both(dataclasses.replace(_NOTHING, **_ONLY[name])) for name in _ONLY},
}


def policy_for(name: str, num_views: int = 2, **overrides) -> tuple[ViewPolicy, ...]:
    """The policies of `num_views` views: those of the named pair in turn, with changes to all.

    Args:
        name: a key of `POLICIES`.
        num_views: number of views, 1 to 100.
        **overrides: fields of `ViewPolicy` to set in every view.

    Raises:
        UserError: if the name or a field is unknown.
        UserError: if a value is out of its range.

    Example:

    >>> [view.solarize for view in policy_for("cifar_asymmetric", blur=0.5)]
    [0.0, 0.2]
    """
    if name not in POLICIES:
        suggestion = did_you_mean(name, POLICIES)
        known = ", ".join(POLICIES)
        raise UserError(f"Unknown augmentation policy '{name}'.{suggestion} Known: {known}.")
    check(num_views, NumViews, "num_views")
    fields = [field.name for field in dataclasses.fields(ViewPolicy)]
    for key in overrides:
        if key not in fields:
            suggestion = did_you_mean(key, fields)
            raise UserError(
                f"Augmentation has no '{key}'.{suggestion} It has: {', '.join(fields)}."
            )
    views = itertools.islice(itertools.cycle(POLICIES[name]), num_views)
    return tuple(dataclasses.replace(view, **overrides) for view in views)
