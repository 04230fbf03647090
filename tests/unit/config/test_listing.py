"""What is printed about methods and recipes."""

import re

import pytest

from keras_ssl.config import Override, format_method, resolve
from keras_ssl.config.listing import own_settings
from keras_ssl.config.recipe import SECTIONS, available
from keras_ssl.config.values import as_text
from keras_ssl.core.bounds import describe
from tests.unit.config import CATALOG, EVERY, settings_of
from tests.unit.core.test_bounds import numeric


def paragraphs(name):
    """`format_method` by its paragraphs, each on one line."""
    return [" ".join(text.split()) for text in format_method(CATALOG, name).split("\n\n")]


def named(text, key):
    """Whether a setting has a line of its own."""
    return re.search(rf"(^| ){re.escape(key)}( |$)", text) is not None


@pytest.mark.parametrize("name", CATALOG.method_names)
def test_a_method_is_listed_with_every_setting_its_meaning_and_its_bounds(name):
    text = " ".join(paragraphs(name))
    assert CATALOG.methods[name.removeprefix("sem_")].reference in text
    for optimizer in CATALOG.optimizers:
        settings = available(CATALOG, name, Override("optimizer.name", optimizer, ""))
        for key, setting in settings.items():
            if key.startswith("neck."):
                continue
            assert named(text, key), key
            last = re.split(r"[.:;,] ", setting.meaning.removesuffix("."))[-1]
            assert " ".join(last.split()) in text or last in ("bool", "float in [0, 1]"), key
    for key, setting in CATALOG.methods[name.removeprefix("sem_")].settings.items():
        assert f"method.{key} = {as_text(setting.default)}".strip() in text
        if numeric(setting.kind):
            assert f"({describe(setting.kind)})." in text


def test_the_range_of_a_number_is_listed_once():
    text = " ".join(paragraphs("dino"))
    line = "method.student_temperature = 0.1 Smaller is sharper (a number from 0.0001 to 1000)."
    assert line in text and "float > 0" not in text


def test_settings_are_listed_by_section_with_those_of_each_optimizer_and_policy():
    titles = [text.split("]")[0][1:] for text in paragraphs("sem_byol") if text.startswith("[")]
    assert [title for title in titles if "," not in title] == ["method", *SECTIONS]
    after = titles.index("optimizer") + 1
    own = [f"optimizer, with name={name}" for name in CATALOG.optimizers]
    assert titles[after : after + len(own)] == own
    text = " ".join(paragraphs("simclr"))
    assert named(text, "augment.crop_scale") and named(text, "finetune.steps")
    assert not named(text, "schedule.final_momentum")  # SimCLR has no momentum encoder


def test_a_method_is_listed_with_its_loss_and_with_the_range_of_lists():
    parts = paragraphs("deepcluster")
    assert any(text.startswith("Loss: -log softmax") for text in parts)
    assert "(1 or more values, each a whole number from 2" in " ".join(parts)


def test_the_neck_is_listed_with_meaning_and_range_for_sem_only():
    text = " ".join(paragraphs("sem_byol"))
    sizes = "neck.num_simplices = 5000 L, the number of simplices or codebooks"
    assert f"{sizes} (a whole number from 1 to 1000000)." in text
    assert "neck.kind = sem" in text
    assert "neck.target_temperature = none tau'_p" in text
    assert "code_dim" not in text  # of another kind of neck
    plain = " ".join(paragraphs("byol"))
    assert "neck." not in plain
    assert "SEM: Lavoie et al." in text and "SEM: Lavoie et al." not in plain


def test_recipes_are_listed_with_source_result_and_their_own_settings_only():
    recipes = paragraphs("sem_byol")[-1]
    cifar100 = recipes.partition("cifar100 ")[2].partition("cifar100/")[0]
    assert "from: SEM, table 9; solo-learn" in cifar100
    assert "expected: 73.9 % linear" in cifar100
    assert "sets: method.momentum=0.99; neck.kind=sem; augment.policy=cifar_asymmetric" in cifar100
    assert "trust_coefficient" not in cifar100  # of all methods on CIFAR


@pytest.mark.parametrize("name, family", EVERY)
def test_the_settings_that_are_listed_of_a_recipe_are_those_it_has(name, family):
    settings = settings_of(resolve(CATALOG, name, family=family))
    for key, value in own_settings(name, family).items():
        assert settings[key] == value
