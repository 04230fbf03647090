"""Settings that papers publish, in the recipes."""

import pytest

from keras_ssl.config import Catalog, resolve
from pipelines.views.policies import POLICIES, ViewPolicy

CATALOG = Catalog(tuple(POLICIES), {})


@pytest.mark.parametrize(
    "name, family, expected",
    [
        ("barlow_twins", "cifar10", {"method.loss_scale": 0.1, "optimizer.learning_rate": 0.3}),
        ("barlow_twins", "imagenet", {"method.projection_dim": 8192, "training.batch_size": 2048}),
        ("sem_barlow_twins", "cifar100", {"neck.target_temperature": 0.99}),
        ("vicreg", "cifar10", {"method.variance_weight": 50.0, "augment.policy": "cifar_vicreg"}),
        ("vicreg", "imagenet", {"method.variance_weight": 25.0, "optimizer.learning_rate": 0.2}),
        ("wmse", "cifar100", {"method.whitening_size": 128, "optimizer.learning_rate": 2e-3}),
        ("dbn", "cifar10", {"method.variant": "shuffled", "optimizer.weight_decay": 2.5e-3}),
        ("simmer", "cifar10", {"augment.num_views": 4, "method.alpha_rank": 2e-4}),
    ],
)
def test_published_settings(name, family, expected):
    settings = resolve(CATALOG, name, family=family).settings
    assert {key: settings[key][0] for key in expected} == expected


def test_policies_of_these_recipes_are_the_same_for_both_views():
    for name, solarize, jitter in (("cifar_vicreg", 0.1, 0.4), ("cifar_wmse", 0.0, 0.8)):
        first, second = POLICIES[name]
        assert first == second and isinstance(first, ViewPolicy)
        assert first.crop_scale == (0.2, 1.0) and first.blur == 0.0
        assert (first.solarize, first.brightness) == (solarize, jitter)
