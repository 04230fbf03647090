"""What is printed about methods and recipes."""

import pytest

from keras_ssl.config import format_method, resolve
from keras_ssl.config.listing import own_settings
from keras_ssl.config.values import as_text
from tests.unit.config import CATALOG, EVERY, settings_of


def told(name):
    """`format_method` by its paragraphs, each on one line."""
    return [" ".join(text.split()) for text in format_method(CATALOG, name).split("\n\n")]


@pytest.mark.parametrize("name", CATALOG.method_names)
def test_a_method_is_told_with_every_setting_of_its_own_and_its_meaning(name):
    entry = CATALOG.methods[name.removeprefix("sem_")]
    text = " ".join(told(name))
    assert entry.reference in text
    for key, setting in entry.settings.items():
        line = f"method.{key} = {as_text(setting.default)} {setting.meaning}"
        assert " ".join(line.split()) in text


def test_a_method_is_told_with_its_loss_and_with_the_range_of_lists():
    paragraphs = told("deepcluster")
    assert any(text.startswith("Loss: -log softmax") for text in paragraphs)
    assert "Takes 1 or more values, each a whole number from 2" in " ".join(paragraphs)


def test_the_neck_is_told_with_meaning_and_range_for_sem_only():
    text = " ".join(told("sem_byol"))
    sizes = "neck.num_simplices = 5000 L, the number of simplices or codebooks"
    assert f"{sizes} (a whole number from 1 to 1000000)." in text
    assert "neck.target_temperature = none tau'_p" in text
    assert "code_dim" not in text  # of another kind of neck
    plain = " ".join(told("byol"))
    assert "neck." not in plain
    assert "SEM: Lavoie et al." in text and "SEM: Lavoie et al." not in plain


def test_recipes_are_told_with_source_result_and_their_own_settings_only():
    recipes = told("sem_byol")[-1]
    cifar100 = recipes.partition("cifar100 ")[2].partition("cifar100/")[0]
    assert "from: SEM, table 9; solo-learn" in cifar100
    assert "expected: 73.9 % linear" in cifar100
    assert "sets: method.momentum=0.99; neck.kind=sem; augment.policy=cifar_asymmetric" in cifar100
    assert "trust_coefficient" not in cifar100  # of all methods on CIFAR


@pytest.mark.parametrize("name, family", EVERY)
def test_the_settings_that_are_told_of_a_recipe_are_those_it_has(name, family):
    settings = settings_of(resolve(CATALOG, name, family=family))
    for key, value in own_settings(name, family).items():
        assert settings[key] == value
