"""How the recipe of a run is made of defaults, recipes, flags and `--set`."""

import pytest

from keras_ssl.config import format_method, format_recipe, parse_set, resolve
from keras_ssl.config.resolution import provenance, recipe_names, recipe_of
from keras_ssl.core.errors import UserError
from keras_ssl.recipes import RECIPES
from keras_ssl.recipes.families import BUILT_ON, FAMILIES, family_in, levels_of
from pipelines.views.policies import policy_for
from tests.unit.config import CATALOG, EVERY, flag, settings_of


@pytest.mark.parametrize("name, family", EVERY)
def test_every_recipe_resolves_and_says_where_it_comes_from(name, family):
    recipe = resolve(CATALOG, name, family=family)
    assert recipe.source
    own = RECIPES.get(name, {}).get(family)
    kind = own and own.settings.get("neck.kind")
    assert recipe.neck.kind == (kind or ("sem" if name.startswith("sem_") else "none"))
    views = policy_for(recipe.augment.policy, recipe.augment.num_views, **recipe.augment.overrides)
    assert len(views) == recipe.augment.num_views
    assert f"method {name}, recipe {family}" in format_recipe(recipe)
    assert family in format_method(CATALOG, name)


@pytest.mark.parametrize("name, family", [pair for pair in EVERY if pair[0].startswith("sem_")])
def test_sem_changes_only_what_its_recipes_say(name, family):
    base = name.removeprefix("sem_")
    start = family if family in recipe_names(base) else family_in(family)
    plain = settings_of(resolve(CATALOG, base, family=start))
    for key, (value, origin) in resolve(CATALOG, name, family=family).settings.items():
        # A protocol of fine-tuning brings other defaults.
        sem = origin.startswith("recipe sem") or key.startswith(("neck.", "finetune."))
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
        ("simmer", "mini_imagenet", {"data.image_size": 84, "method.num_layers": 3}),
        ("wmse", "imagenet", {"method.whitening_size": 256, "method.projection_dim": 128}),
        ("simclr", "imagenet", {"augment.policy": "imagenet_simclr"}),  # Google's arithmetic
        ("moco", "imagenet", {"augment.policy": "moco_v2", "optimizer.learning_rate": 0.03}),
    ],
)
def test_published_settings(name, family, expected):
    settings = settings_of(resolve(CATALOG, name, family=family))
    assert {key: settings[key] for key in expected} == expected


@pytest.mark.parametrize("name", CATALOG.methods)
def test_every_method_has_a_recipe_of_its_own_for_every_kind_of_data(name):
    roots = set(FAMILIES) - set(BUILT_ON)
    assert roots <= set(RECIPES[name])
    assert {levels_of(recipe)[0] for recipe in RECIPES[name]} == roots


@pytest.mark.parametrize("family, root", BUILT_ON.items())
def test_a_family_built_on_another_changes_only_what_it_says(family, root):
    said = {
        "svhn": {"augment.flip", "finetune.flip"},
        "mini_imagenet": {"data.image_size", "data.test_crop"},
    }
    for name in ("byol", "sem_byol", "vicreg", "cpc"):
        there = settings_of(resolve(CATALOG, name, family=root))
        here = settings_of(resolve(CATALOG, name, family=family))
        differ = {key for key in here if here[key] != there.get(key)}
        assert {key for key in differ if not key.startswith("evaluation.")} == said.get(
            family, set()
        )


def test_former_names_of_recipes_are_known():
    assert resolve(CATALOG, "cplearn", family="small/svhn").family == "svhn"
    assert resolve(CATALOG, "simclr", family="cifar100/geometry").family.endswith("_large")


@pytest.mark.parametrize("name, family", [pair for pair in EVERY if pair[0].startswith("sem_")])
def test_the_source_of_a_recipe_with_sem_says_where_sem_has_its_settings_from(name, family):
    source, expected = provenance(name, family)
    own = RECIPES.get(name, {})
    published = any(level in own and own[level].source for level in levels_of(family))
    assert source.startswith("SEM") and source.endswith(provenance(name[4:], family)[0])
    assert ("in no paper here" in source or "of our own" in source) is not published
    assert published or not expected


