"""What is drawn for one view of an image, as plain data."""

import dataclasses
import math
from typing import Literal

from pipelines.errors import DataError

_PROBABILITIES = ("flip", "jitter_probability", "grayscale", "blur", "solarize", "erase")
_PROBABILITIES += ("quarter_turn", "channel_drop", "sobel", "cutout")
_STRENGTHS = ("brightness", "contrast", "saturation", "rotation", "shear", "translate", "noise")
_RANGES = ("crop_scale", "crop_ratio", "blur_sigma", "zoom", "erase_scale")
_CHOICES = {
    "interpolation": ("bilinear", "bicubic"),
    "arithmetic": ("torchvision", "tensorflow", "tensorflow_scaled"),
    "crop_last": (False, True),
}


@dataclasses.dataclass(frozen=True)
class ViewPolicy:
    """How one view is drawn; the operators come in the order of the fields.

    Args:
        crop_scale: share of the area that is cut out; (1, 1) takes the whole image.
        crop_ratio: width : height of the crop, log-uniform.
        interpolation: "bilinear" or "bicubic"; both with antialias.
        crop_last: whether the crop and the flip come after the colours (jitter, grayscale and
            channel_drop), as W-MSE draws them, and not first. Needs images that are not cut yet.
        rotation, shear: largest angles in degrees, either way; 0 leaves them out.
        translate: largest shift, as a share of the side, either way.
        zoom: enlargement of the content. What these four uncover is 0.
        quarter_turn: probability of a turn by 90, 180 or 270 degrees, each as likely.
        jitter_probability: of the colour jitter (the next four, in random order).
        brightness, contrast, saturation: factors are uniform in [max(0, 1 - x), 1 + x].
        hue: shift is uniform in [-x, x] turns; at most 0.5.
        arithmetic: "torchvision" for its blends; "tensorflow" for `tf.image`: contrast about the
            means of the channels, saturation in HSV, brightness a sum with a shift uniform in
            [-x, x], as in BYOL; "tensorflow_scaled" for that with the factor of brightness, as in
            SimCLR's code.
        grayscale: probability; SimCLR calls it colour drop.
        channel_drop: probability of setting two of the three channels to 0, the colour dropping of
            Doersch et al., 2015, without its faint noise.
        blur: probability.
        blur_sigma: in pixels of the view, uniform.
        sobel: probability of showing the steepness of each channel instead, a Sobel filter.
        solarize: probability.
        noise: standard deviation of Gaussian noise, for values in [0, 1].
        cutout: probability of setting a square to 0, placed around any pixel: it may hang over
            the border.
        cutout_size: side of that square, as a share of the view's side.
        erase: probability of setting a random box to 0, all of it in the view.
        erase_scale: share of the area of that box.
        flip: probability of a flip left to right.

    Raises:
        DataError: if a value is out of its range.
    """

    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: str = "bilinear"
    crop_last: bool = False
    rotation: float = 0.0
    shear: float = 0.0
    translate: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    quarter_turn: float = 0.0
    jitter_probability: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.2
    hue: float = 0.1
    arithmetic: Literal["torchvision", "tensorflow", "tensorflow_scaled"] = "torchvision"
    grayscale: float = 0.2
    channel_drop: float = 0.0
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    sobel: float = 0.0
    solarize: float = 0.0
    noise: float = 0.0
    cutout: float = 0.0
    cutout_size: float = 0.5  # DeVries and Taylor, 2017, on CIFAR-10: 16 of 32 pixels
    erase: float = 0.0
    erase_scale: tuple[float, float] = (0.02, 0.33)
    flip: float = 0.5

    def __post_init__(self):
        for name in _RANGES:
            self._require(name, *_check_range(getattr(self, name)))
        for name in _PROBABILITIES:
            self._require(name, _number(getattr(self, name), 1.0), "a probability in [0, 1]")
        for name in _STRENGTHS:
            self._require(name, _number(getattr(self, name)), "a number >= 0")
        self._require("hue", _number(self.hue, 0.5), "a number in [0, 0.5]")
        self._require("shear", self.shear < 90, "an angle below 90 degrees")
        for name in ("crop_scale", "erase_scale"):
            self._require(name, getattr(self, name)[1] <= 1, "a share of the area, at most 1")
        holds = _number(self.cutout_size, 1.0) and self.cutout_size > 0
        self._require("cutout_size", holds, "a share of the side, above 0 and at most 1")
        for name, known in _CHOICES.items():
            words = " or ".join(map(repr, known))
            self._require(name, getattr(self, name) in known, words)

    def _require(self, name, holds, expected):
        if not holds:
            value = getattr(self, name)
            raise DataError(f"Augmentation: {name}={value!r} does not fit; it must be {expected}.")


def _number(value, largest=float("inf")):
    return isinstance(value, (int, float)) and math.isfinite(value) and 0 <= value <= largest


def _check_range(value):
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    holds = pair and all(map(_number, value)) and 0 < value[0] <= value[1]
    return holds, "a pair (smallest, largest) above 0"
