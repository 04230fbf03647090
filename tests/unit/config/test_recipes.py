"""Recipes: what is read from the sources, how values are typed, how settings are settled."""

import inspect
import re
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import pytest

import keras_ssl
from keras_ssl.config import (
    Catalog,
    Change,
    amend,
    format_method,
    format_recipe,
    from_json,
    load,
    new_workdir,
    parse_set,
    resolve,
    save,
    to_json,
)
from keras_ssl.config.catalog import parse_docstring, read_table
from keras_ssl.config.datasets import recipe_of
from keras_ssl.config.listing import as_text, own_settings
from keras_ssl.config.resolve import available, family_in, merge, provenance, recipe_names
from keras_ssl.config.schema import Augment
from keras_ssl.config.values import Setting, read
from keras_ssl.core.bounds import Entries, Share, Weight, Width
from keras_ssl.core.checks import UserError
from keras_ssl.recipes import RECIPES
from keras_ssl.recipes.families import FAMILIES
from pipelines.views.policies import POLICIES, ViewPolicy, policy_for

CATALOG = Catalog(tuple(POLICIES), get_type_hints(ViewPolicy, include_extras=True))
EVERY = [(name, recipe) for name in CATALOG.method_names for recipe in recipe_names(name)]


def flag(key, value):
    return Change(key, value, f"--{key.split('.')[1]}")


def settings_of(recipe):
    return {key: value for key, (value, _) in recipe.settings.items()}


# Values.


@pytest.mark.parametrize(
    "kind, text, value",
    [
        (int, "3", 3),
        (float, "3", 3.0),
        (float, "1e-4", 1e-4),
        (bool, "True", True),
        (bool, "no", False),
        (str, "a,b", "a,b"),
        (int | None, "none", None),
        (int | None, "3", 3),
        (str | None, "none", None),
        (tuple[float, float], "0.2,1.0", (0.2, 1.0)),
        (tuple[float, float], "(0.2, 1)", (0.2, 1.0)),
        (tuple[float, ...], "0", (0.0,)),
        (tuple[str, ...], "predictor,projector", ("predictor", "projector")),
        (tuple[str, ...], "", ()),
        (Literal["step", "epoch"], "epoch", "epoch"),
    ],
)
def test_text_becomes_the_declared_type(kind, text, value):
    result = read(Setting(kind, None), text, "key")
    assert result == value and type(result) is type(value)


@pytest.mark.parametrize(
    "kind, value, words",
    [
        (float, "abc", "a number"),
        (float, "nan", "a number"),
        (float, "inf", "a number"),
        (float, True, "a number"),
        (int, "1.5", "a whole number"),
        (int, 1.5, "a whole number"),
        (bool, "maybe", "true or false"),
        (bool, 1, "true or false"),
        (int | None, "x", "a whole number or none"),
        (tuple[float, float], "1", "2 values, each a number"),
        (tuple[float, float], "1,x", "2 values, each a number"),
        (tuple[int, ...], "1,x", "each a whole number"),
        (str, None, "text"),
    ],
)
def test_another_type_is_refused_with_what_fits(kind, value, words):
    with pytest.raises(UserError, match=words) as error:
        read(Setting(kind, None), value, "some.key")
    assert "some.key" in str(error.value) and repr(value) in str(error.value)


def test_a_choice_that_does_not_exist_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'epoch'"):
        read(Setting(Literal["step", "epoch"], None), "epohc", "schedule.hold")


# What is read from the source text is what importing gives.


def test_tables_read_as_text_are_the_tables():
    assert list(CATALOG.methods) == list(keras_ssl.METHODS)
    assert list(CATALOG.backbones) == list(keras_ssl.BACKBONES)
    assert list(CATALOG.optimizers) == list(keras_ssl.OPTIMIZERS)


