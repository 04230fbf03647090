"""Recipes against what the papers print: values with their places, and results with their runs."""

from pathlib import Path

import numpy as np
import pytest

import keras_ssl
from keras_ssl.config import (
    Catalog,
    Override,
    declared,
    format_method,
    format_recipe,
    from_json,
    parse_set,
    resolve,
    to_json,
)
from keras_ssl.config.published import changed, words
from keras_ssl.core.errors import UserError
from keras_ssl.recipes import RECIPES
from keras_ssl.recipes.cplearn import BETAS
from keras_ssl.recipes.families import PUBLISHED_ON, family_in
from pipelines.views.policies import POLICIES, ViewPolicy, policy_for
from tests.papers.results import accuracies, cplearn_results
from tests.papers.settings import CPLEARN_TABLE_7, ROWS

CATALOG = Catalog(tuple(POLICIES), declared(ViewPolicy))


def on(dataset, *texts):
    return [Override("data.dataset", dataset, "--dataset"), *map(parse_set, texts)]


def value_of(recipe, key):
    """What a recipe has for a key of the tables."""
    if key == "rate":
        return recipe.scaled(recipe.optimizer.learning_rate)
    if key == "neck.target_temperature" and recipe.neck.target_temperature is None:
        return recipe.neck.temperature
    return recipe.settings[key][0]


CASES = [(row, name) for row in ROWS for name in row.recipes]


@pytest.mark.parametrize("row, name", CASES, ids=[f"{row.place}-{name}" for row, name in CASES])
def test_a_recipe_has_what_its_paper_prints(row, name):
    method, family = name.split()
    recipe = resolve(CATALOG, method, family=family)
    augment = recipe.augment
    views = policy_for(augment.policy, augment.num_views, **augment.overrides)
    for part, printed in row.printed.get("views", {}).items():
        has = [getattr(view, part) for view in views]
        np.testing.assert_allclose(has, printed, err_msg=part)
    for key in row.printed.keys() - {"views"}:
        printed, has = row.printed[key], value_of(recipe, key)
        if key in row.deviates:
            assert has != pytest.approx(printed), f"{row.place}: {key} deviates no longer"
            printed, _ = row.deviates[key]
        assert has == pytest.approx(printed), key


def test_the_weights_of_agreement_are_those_of_cplearns_table_7():
    assert BETAS == CPLEARN_TABLE_7
    text = CATALOG.methods["cplearn"].settings["beta"].meaning
    assert "0.25 for 256 and 512, 0.1 for 1024 to 4096, 0.05 for 8192 and 16384" in text


def test_adam_has_the_averages_of_cplearns_table_6():
    adam = keras_ssl.Adam(1e-4)
    assert (adam.beta_1, adam.beta_2) == (0.9, 0.999)


def published(place, name, metric="accuracy"):
    """What a recipe says to be printed in a place: {value: standard deviation}."""
    method, family = name.split()
    results = RECIPES[method][family].results
    own = [r for r in results if r.place == place and r.metric == metric and not r.dataset]
    return {result.value: result.std for result in own}


@pytest.mark.parametrize("place, name, value, std", list(accuracies()))
def test_recipes_have_the_printed_accuracies(place, name, value, std):
    assert published(place, name)[value] == std


@pytest.mark.parametrize("place, name, metric, value, std", list(cplearn_results()))
def test_recipes_have_the_results_of_cplearns_tables(place, name, metric, value, std):
    [(has, spread)] = published(place, name, metric).items()
    assert float(has) == pytest.approx(value)
    assert (float(spread) if spread else None) == (None if std is None else pytest.approx(std))


@pytest.mark.parametrize("method, name", [(m, n) for m in RECIPES for n in RECIPES[m]])
def test_a_run_as_published_expects_the_published_result(method, name):
    part = RECIPES[method][name]
    if not part.results:
        return
    dataset = PUBLISHED_ON[family_in(name)]
    expected = resolve(CATALOG, method, on(dataset), name).expected
    same = [other for other in RECIPES[method].values() if other.settings == part.settings]
    assert any(words(other.results) == expected for other in same)


