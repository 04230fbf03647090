"""Images without any meaning, as the inputs of a run."""

import numpy as np

from pipelines.data.image_data import ImageData
from stages.inputs import Inputs, Preprocessing


def noise(count, classes):
    """`Inputs` of `count` train and as many test images of 8 x 8 pixels, their classes in turn."""
    images = np.random.default_rng(0).integers(0, 256, (2, count, 8, 8, 3), "uint8")
    labels = np.arange(count) % classes
    data = ImageData("noise", images[0], labels, images[1], labels)
    return Inputs(data, Preprocessing(8, 3, (0.5,) * 3, (0.25,) * 3))
