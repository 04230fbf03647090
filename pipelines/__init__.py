"""Images for self-supervised learning: loaded, turned into views, preprocessed for evaluation.

Each name below is imported when it is first asked for: `import pipelines` alone loads no
TensorFlow, so that a program can read the command line first, and answer a mistake in it at once.
"""

import importlib

_HOMES = {
    "EncodedImages": "pipelines.data.encoded",
    "ImageData": "pipelines.data.image_data",
    "POLICIES": "pipelines.views.policies",
    "ViewPolicy": "pipelines.views.policy",
    "as_images": "pipelines.data.image_array",
    "channel_statistics": "pipelines.preprocessing",
    "corrupt": "pipelines.corruptions",
    "device_views": "pipelines.views.stream",
    "load": "pipelines.data.load",
    "load_test_part": "pipelines.data.load",
    "make_augment": "pipelines.views.augment",
    "make_preprocess": "pipelines.preprocessing",
    "normalization": "pipelines.preprocessing",
    "policy_for": "pipelines.views.policies",
    "resize_to_square": "pipelines.images.resizing",
    "steps_per_epoch": "pipelines.views.stream",
    "train_views": "pipelines.views.stream",
}
__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
    return sorted([*globals(), *_HOMES])
