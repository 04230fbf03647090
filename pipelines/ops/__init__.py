"""Image operators on batches: pure, stateless, compilable, one parameter per image."""

from pipelines.ops.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    clip,
    color_jitter,
    grayscale,
    if_drawn,
    keep_channel,
    luma,
    per_image,
    solarize,
    tf_color_jitter,
)
from pipelines.ops.crop import CROP_DRAWS, crop_resize, random_boxes, resampling_matrix
from pipelines.ops.filters import extended_box_blur, sobel
from pipelines.ops.warp import affine, affine_matrix, cutout_boxes, erase, quarter_turns

__all__ = [
    "CROP_DRAWS",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "affine",
    "affine_matrix",
    "clip",
    "color_jitter",
    "crop_resize",
    "cutout_boxes",
    "erase",
    "extended_box_blur",
    "grayscale",
    "if_drawn",
    "keep_channel",
    "luma",
    "per_image",
    "quarter_turns",
    "random_boxes",
    "resampling_matrix",
    "sobel",
    "solarize",
    "tf_color_jitter",
]