@pytest.mark.parametrize("name", CATALOG.methods)
def test_hyper_parameters_read_as_text_are_those_of_the_signature(name):
    parameters = inspect.signature(keras_ssl.METHODS[name]).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    read_as_text = CATALOG.methods[name].settings
    assert {key: setting.default for key, setting in read_as_text.items()} == defaults
    assert {key: setting.kind for key, setting in read_as_text.items()} == {
        p.name: p.annotation for p in parameters if p.name in defaults
    }


@pytest.mark.parametrize("name", CATALOG.methods)
def test_methods_are_described(name):
    entry = CATALOG.methods[name]
    assert entry.summary.endswith(".") and "\nLoss: " in entry.description
    assert re.search(r"\b(eqs?|secs?|appendix)\b", entry.reference)
    assert [key for key, setting in entry.settings.items() if not setting.meaning] == []


@pytest.mark.parametrize("name", CATALOG.optimizers)
def test_optimizers_take_the_options_read_as_text(name):
    options = {key: setting.default for key, setting in CATALOG.optimizers[name].settings.items()}
    optimizer = keras_ssl.OPTIMIZERS[name](0.1, **options)
    assert {key: getattr(optimizer, key) for key in options} == options
    assert {"weight_decay", "exclude_1d", "constant_lr_layers"} <= set(options)


def test_all_entries_have_one_line():
    tables = (CATALOG.methods, CATALOG.backbones, CATALOG.optimizers)
    assert [e.name for table in tables for e in table.values() if not e.summary] == []


SOURCE = '''
class Parent:
    """Parent.

    Args:
        decay: float >= 0. Of the parent.
    """

    def __init__(self, rate, *, decay: Weight = 0.5, **kwargs): ...


class Child(Parent):
    """First sentence. Second one.

    Args:
        rate: float > 0.
        share: A share that needs
            two lines.
        kind: "one", "two" or "three".
        layer: not for a command line.

    Reference: Someone, somewhere,
    some time.
    """

    def __init__(
        self,
        rate: Weight,
        *,
        share: Share | None = 0.5,
        kind: Literal["one", "two"] = "one",
        sizes: Annotated[tuple[Width, ...], Entries(1)] = (3,),
        layer=None,
        **kwargs,
    ): ...
'''


@pytest.fixture
def entry(tmp_path):
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "__init__.py").write_text('THINGS = {"child": Child}\n')
    (tmp_path / "things" / "child.py").write_text(SOURCE)
    return read_table("things", tmp_path)["child"]


def test_descriptions_come_from_the_docstring(entry):
    assert entry.summary == "First sentence."
    assert entry.description == "First sentence. Second one."
    assert entry.reference == "Someone, somewhere, some time."


def test_types_and_bounds_come_from_the_annotations(entry):
    assert entry.settings == {
        "decay": Setting(Weight, 0.5, "float >= 0. Of the parent."),
        "share": Setting(Share | None, 0.5, "A share that needs two lines."),
        "kind": Setting(Literal["one", "two"], "one", '"one", "two" or "three".'),
        "sizes": Setting(Annotated[tuple[Width, ...], Entries(1)], (3,)),
    }


def test_one_line_of_the_docstring_may_describe_two_arguments():
    _, meanings, _ = parse_docstring("Text.\n\nArgs:\n    a, b: int. Both.\n    c: int. One.")
    assert meanings == {"a": "int. Both.", "b": "int. Both.", "c": "int. One."}


# Recipes.


@pytest.mark.parametrize("name, family", EVERY)
def test_every_recipe_resolves_and_says_where_it_comes_from(name, family):
    recipe = resolve(CATALOG, name, family=family)
    assert recipe.source
    assert recipe.neck.kind == ("sem" if name.startswith("sem_") else "none")
    views = policy_for(recipe.augment.policy, recipe.augment.num_views, **recipe.augment.overrides)
    assert len(views) == recipe.augment.num_views
    assert f"method {name}, recipe {family}" in format_recipe(recipe)
    assert family in format_method(CATALOG, name)


