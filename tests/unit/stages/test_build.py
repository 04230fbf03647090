"""The optimizers that recipes ask for."""

import numpy as np
import pytest

from keras_ssl.config import Override, parse_set, resolve
from keras_ssl.config.schema import Backbone
from keras_ssl.core.errors import UserError
from stages.build import build_optimizer
from stages.training import prepare
from tests.unit.config import CATALOG


def test_a_recipe_with_a_final_weight_decay_gets_a_cosine():
    recipe = resolve(CATALOG, "dino", family="imagenet")
    decay = build_optimizer(recipe, updates=200).weight_decay
    np.testing.assert_allclose([decay(step) for step in (0, 100, 200)], [0.04, 0.22, 0.4])
    recipe = resolve(CATALOG, "dino", family="digits")
    assert build_optimizer(recipe, updates=200).weight_decay == 0.04


def test_a_constant_learning_rate_is_per_256_images_and_by_default_the_peak():
    peak = resolve(CATALOG, "simsiam", family="imagenet")  # 0.05 per 256, batches of 512
    assert build_optimizer(peak, updates=200).constant_lr == pytest.approx(0.1)
    own = [Override("optimizer.constant_lr", "0.4", "--set")]
    recipe = resolve(CATALOG, "simsiam", own, family="imagenet")
    assert build_optimizer(recipe, updates=200).constant_lr == pytest.approx(0.8)
    alone = resolve(CATALOG, "simclr", own, family="digits")
    with pytest.raises(UserError, match="constant_lr_layers and constant_lr go together"):
        build_optimizer(alone, updates=200)


def vicreg(*texts):
    small = ("training.epochs=2", "training.precision=float32", "backbone.name=tiny")
    settings = [parse_set(text) for text in (*small, "method.hidden_dim=8", *texts)]
    return resolve(CATALOG, "vicreg", settings, family="digits")


def test_the_second_branch_may_be_another_network():
    recipe = vicreg("method.shared=none", "backbone.second=resnet8", "method.projection_dim=4")
    method = prepare(recipe).method
    assert "resnet8" in method.branch.name and "tiny" in method.encoder.name
    assert method.second_projector.output_shape == method.projector.output_shape == (None, 4)


def test_between_resnets_the_settings_of_the_first_hold_for_both():
    first = Backbone("resnet18", width=16, stem_padding=2, second="resnet34")
    assert first.options == {"width": 16, "stem_padding": 2}
    assert (first.other.name, first.other.options) == ("resnet34", first.options)
    assert Backbone("resnet18", width=16, second="vit_small").other.options == {}
    assert Backbone("resnet18").other is None


@pytest.mark.parametrize("name, words", [("vicreg", "take 'projector'"), ("byol", "no second br")])
def test_a_second_network_that_nothing_uses_is_refused(name, words):
    settings = [parse_set("backbone.second=tiny"), parse_set("training.precision=float32")]
    recipe = resolve(CATALOG, name, settings, family="digits")
    with pytest.raises(UserError, match=words):
        prepare(recipe)
