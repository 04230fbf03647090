"""What a stage says and logs of the settings of a run."""

import keras
import pytest
import tensorflow as tf

import keras_ssl
import stages
from keras_ssl.recipes.schema import Backbone
from tests.descriptors import make_method, make_views


@pytest.mark.parametrize(
    "backbone, image_size, line",
    [
        (Backbone("resnet18"), 32, "resnet18, cifar stem"),
        (Backbone("resnet50", width=128), 224, "resnet50, width 128, imagenet stem"),
        (Backbone("resnet18", stem="imagenet"), 32, "resnet18, imagenet stem"),
        (Backbone("resnet8"), 32, "resnet8"),
        (Backbone("vit_tiny"), 32, "vit_tiny, patches of 4x4"),
        (Backbone("vit_small"), 224, "vit_small, patches of 16x16"),
        (Backbone("vit_small", patch_size=8), 224, "vit_small, patches of 8x8"),
    ],
)
def test_a_backbone_is_told_with_what_the_image_size_chose(backbone, image_size, line):
    assert stages.describe_backbone(backbone, image_size) == line


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])  # float16 wraps the optimizer
def test_a_weight_decay_that_moves_is_logged_and_a_constant_one_is_not(policy):
    keras.config.set_dtype_policy(policy)
    method = make_method("simclr", run_eagerly=True)
    views = tf.data.Dataset.from_tensors(make_views(method)).repeat()
    settings = {"steps_per_epoch": 1, "epochs": 3, "verbose": 0, "shuffle": False}
    assert "weight_decay" not in method.fit(views, **settings).history
    decay = keras_ssl.Cosine(0.1, total_steps=2, final=0.3)
    method.compile(keras_ssl.AdamW(1e-3, weight_decay=decay), run_eagerly=True)
    logged = method.fit(views, **settings).history["weight_decay"]
    assert logged == pytest.approx([0.1, 0.2, 0.3])  # that of each update, from the first on
