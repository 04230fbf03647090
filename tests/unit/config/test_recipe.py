"""A recipe: its settings, the sections that are views of them, and recipes with other values."""

import copy
import pickle
from collections.abc import Mapping

import pytest

from keras_ssl.config import Origin, Override, from_json, parse_set, resolve, to_json
from keras_ssl.config.recipe import SECTIONS, merge
from keras_ssl.core.errors import UserError
from tests.unit.config import CATALOG, flag, settings_of


def test_sections_are_views_of_the_settings():
    recipe = resolve(CATALOG, "sem_byol")
    for key, value in settings_of(recipe).items():
        section, name = key.split(".")
        view = recipe.method if section == "method" else vars(getattr(recipe, section))
        rest = next((part for part in view.values() if isinstance(part, Mapping)), {})
        assert {**view, **rest}[name] == value, key
    assert list(SECTIONS) == list(dict.fromkeys(k.split(".")[0] for k in recipe.settings))[1:]


def test_settings_cannot_be_changed_in_place():
    recipe = resolve(CATALOG, "byol")
    with pytest.raises(TypeError):
        recipe.settings["training.epochs"] = (3, "a test")
    with pytest.raises(AttributeError):
        recipe.training.epochs = 3
    for options in (recipe.augment.overrides, recipe.optimizer.options):
        with pytest.raises(TypeError):
            options["blur"] = 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_recipes_can_be_copied_and_pickled(copied):
    recipe = resolve(CATALOG, "sem_byol", [flag("training.epochs", "2")])
    other = copied(recipe)
    assert other == recipe and other.neck == recipe.neck
    changes = {"training.epochs": 100, "augment.blur": 0.5}
    assert other.with_(changes, "a test") == recipe.with_(changes, "a test")


@pytest.mark.parametrize("stored", [False, True])
def test_a_shortened_warmup_follows_the_epochs(stored):
    recipe = resolve(CATALOG, "byol", [flag("training.epochs", "2")])
    recipe = from_json(to_json(recipe), CATALOG) if stored else recipe
    assert recipe.settings["schedule.warmup_epochs"] == (1.0, "half of --epochs")
    longer = recipe.with_({"training.epochs": 100}, origin="a test")
    plain = resolve(CATALOG, "byol").settings["schedule.warmup_epochs"]
    assert longer.settings["schedule.warmup_epochs"] == plain
    other = recipe.with_({"training.seed": 3}, origin="a test")
    assert other.settings["schedule.warmup_epochs"] == (1.0, "half of --epochs")


def test_words_of_an_origin_decide_nothing():
    recipe = resolve(CATALOG, "byol")
    with pytest.raises(UserError, match="without a neck"):
        recipe.with_({"neck.num_simplices": 5}, origin="default of a caller")
    assert Override("training.epochs", 3, "--mode=finetune").label == "training.epochs"
    assert Override("training.epochs", 3, Origin("--epochs", "flag")).label == "--epochs"


def test_another_value_shows_in_settings_section_and_json_and_leaves_the_rest():
    recipe = resolve(CATALOG, "byol", [flag("training.epochs", "40")])
    other = recipe.with_(
        {"training.precision": "float32", "evaluation.temperatures": (0.5,)}, origin="a test"
    )
    assert other.settings["training.precision"] == ("float32", "a test")
    assert (other.training.precision, other.evaluation.temperatures) == ("float32", (0.5,))
    assert recipe.training.precision == "auto"
    differ = {key for key in recipe.settings if recipe.settings[key] != other.settings[key]}
    assert differ == {"training.precision", "evaluation.temperatures"}
    assert from_json(to_json(other), CATALOG) == other
    assert recipe.with_({}, origin="a test") == recipe


def test_text_is_read_as_the_type_of_the_setting():
    recipe = resolve(CATALOG, "byol").with_({"augment.crop_scale": "0.5,1"}, origin="a test")
    assert recipe.augment.overrides == {"crop_scale": (0.5, 1.0)}


@pytest.mark.parametrize(
    "key, value, words",
    [
        ("training.epoch", 3, "Did you mean 'training.epochs'"),
        ("training.epochs", 0, "training.epochs must be a whole number from 1"),
        ("training.precision", "float31", "Did you mean 'float32'"),
        ("neck.num_simplices", 5, "without a neck"),
        ("augment.local_size", 7, "too small"),
        ("schedule.warmup_epochs", 50, "leaves nothing of 50 epochs"),
        ("optimizer.name", "lars", "optimizer.learning_rate has no default"),
    ],
)
def test_values_that_cannot_be_are_refused(key, value, words):
    with pytest.raises(UserError, match=words):
        resolve(CATALOG, "byol").with_({key: value}, origin="a test")


def test_another_choice_starts_from_its_own_defaults():
    values = {"optimizer.name": "adamw", "optimizer.learning_rate": 0.1}
    recipe = resolve(CATALOG, "byol", family="cifar10").with_(values, origin="a test")
    assert recipe.optimizer.options["weight_decay"] == 0.0
    assert "trust_coefficient" not in recipe.optimizer.options


def test_another_policy_keeps_the_number_and_size_of_views_and_crops():
    counts = {"num_views": 3, "local_views": 6, "local_size": 8, "local_scale": (0.1, 0.3)}
    settings = {f"augment.{name}": value for name, value in counts.items()}
    first = {key: Override(key, value, "recipe") for key, value in settings.items()}
    first["augment.blur"] = Override("augment.blur", 0.5, "recipe")
    merged = merge([first, {"augment.policy": Override("augment.policy", "gray", "--set")}])
    assert {key: change.value for key, change in merged.items()} == {
        **settings,
        "augment.policy": "gray",
    }


def test_the_learning_rate_is_per_256_images_of_an_update():
    recipe = resolve(CATALOG, "sem_byol", family="imagenet")  # 0.4, 256 images, 16 accumulated
    assert recipe.scaled(recipe.optimizer.learning_rate) == pytest.approx(6.4)
    assert recipe.scaled(0.0) == 0.0


def test_labels_and_lengths_that_are_given_come_before_those_of_a_protocol():
    texts = ["finetune.protocol=simmer_40", "finetune.shares=1", "finetune.steps=7"]
    given = resolve(CATALOG, "byol", [parse_set(text) for text in texts]).finetune
    assert (given.shares, given.labels_per_class, given.steps, given.epochs) == (
        (1.0,),
        None,
        7,
        (),
    )
    plain = resolve(CATALOG, "byol", [parse_set(texts[0])]).finetune
    assert (plain.labels_per_class, plain.epochs) == (40, (40,))
