"""The optimizers that recipes ask for."""

import numpy as np
import pytest

from keras_ssl.config import Override, resolve
from keras_ssl.core.errors import UserError
from stages.build import build_optimizer
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
