"""Image operators on batches: pure, stateless, compilable, one parameter per image."""

from pipelines.ops.blur import gaussian_blur, pil_blur
from pipelines.ops.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    clip,
    color_jitter,
    grayscale,
    luma,
    per_image,
    solarize,
)
from pipelines.ops.crop import CROP_DRAWS, crop_resize, random_boxes, resampling_matrix
from pipelines.ops.pil import pil_hue, quantize

__all__ = [
    "CROP_DRAWS",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "clip",
    "color_jitter",
    "crop_resize",
    "gaussian_blur",
    "grayscale",
    "luma",
    "per_image",
    "pil_blur",
    "pil_hue",
    "quantize",
    "random_boxes",
    "resampling_matrix",
    "solarize",
]