@pytest.mark.parametrize("name, family", EVERY)
def test_a_recipe_survives_json(name, family):
    recipe = resolve(CATALOG, name, [flag("training.epochs", "7")], family)
    assert from_json(to_json(recipe), CATALOG) == recipe


@pytest.mark.parametrize("name, family", EVERY)
def test_values_as_they_are_printed_can_be_set(name, family):
    recipe = resolve(CATALOG, name, family=family)
    optimizer = Change("optimizer.name", recipe.optimizer.name, "default")
    space = available(CATALOG, name, optimizer)
    for key, value in settings_of(recipe).items():
        assert read(space[key], as_text(value), key) == value


@pytest.mark.parametrize("name, family", [pair for pair in EVERY if pair[0].startswith("sem_")])
def test_sem_changes_only_what_its_recipes_say(name, family):
    base = name.removeprefix("sem_")
    start = family if family in recipe_names(base) else family_in(family)
    plain = settings_of(resolve(CATALOG, base, family=start))
    for key, (value, origin) in resolve(CATALOG, name, family=family).settings.items():
        sem = origin.startswith("recipe sem") or key.startswith("neck.")
        assert sem or plain[key] == value


@pytest.mark.parametrize(
    "name, family, expected",
    [
        ("byol", "cifar10", {"optimizer.learning_rate": 1.0, "method.momentum": 0.99}),
        ("byol", "cifar10", {"optimizer.variant": "larc_clip", "backbone.stem_padding": 2}),
        ("byol", "imagenet", {"optimizer.learning_rate": 0.45, "training.accumulate": 16}),
        ("simclr", "cifar100", {"optimizer.learning_rate": 0.4, "method.temperature": 0.2}),
        ("simsiam", "cifar100", {"optimizer.name": "sgd", "optimizer.exclude_1d": False}),
        ("simsiam", "imagenet", {"optimizer.weight_decay": 1e-4, "schedule.hold": "epoch"}),
        ("sem_byol", "cifar100", {"neck.num_simplices": 5000, "neck.simplex_size": 13}),
        ("sem_simclr", "cifar100", {"neck.temperature": 0.17, "neck.target_temperature": 0.78}),
        ("sem_byol", "imagenet", {"neck.simplex_size": 21, "optimizer.learning_rate": 0.4}),
        ("cplearn", "imagenet", {"method.num_codes": 131072, "backbone.name": "vit_small"}),
        ("dino", "imagenet", {"schedule.final_weight_decay": 0.4, "optimizer.clipnorm": 3.0}),
        ("simmer", "imagenet", {"data.image_size": 84, "method.num_layers": 3}),
        ("wmse", "imagenet", {"method.whitening_size": 256, "method.projection_dim": 128}),
        ("simclr", "imagenet", {"augment.policy": "imagenet_simclr"}),  # Google's arithmetic
        ("moco", "imagenet", {"augment.policy": "moco_v2", "optimizer.learning_rate": 0.03}),
    ],
)
def test_published_settings(name, family, expected):
    settings = settings_of(resolve(CATALOG, name, family=family))
    assert {key: settings[key] for key in expected} == expected


def test_the_learning_rate_is_per_256_images_of_an_update():
    recipe = resolve(CATALOG, "sem_byol", family="imagenet")  # 0.4, 256 images, 16 accumulated
    assert recipe.scaled(recipe.optimizer.learning_rate) == pytest.approx(6.4)
    assert recipe.scaled(0.0) == 0.0


@pytest.mark.parametrize("name", CATALOG.methods)
def test_every_method_has_a_recipe_of_its_own_for_every_kind_of_data(name):
    assert set(FAMILIES) <= set(RECIPES[name])
    assert {family_in(recipe) for recipe in RECIPES[name]} == set(FAMILIES)


