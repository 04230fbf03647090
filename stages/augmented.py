"""Features of augmented train images, drawn anew for each epoch of a linear probe."""

import functools

import keras
import numpy as np
from keras import ops

from keras_ssl.core.detection import detect
from keras_ssl.core.hardware import place_of_views
from keras_ssl.evaluation.feature_cache import scratch_array
from keras_ssl.evaluation.representation import FeatureExtractor
from keras_ssl.evaluation.rows import in_memory
from pipelines.data.image_array import as_images
from pipelines.views.policy import ViewPolicy
from pipelines.views.stream import device_views, raw_batches

# The crop and the flip that the code of Simplicial Embeddings trains its linear probes on.
PROBE_VIEW = ViewPolicy(
    crop_scale=(0.08, 1.0),
    interpolation="bicubic",
    jitter_probability=0.0,
    grayscale=0.0,
    flip=0.5,
)


def augmented_features(encoder, inputs, *, policy=PROBE_VIEW, batch_size=256, memory=float("inf")):
    """The `views` of `probe_grid`: a function from epoch and seed to features of augmented images.

    Each epoch shows every train image once, in batches drawn like those of `train_views`, and the
    features lie in the order of the images. The views follow from the seed, the epoch and
    `batch_size`: the same ones give the same bits. Memory beyond the images is what the features of
    one epoch take, or less where they go to disk, and an epoch costs a pass of all images through
    the encoder.

    Args:
        encoder: callable `(float batch, training=False) -> (B, E)`, such as a model; None for the
            pixels themselves, as numbers in [0, 1]. Views are square, whatever the images are.
        inputs: `Inputs` of the run.
        policy: `ViewPolicy`. How a view is drawn.
        batch_size: int >= 1. Images at a time.
        memory: float. Bytes that the features of an epoch may take in memory; more go to one file
            that is removed with them, and each epoch takes the place of the one before.

    Returns:
        Function `(epoch, seed) -> float32 (N, E)` of two ints, epoch >= 0 and 0 <= seed < 2**31.

    Reference: Lavoie et al., Simplicial Embeddings, appendix B.2.
    """
    images, target = inputs.data.train_images, inputs.preprocessing
    settings = {"batch_size": min(batch_size, len(images)), "policy": (policy,)}
    if encoder is None:
        encoder, channels = _pixels, len(target.mean)
        settings |= {"image_size": inputs.data.image_size}
        settings |= {"mean": (0.0,) * channels, "std": (1.0,) * channels}
    else:
        settings |= {"image_size": target.image_size}
        settings |= {"mean": tuple(target.mean), "std": tuple(target.std)}
    steps = -(-len(images) // settings["batch_size"])  # the last image fills the last batch
    normalization = {name: settings.pop(name) for name in ("mean", "std")}
    draw = _drawer(place_of_views(detect()), **settings, **normalization)
    encode = FeatureExtractor(encoder, lambda batch: draw(batch)["global"][:, 0]).encode

    on_disk = []

    def features(epoch, seed):
        result, missing = next(iter(on_disk), None), np.ones(len(images), bool)
        batches = raw_batches(
            images,
            seed=seed,
            start_step=epoch * steps,
            num_images=steps * settings["batch_size"],
            copy=False,
            **settings,
        )
        for batch in batches.prefetch(2).take(steps):
            rows = batch.pop("index").numpy()
            part = encode(batch).numpy()
            if result is None:
                result = scratch_array((len(images), part.shape[1]), part.dtype, memory)
                on_disk.extend([] if in_memory(result) else [result])
            once = rows < len(images)
            result[rows[once]], missing[rows[once]] = part[once], False
        if missing.any():  # another image stood for one that can be read no more
            as_images(images).check(missing)
        return result

    return features


@functools.lru_cache(maxsize=4)  # compiled once for all representations
def _drawer(place, **settings):
    """`device_views` where it can be compiled."""
    draw = device_views(**settings, on_gpu=place == "device")

    def views(batch):
        with keras.device("gpu:0" if place == "device" else "cpu:0"):
            return draw(batch)

    return views


def _pixels(images, training):
    return ops.reshape(images, (images.shape[0], -1))
