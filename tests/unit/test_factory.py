import warnings

import keras
import pytest
from keras import layers

import keras_ssl
from keras_ssl.layers.simplicial import simplicial_codes, simplicial_embedding


class Subclassed(keras.Model):
    def call(self, images):
        return images


def model(*stack):
    return keras.Sequential([keras.Input((8, 8, 3)), *stack])


def of_dictionary():
    images = keras.Input((8, 8, 3))
    return keras.Model(images, {"features": layers.Flatten()(images)})


REFUSED = {
    "maps": (lambda: model(layers.Conv2D(4, 3)), 'pooling="avg"'),
    "tokens": (lambda: model(layers.Reshape((64, 3))), "class token"),
    "a dictionary": (of_dictionary, "one of features"),
    "a subclassed model": (Subclassed, "begins with a keras.Input"),
    "a model without input": (lambda: keras.Sequential([layers.Flatten()]), "keras.Input"),
    "a layer": (layers.Flatten, "Received Flatten"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("method", ["simsiam", "sem_simsiam"])
def test_backbones_that_give_no_features_are_refused(kind, method):
    make, message = REFUSED[kind]
    with pytest.raises(keras_ssl.UserError, match=message):
        keras_ssl.create(method, backbone=make())


@pytest.mark.parametrize("read", [simplicial_codes, lambda *a: simplicial_embedding(*a, 1.0)])
def test_simplices_of_tokens_are_refused(read):
    with pytest.raises(keras_ssl.UserError, match="pool it first"):
        read(keras.ops.zeros((2, 4, 6)), 2, 3)


@pytest.mark.parametrize("own", [True, False])
def test_images_that_would_be_normalised_twice_are_told_of(own):
    backbone = model(*([layers.Rescaling(1 / 127.5, name="rescaling")] if own else []))
    backbone.add(layers.Flatten())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        keras_ssl.create("simsiam", backbone=backbone, hidden_dim=4, projection_dim=4)
    warned = [str(w.message) for w in caught if "include_preprocessing=False" in str(w.message)]
    assert len(warned) == own and all("(rescaling)" in text for text in warned)