@pytest.mark.parametrize("name, family", [pair for pair in EVERY if pair[0].startswith("sem_")])
def test_the_source_of_a_recipe_with_sem_says_where_sem_has_its_settings_from(name, family):
    source, expected = provenance(name, family)
    own = RECIPES.get(name, {}).get(family)
    published = bool(own and own.source)
    assert source.startswith("SEM") and source.endswith(provenance(name[4:], family)[0])
    assert ("in no paper here" in source or "of our own" in source) is not published
    assert published or not expected


# What is printed about a method.


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


# Settling.


def test_set_beats_flag_beats_recipe_beats_default():
    assert resolve(CATALOG, "byol").settings["training.seed"] == (0, "default")
    by_recipe = resolve(CATALOG, "byol").settings["method.momentum"]
    assert by_recipe == (0.98, "recipe byol/digits")
    wishes = [flag("training.epochs", "40"), parse_set("method.momentum=0.9")]
    recipe = resolve(CATALOG, "byol", wishes)
    assert recipe.settings["training.epochs"] == (40, "--epochs")
    assert recipe.settings["method.momentum"] == (0.9, "--set")
    assert (recipe.training.epochs, recipe.method["momentum"]) == (40, 0.9)
    both = resolve(CATALOG, "byol", [wishes[0], parse_set("training.epochs=50")])
    assert both.settings["training.epochs"] == (50, "--set")


@pytest.mark.parametrize(
    "dataset, family",
    [
        ("digits", "digits"),
        ("cifar10", "cifar10"),
        ("cifar100:3.*.*", "cifar100"),
        ("imagenet2012", "imagenet"),
        ("npz:cifar10.npz", "small"),
        ("folder:cifar10", "small"),
        ("stl10", "small"),
        ("svhn_cropped", "small/svhn"),
    ],
)
def test_the_data_set_chooses_the_recipe(dataset, family):
    assert recipe_of(dataset) == family
    wishes = [flag("data.dataset", dataset)]
    assert resolve(CATALOG, "cplearn", wishes).family == family
    assert resolve(CATALOG, "byol", wishes).family == family_in(family)  # it has no run on SVHN
    assert resolve(CATALOG, "byol", wishes, "imagenet").family == "imagenet"


def test_another_optimizer_starts_from_its_own_defaults():
    wishes = [parse_set("optimizer.name=sgd"), flag("optimizer.learning_rate", "0.1")]
    recipe = resolve(CATALOG, "byol", wishes, "cifar10")
    assert recipe.optimizer.options["weight_decay"] == 0.0
    assert "trust_coefficient" not in recipe.optimizer.options
    with pytest.raises(UserError, match="optimizer.learning_rate has no default"):
        resolve(CATALOG, "byol", wishes[:1], "cifar10")


def test_the_same_optimizer_keeps_what_the_recipe_says():
    recipe = resolve(CATALOG, "byol", [parse_set("optimizer.name=lars")], "cifar10")
    assert recipe.optimizer.options["trust_coefficient"] == 0.02


def test_another_backbone_starts_from_its_own_defaults():
    recipe = resolve(CATALOG, "byol", [flag("backbone.name", "tiny")], "cifar10")
    assert recipe.backbone.options == {}
    assert resolve(CATALOG, "byol", family="cifar10").backbone.options == {"stem_padding": 2}


def test_policy_fields_are_overridden_only_where_told():
    assert resolve(CATALOG, "byol").augment.overrides == {}
    recipe = resolve(CATALOG, "byol", [parse_set("augment.crop_scale=0.5,1")])
    assert recipe.augment.overrides == {"crop_scale": (0.5, 1.0)}