@pytest.mark.parametrize(
    "method, dataset, texts, result",
    [
        ("sem_byol", "cifar100", ["neck.num_blocks=8"], "73.3 % linear (SEM, table"),
        ("sem_byol", "cifar100", ["neck.kind=gumbel"], "48.6 % linear on gumbel (SEM, table 2)"),
        ("sem_byol", "cifar100", ["optimizer.weight_decay=0"], "68.3 % linear"),
        ("simmer", "cifar10", ["augment.num_views=10"], "92.61 % linear (SimMER, table 4)"),
        ("cplearn", "cifar10", ["method.num_codes=512"], "91.6 % linear, online, 47.4 % NMI"),
        ("cplearn", "svhn_cropped", ["method.activation=l2"], "78 % linear, 31 % NMI"),
        ("barlow_twins", "imagenet100", ["method.projection_dim=128"], "66.9 % linear"),
    ],
)
def test_a_published_result_is_found_however_its_settings_are_given(method, dataset, texts, result):
    assert resolve(CATALOG, method, on(dataset, *texts)).expected.startswith(result)


@pytest.mark.parametrize(
    "method, dataset, text, differs",
    [
        ("sem_byol", "cifar100", "neck.embedder=mlp", "neck.embedder=linear"),
        ("sem_byol", "cifar100", "training.epochs=999", "training.epochs=1000"),
        ("sem_simclr", "cifar100", "neck.kind=gumbel", "neck.kind=sem"),
        ("byol", "cifar100", "augment.blur=0.5", "no augment.blur"),
        ("cplearn", "cifar10", "backbone.name=resnet8", "backbone.name=resnet18"),
        ("vicreg", "imagenet100", "training.seed=0", "data.dataset=imagenet2012"),
        ("byol", "cifar100#coarse_label", "training.seed=0", "data.dataset=cifar100"),
    ],
)
def test_a_changed_run_is_not_promised_the_result(method, dataset, text, differs):
    recipe = resolve(CATALOG, method, on(dataset, text))
    assert recipe.expected.startswith("not published; ")
    assert recipe.expected.endswith(f" is with {differs}")
    assert from_json(to_json(recipe), CATALOG).expected == recipe.expected
    assert "expected: not published; " in format_recipe(recipe)


def test_a_setting_that_only_the_published_run_has_is_a_difference():
    recipe = resolve(CATALOG, "byol", on("cifar100"))
    ours, theirs = recipe.settings, {key: value for key, (value, _) in recipe.settings.items()}
    assert changed({**theirs, "augment.noise": 0.03}, ours) == ["augment.noise=0.03"]


def test_a_result_holds_whatever_does_not_affect_training():
    texts = ("training.seed=7", "training.precision=float32", "augment.where=device")
    other = resolve(CATALOG, "byol", on("cifar100:3.0.2", *texts, "evaluation.clusters=false"))
    assert other.expected == resolve(CATALOG, "byol", on("cifar100")).expected
    assert other.expected.startswith("70.7 % linear")


def test_a_result_says_with_what_it_was_measured_where_the_run_measures_otherwise():
    recipe = resolve(CATALOG, "byol", on("cifar100", "evaluation.probe=lars"))
    assert recipe.expected.endswith("(SEM, table 1), measured with evaluation.probe=sem_sgd")
    cached = resolve(CATALOG, "byol", on("cifar100", "evaluation.probe_views=cached"))
    assert cached.expected.endswith(", measured with evaluation.probe_views=augmented")
    whole = resolve(CATALOG, "sem_byol", on("imagenet2012", "data.test_crop=1"))
    assert whole.expected == "74.1 % linear (SEM, table 3), measured with data.test_crop=0.875"
    online = resolve(CATALOG, "byol", on("cifar10", "evaluation.probe=lars"))
    assert "measured with" not in online.expected  # a classifier trained along with it


def test_tables_3_to_5_of_sem_are_published_for_its_runs_on_imagenet():
    for name, recipe, shifted, transfer, finetuned, few in (
        ("byol", "imagenet/sem_baseline", "59.2 18.8 39.5 1.65", "74.2", "83.1", "51.6 67.5"),
        ("sem_byol", "imagenet", "61.2 22.1 43.4 2.53", "74.7", "84.7", "56.7 69.9"),
    ):
        found = {}
        for result in RECIPES[name][recipe].results:
            found.setdefault((result.place, result.task, result.metric), []).append(result)
        of = {key: " ".join(result.value for result in results) for key, results in found.items()}
        assert of["SEM, table 3", "shifted probe", "accuracy"] == shifted
        assert of["SEM, table 4", "transfer", "accuracy"].split()[0] == transfer
        assert of["SEM, table 4", "finetune", "accuracy"].split()[0] == finetuned
        assert of["SEM, table 5", "finetune", "accuracy"] == few
        assert all(r.dataset for r in found["SEM, table 4", "transfer", "accuracy"])


