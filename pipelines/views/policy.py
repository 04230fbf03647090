"""What is drawn for one view of an image, as plain data."""

from dataclasses import dataclass
from typing import Annotated, Literal

from keras_ssl.core.bounds import (
    Above,
    Ascending,
    Between,
    Checked,
    PositiveShare,
    Share,
    ShareRange,
)

Strength = Annotated[float, Between(0, 10)]
Ratio = Annotated[float, Between(0.01, 100)]
RatioRange = Annotated[tuple[Ratio, Ratio], Ascending()]
BlurWidth = Annotated[float, Above(0, 100)]


@dataclass(frozen=True)
class ViewPolicy(Checked):
    """How one view is drawn; the operators come in the order of the fields.

    Args:
        crop_scale: share of the area that is cut out; (1, 1) takes the whole image, with
            crop_ratio (1, 1) the middle square of it.
        crop_ratio: width : height of the crop, log-uniform.
        interpolation: "bilinear" or "bicubic"; both with antialias.
        crop_last: whether the crop and the flip come after the colors (jitter, grayscale and
            channel_drop), as W-MSE draws them, and not first. Needs images that are not cut yet.
        rotation, shear: largest angles in degrees, either way; 0 for none.
        translate: largest shift, as a share of the side, either way.
        zoom: enlargement of the content. What these four uncover is 0.
        quarter_turn: probability of a turn by 90, 180 or 270 degrees, each as likely.
        jitter_probability: of the color jitter (the next four, in random order).
        brightness, contrast, saturation: factors are uniform in [max(0, 1 - x), 1 + x].
        hue: shift is uniform in [-x, x] turns; at most 0.5.
        arithmetic: "torchvision" for its blends; "tensorflow" for `tf.image`: contrast about the
            means of the channels, saturation in HSV, brightness a sum with a shift uniform in
            [-x, x], as in BYOL; "tensorflow_scaled" for that with the factor of brightness, as in
            SimCLR's code.
        grayscale: probability; SimCLR calls it color drop.
        channel_drop: probability of setting two of the three channels to 0, the color dropping of
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
        UserError: if a value is out of its range.

    Example:

    >>> ViewPolicy(crop_scale=[0.2, 1.0]).crop_scale  # as JSON has it
    (0.2, 1.0)
    """

    crop_scale: ShareRange = (0.08, 1.0)
    crop_ratio: RatioRange = (3 / 4, 4 / 3)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    crop_last: bool = False
    rotation: Annotated[float, Between(0, 180)] = 0.0
    shear: Annotated[float, Between(0, 89)] = 0.0
    translate: Share = 0.0
    zoom: RatioRange = (1.0, 1.0)
    quarter_turn: Share = 0.0
    jitter_probability: Share = 0.8
    brightness: Strength = 0.4
    contrast: Strength = 0.4
    saturation: Strength = 0.2
    hue: Annotated[float, Between(0, 0.5)] = 0.1
    arithmetic: Literal["torchvision", "tensorflow", "tensorflow_scaled"] = "torchvision"
    grayscale: Share = 0.2
    channel_drop: Share = 0.0
    blur: Share = 0.0
    blur_sigma: Annotated[tuple[BlurWidth, BlurWidth], Ascending()] = (0.1, 2.0)
    sobel: Share = 0.0
    solarize: Share = 0.0
    noise: Strength = 0.0
    cutout: Share = 0.0
    cutout_size: PositiveShare = 0.5  # DeVries and Taylor, 2017, on CIFAR-10: 16 of 32 pixels
    erase: Share = 0.0
    erase_scale: ShareRange = (0.02, 0.33)
    flip: Share = 0.5

    def __post_init__(self):
        for name, value in list(vars(self).items()):
            if isinstance(value, list):  # policies are keys of a cache: they have to be hashable
                object.__setattr__(self, name, tuple(value))