def test_another_policy_keeps_the_number_and_size_of_views_and_crops():
    counts = {"num_views": 3, "local_views": 6, "local_size": 8, "local_scale": (0.1, 0.3)}
    settings = {f"augment.{name}": value for name, value in counts.items()}
    first = {key: Change(key, value, "recipe") for key, value in settings.items()}
    first["augment.blur"] = Change("augment.blur", 0.5, "recipe")
    merged = merge([first, {"augment.policy": Change("augment.policy", "gray", "--set")}])
    assert {key: change.value for key, change in merged.items()} == {
        **settings,
        "augment.policy": "gray",
    }


def test_the_size_of_local_crops_follows_that_of_the_views():
    sizes = [Augment().local_pixels(size) for size in (8, 16, 32, 64, 96, 224)]
    assert sizes == [8, 8, 16, 24, 40, 96]
    assert Augment(local_size=20).local_pixels(32) == 20
    with pytest.raises(UserError, match="local_size=40 is more than the 32 pixels"):
        Augment(local_size=40).local_pixels(32)


def test_a_short_run_warms_up_for_half_of_its_epochs():
    recipe = resolve(CATALOG, "byol", [flag("training.epochs", "3")])
    assert recipe.settings["schedule.warmup_epochs"] == (1.5, "half of --epochs")
    with pytest.raises(UserError, match="leaves nothing of 3 epochs"):
        told = [flag("training.epochs", "3"), parse_set("schedule.warmup_epochs=3")]
        resolve(CATALOG, "byol", told)


@pytest.mark.parametrize(
    "wish, words",
    [
        ("training.epoch=3", "Did you mean 'training.epochs'"),
        ("epochs=3", "Did you mean 'training.epochs'"),
        ("optimizer.epochs=3", "Did you mean 'training.epochs'"),
        ("trainig.epochs=3", "Did you mean 'training.epochs'"),
        ("method.temperature=3", "Unknown setting 'method.temperature'"),
        ("optimizer.trust_coefficient=3", "Unknown setting"),
        ("optimizer.weight_decay=abc", "must be a number from 0 to 1000000. Received 'abc'"),
        ("optimizer.learning_rate=0", "greater than 0"),
        ("training.epochs=0", "from 1 to"),
        ("training.batch_size=1", "from 2 to"),
        ("method.momentum=1.5", "from 0 to 1"),
        ("neck.num_simplices=5", "without a neck"),
        ("augment.policy=cifar_symetric", "Did you mean 'cifar_symmetric'"),
        ("augment.blurr=1", "Did you mean 'augment.blur'"),
        ("augment.local_views=-1", "from 0 to 100"),
        ("augment.local_size=7", "too small .* take 8 pixels or more"),
        ("augment.local_scale=0,0.4", "greater than 0"),
        ("augment.local_scale=0.4,1.1", "at most 1"),
        ("augment.local_scale=0.4,0.1", "the smallest first"),
        ("optimizer.name=lasr", "Unknown optimizer 'lasr'. Did you mean 'lars'"),
        ("training.precision=bfloat16", "Did you mean 'mixed_bfloat16'"),
        ("evaluation.temperatures=0,-1", "each 0 or a number from 0.0001"),
        ("novalue", "section.field=value"),
    ],
)
def test_wishes_that_cannot_be_are_refused(wish, words):
    with pytest.raises(UserError, match=words):
        resolve(CATALOG, "byol", [parse_set(wish)])


def test_an_end_of_the_momentum_exists_only_for_methods_with_one():
    assert resolve(CATALOG, "byol").schedule.final_momentum == 1.0
    with pytest.raises(UserError, match="Unknown setting"):
        resolve(CATALOG, "simclr", [parse_set("schedule.final_momentum=1")])


# On disk.


def test_a_saved_recipe_is_loaded_again(tmp_path):
    recipe = resolve(CATALOG, "sem_byol")
    save(recipe, tmp_path / "new" / "run")
    assert load(tmp_path / "new" / "run", CATALOG) == recipe
    assert [path.name for path in (tmp_path / "new" / "run").iterdir()] == ["recipe.json"]


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write to the work directory .*--workdir"):
        save(resolve(CATALOG, "byol"), tmp_path / "file" / "run")


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="No run in .*No such file"):
        load(tmp_path, CATALOG)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"settings": {"a": 1}}'])