def test_a_result_follows_what_is_changed_later():
    recipe = resolve(CATALOG, "byol", on("cifar100"))
    longer = recipe.with_({"training.epochs": 2000}, origin="--epochs")
    assert longer.expected.startswith("not published; ")
    assert longer.expected.endswith(" is with training.epochs=1000")
    assert longer.with_({"training.epochs": 1000}, "--epochs").expected == recipe.expected


def test_a_setting_like_no_published_one_promises_nothing():
    assert resolve(CATALOG, "byol").expected == ""
    assert resolve(CATALOG, "cplearn", on("imagenet2012")).expected == ""
    assert resolve(CATALOG, "byol", on("svhn_cropped")).expected == ""


def test_published_runs_are_recipes_of_their_methods_only():
    listed = format_method(CATALOG, "byol")
    assert "cifar100/resnet50" in listed and "sets, beyond cifar100: " in listed
    with pytest.raises(UserError, match="Unknown recipe 'cifar100/resnet50'"):
        resolve(CATALOG, "simclr", family="cifar100/resnet50")


def test_every_named_run_is_in_the_documents():
    page = Path(__file__).parents[2].joinpath("docs", "methods.md").read_text(encoding="utf-8")
    names = {name for recipes in RECIPES.values() for name in recipes if "/" in name}
    assert [name for name in names if f"`{name}`" not in page] == []


# CPLearn, table 8: MB of the state, and of the whole checkpoint, which adds to it what the
# optimizer keeps of every weight that learns. Backbone and heads in float32.
BACKBONE, STATISTICS = 11_168_832, 2 * 4800  # of a ResNet-18 for CIFAR: weights, running averages
SIZES = {  # hidden layers and outputs, weights that do not learn, what the optimizer keeps
    ("barlow_twins", "cifar10"): ((2048, 2048, 2048), 0, 1, 79, 157),
    ("swav", "cifar10"): ((2048, 128, 3000), 2 * 3840 * 128, 1, 53, 102),
    ("gedi_nogen", "cifar10"): ((2048, 10), 0, 2, 47, 140),
    ("cplearn", "cifar10/complete"): ((2048,), 2048 * 512, 2, 51, 144),
    ("cplearn", "cifar10"): ((2048,), 2048 * 16384, 2, 175, 268),
    # Its classes are as large as CPLearn's codes, and nothing is kept of them: they are codes.
    ("self_classifier", "cifar10/classes512"): ((2048,), 2048 * 512, 2, 51, 144),
    ("self_classifier", "cifar10/classes16384"): ((2048,), 2048 * 16384, 2, 175, 268),
}


@pytest.mark.parametrize("method, name", SIZES)
def test_the_table_of_sizes_implies_heads_and_optimizers(method, name):
    widths, fixed, kept, state, checkpoint = SIZES[method, name]
    learn, below, averages = BACKBONE, 512, STATISTICS
    for place, width in enumerate(widths):
        learn += below * width
        if place == 0 or (place == 1 and method == "barlow_twins"):
            learn, averages = learn + 3 * width, averages + 2 * width
        below = width
    megabytes = [4 * number / 2**20 for number in (learn + averages + fixed, kept * learn)]
    assert megabytes[0] == pytest.approx(state, abs=0.6)
    assert sum(megabytes) == pytest.approx(checkpoint, abs=1.1)
    recipe = resolve(CATALOG, method, family=name)
    assert (recipe.optimizer.name.startswith("adam")) == (kept == 2)
    assert recipe.method["hidden_dim"] == 2048


def test_small_crops_of_dino_are_blurred_half_of_the_time():
    """DINO's code, DataAugmentationDINO: 1.0 and 0.1 for the views, 0.5 for the crops."""
    augment = resolve(CATALOG, "dino", family="imagenet").augment
    views, [crop, _] = POLICIES[augment.policy], POLICIES[augment.local_policy]
    assert [view.blur for view in views] == [1.0, 0.1]
    assert (crop.blur, crop.solarize) == (0.5, 0.0)
    colors = ("jitter_probability", "brightness", "contrast", "saturation", "hue", "grayscale")
    assert [getattr(crop, name) for name in colors] == [getattr(views[0], name) for name in colors]