# Overrides.


def test_set_beats_flag_beats_recipe_beats_default():
    assert resolve(CATALOG, "byol").settings["training.seed"] == (0, "default")
    by_recipe = resolve(CATALOG, "byol").settings["method.momentum"]
    assert by_recipe == (0.98, "recipe byol/digits")
    overrides = [flag("training.epochs", "40"), parse_set("method.momentum=0.9")]
    recipe = resolve(CATALOG, "byol", overrides)
    assert recipe.settings["training.epochs"] == (40, "--epochs")
    assert recipe.settings["method.momentum"] == (0.9, "--set")
    assert (recipe.training.epochs, recipe.method["momentum"]) == (40, 0.9)
    both = resolve(CATALOG, "byol", [overrides[0], parse_set("training.epochs=50")])
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
        ("svhn_cropped", "svhn"),
        ("mini_imagenet", "mini_imagenet"),
    ],
)
def test_the_data_set_chooses_the_recipe(dataset, family):
    assert recipe_of(dataset) == family
    overrides = [flag("data.dataset", dataset)]
    assert resolve(CATALOG, "cplearn", overrides).family == family
    assert resolve(CATALOG, "byol", overrides).family == family
    assert resolve(CATALOG, "byol", overrides, "imagenet").family == "imagenet"


def test_another_optimizer_starts_from_its_own_defaults():
    overrides = [parse_set("optimizer.name=sgd"), flag("optimizer.learning_rate", "0.1")]
    recipe = resolve(CATALOG, "byol", overrides, "cifar10")
    assert recipe.optimizer.options["weight_decay"] == 0.0
    assert "trust_coefficient" not in recipe.optimizer.options
    with pytest.raises(UserError, match="optimizer.learning_rate has no default"):
        resolve(CATALOG, "byol", overrides[:1], "cifar10")


def test_the_same_optimizer_keeps_what_the_recipe_says():
    recipe = resolve(CATALOG, "byol", [parse_set("optimizer.name=lars")], "cifar10")
    assert recipe.optimizer.options["trust_coefficient"] == 0.02


def test_another_backbone_starts_from_its_own_defaults():
    recipe = resolve(CATALOG, "byol", [flag("backbone.name", "tiny")], "cifar10")
    assert recipe.backbone.options == {}
    assert resolve(CATALOG, "byol", family="cifar10").backbone.options == {"stem_padding": 2}


def test_policy_fields_are_overridden_only_where_given():
    assert resolve(CATALOG, "byol").augment.overrides == {}
    recipe = resolve(CATALOG, "byol", [parse_set("augment.crop_scale=0.5,1")])
    assert recipe.augment.overrides == {"crop_scale": (0.5, 1.0)}


def test_a_short_run_warms_up_for_half_of_its_epochs():
    recipe = resolve(CATALOG, "byol", [flag("training.epochs", "3")])
    assert recipe.settings["schedule.warmup_epochs"] == (1.5, "half of --epochs")
    with pytest.raises(UserError, match="leaves nothing of 3 epochs"):
        overrides = [flag("training.epochs", "3"), parse_set("schedule.warmup_epochs=3")]
        resolve(CATALOG, "byol", overrides)


@pytest.mark.parametrize(
    "text, words",
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
def test_overrides_that_cannot_be_are_refused(text, words):
    with pytest.raises(UserError, match=words):
        resolve(CATALOG, "byol", [parse_set(text)])


def test_an_end_of_the_momentum_exists_only_for_methods_with_one():
    assert resolve(CATALOG, "byol").schedule.final_momentum == 1.0
    with pytest.raises(UserError, match="Unknown setting"):
        resolve(CATALOG, "simclr", [parse_set("schedule.final_momentum=1")])