def test_another_json_is_refused(tmp_path, text):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(UserError, match="not a recipe"):
        load(tmp_path, CATALOG)


def test_a_recipe_of_another_version_is_refused_by_the_key(tmp_path):
    text = to_json(resolve(CATALOG, "byol")).replace("training.seed", "training.sead")
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(UserError, match="Unknown setting 'training.sead'"):
        load(tmp_path, CATALOG)


def test_a_run_keeps_what_it_was_started_with():
    recipe = resolve(CATALOG, "byol", [flag("training.epochs", "30")])
    assert amend(recipe, CATALOG, [flag("training.epochs", "30")]) == recipe
    with pytest.raises(UserError, match="training.epochs=30 and cannot go on with 40"):
        amend(recipe, CATALOG, [flag("training.epochs", "40")])
    with pytest.raises(UserError, match="Did you mean 'training.epochs'"):
        amend(recipe, CATALOG, [parse_set("training.epoch=40")])


def test_a_run_may_be_judged_otherwise_and_on_other_data():
    recipe = resolve(CATALOG, "byol")
    other = amend(recipe, CATALOG, [parse_set("evaluation.knn_neighbours=5")])
    assert other.evaluation.knn_neighbours == 5 and other.training == recipe.training
    wish = [flag("data.dataset", "npz:/other.npz")]
    with pytest.raises(UserError, match="cannot go on"):
        amend(recipe, CATALOG, wish)
    assert amend(recipe, CATALOG, wish, ["data.dataset"]).data.dataset == "npz:/other.npz"


@pytest.mark.parametrize(
    "given, kept",
    [
        ("npz:images.npz", "npz:{here}/images.npz"),
        ("folder:../pictures/", "folder:{above}/pictures"),
        ("npz:~/images.npz", "npz:{home}/images.npz"),
        ("npz:/images.npz", "npz:/images.npz"),
        ("cifar10", "cifar10"),
    ],
)
def test_a_run_finds_its_data_from_every_directory(tmp_path, monkeypatch, given, kept):
    places = {"here": tmp_path / "here", "above": tmp_path, "home": Path.home()}
    places["here"].mkdir()
    monkeypatch.chdir(places["here"])
    wishes = [flag("data.dataset", given), flag("data.data_dir", "tfds")]
    save(resolve(CATALOG, "byol", wishes), "run")
    again = load("run", CATALOG)
    assert amend(again, CATALOG, wishes) == again  # said again, it is the same
    monkeypatch.chdir(tmp_path)
    data = load("here/run", CATALOG).data
    assert data.dataset == kept.format(**places)
    assert data.data_dir == str(tmp_path / "here" / "tfds")


def test_a_bucket_is_no_path_of_this_machine():
    recipe = resolve(CATALOG, "byol", [flag("data.data_dir", "gs://bucket/tfds")])
    assert recipe.data.data_dir == "gs://bucket/tfds"
    assert resolve(CATALOG, "byol", [flag("data.data_dir", "none")]).data.data_dir is None


@pytest.mark.parametrize(
    "dataset, name",
    [
        ("digits", "byol-digits-1"),
        ("npz:../some where/my images.npz", "byol-my-images-1"),
        ("folder:/photos/", "byol-photos-1"),
        ("imagenet_resized/32x32", "byol-imagenet_resized-32x32-1"),
    ],
)
def test_new_runs_are_named_by_method_and_data(tmp_path, dataset, name):
    recipe = resolve(CATALOG, "byol", [flag("data.dataset", dataset)])
    assert new_workdir(recipe, tmp_path) == tmp_path / name
    (tmp_path / name).mkdir()
    assert new_workdir(recipe, tmp_path).name == name[:-1] + "2"
