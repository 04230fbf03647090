"""Recipes against what the papers print: values with their places, and results with their runs."""

from pathlib import Path

import pytest

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
from keras_ssl.core.errors import UserError
from keras_ssl.recipes import RECIPES
from pipelines.views.policies import POLICIES, ViewPolicy

CATALOG = Catalog(tuple(POLICIES), declared(ViewPolicy))

RESNET8 = {
    "backbone.name": "resnet8",
    "augment.jitter_probability": 0.1,
    "augment.grayscale": 0.1,
    "augment.noise": 0.03,
    "training.batch_size": 64,
    "optimizer.learning_rate": 1e-4,
}
RESNET50 = {
    "backbone.name": "resnet50",
    "optimizer.learning_rate": 0.5,
    "optimizer.weight_decay": 1e-4,
    "optimizer.variant": "larc",
    "optimizer.trust_coefficient": 0.001,
    "training.batch_size": 256,
    "method.momentum": 0.99,
}
SEM_IMAGENET = {
    "optimizer.weight_decay": 1e-6,
    "optimizer.trust_coefficient": 0.001,
    "training.batch_size": 256,
    "training.epochs": 200,
    "method.momentum": 0.99,
}
# Place, method, recipe, what is printed there; rates as they are at the paper's batch.
PRINTED = [
    ("CPLearn, tables 5 to 7", "cplearn", "cifar10/resnet8", {**RESNET8, "training.epochs": 200}),
    ("CPLearn, sec. 4", "cplearn", "cifar10/resnet8", {"method.hidden_dim": 128}),
    ("CPLearn, table 7", "cplearn", "cifar10/resnet8", {"method.beta": 0.05}),
    ("CPLearn, tables 5 to 7", "cplearn", "cifar100/resnet8", {**RESNET8, "training.epochs": 200}),
    ("CPLearn, sec. 4", "cplearn", "cifar100/resnet8", {"method.hidden_dim": 256}),
    ("CPLearn, table 6", "cplearn", "small/svhn", {**RESNET8, "training.epochs": 20}),
    ("CPLearn, table 6", "cplearn", "small/svhn", {"augment.flip": 0.0}),
    ("CPLearn, sec. 4", "cplearn", "small/svhn", {"method.hidden_dim": 128, "backbone.width": 128}),
    ("CPLearn, table 6", "gedi", "small/svhn", {**RESNET8, "augment.flip": 0.0}),
    ("CPLearn, table 6", "gedi_nogen", "cifar100/resnet8", RESNET8),
    ("CPLearn, sec. 4", "cplearn", "imagenet", {"method.hidden_dim": 384}),
    ("CPLearn, appendix M", "cplearn", "imagenet", {"method.beta": 0.25}),
    ("CPLearn, table 2, c = f", "cplearn", "cifar10/complete", {"method.num_codes": 512}),
    ("CPLearn, appendix L", "cplearn", "cifar10/complete", {"method.beta": 1.0}),
    ("SEM, table 6", "byol", "cifar100/resnet50", RESNET50),
    ("SEM, table 6", "sem_byol", "cifar100/resnet50", RESNET50),
    ("SEM, table 14", "sem_byol", "cifar100/resnet50", {"neck.temperature": 1.0}),
    ("SEM, table 17", "sem_byol", "cifar100/resnet50_blocks8", {**RESNET50, "neck.num_blocks": 8}),
    ("SEM, table 17", "sem_byol", "cifar100/blocks8", {"neck.num_blocks": 8}),
    ("SEM, table 18", "sem_byol", "cifar100/no_norm", {"optimizer.weight_decay": 1e-5}),
    ("SEM, table 18", "sem_byol", "cifar100/no_norm_no_decay", {"neck.embedder_norm": False}),
    ("SEM, table 16", "byol", "imagenet/sem_baseline", SEM_IMAGENET),
    ("SEM, table 16", "sem_byol", "imagenet", SEM_IMAGENET),
    ("SEM, table 15", "sem_byol", "imagenet", {"neck.temperature": 0.16, "neck.simplex_size": 21}),
    ("Cosentino, sec. 2", "simclr", "cifar100/geometry", {"method.projection_bias": False}),
    ("Cosentino, sec. 2", "simclr", "cifar100/geometry", {"optimizer.learning_rate": 4.0}),
    ("Cosentino, sec. 2", "simclr", "cifar100/geometry", {"optimizer.weight_decay": 1e-6}),
    ("Cosentino, sec. 2", "simclr", "cifar100/geometry", {"method.projection_dim": 128}),
    ("Cosentino, eq. 1", "simclr", "cifar100/geometry", {"method.objective": "decoupled"}),
    ("Cosentino, fig. 6", "simclr", "cifar100/geometry", {"training.epochs": 500}),
    ("SimMER, table 4", "simmer", "cifar10/views10", {"augment.num_views": 10}),
    ("SimMER, sec. 3.1", "simmer", "cifar10", {"method.alpha_rank": 2e-4, "training.epochs": 800}),
]
# Place, method, data set, changes to its recipe, result.
RESULTS = [
    ("SEM, table 1", "moco", "cifar100", [], "69.3"),
    ("SEM, table 1", "swav", "cifar100", [], "64.6"),
    ("SEM, table 1", "sem_byol", "cifar100", [], "73.9"),
    ("SEM, table 17", "sem_byol", "cifar100", ["neck.num_blocks=8"], "73.3"),
    ("SEM, table 18", "sem_byol", "cifar100", ["neck.embedder_norm=false"], "57.9"),
    ("SEM, table 18", "sem_byol", "cifar100", ["optimizer.weight_decay=0"], "68.3"),
    ("SimMER, table 4", "simmer", "cifar10", ["augment.num_views=10"], "92.61"),
    ("CPLearn, table 2", "cplearn", "cifar10", ["method.num_codes=512"], "91.6"),
    ("CPLearn, table 1", "cplearn", "svhn_cropped", [], "75"),
    ("CPLearn, table 3", "cplearn", "imagenet100", [], "78.0"),
    ("Zbontar, table 1", "barlow_twins", "imagenet2012", [], "73.2"),
]


def on(dataset, *texts):
    return [Override("data.dataset", dataset, "--dataset"), *map(parse_set, texts)]


@pytest.mark.parametrize("place, method, name, printed", PRINTED)
def test_a_recipe_has_what_its_paper_prints(place, method, name, printed):
    recipe = resolve(CATALOG, method, family=name)
    settings = {key: value for key, (value, _) in recipe.settings.items()}
    if printed.get("optimizer.learning_rate") == 1e-4:
        settings["optimizer.learning_rate"] = recipe.scaled(recipe.optimizer.learning_rate)
    assert {key: settings[key] for key in printed} == pytest.approx(printed), place


@pytest.mark.parametrize("place, method, dataset, texts, result", RESULTS)
def test_a_run_as_published_expects_the_published_result(place, method, dataset, texts, result):
    expected = resolve(CATALOG, method, on(dataset, *texts)).expected
    assert expected.startswith(f"{result} % linear") and place.split(",")[1] in expected


@pytest.mark.parametrize(
    "method, dataset, text, differs",
    [
        ("sem_byol", "cifar100", "neck.embedder=mlp", "neck.embedder=linear"),
        ("sem_byol", "cifar100", "training.epochs=999", "training.epochs=1000"),
        ("sem_byol", "cifar100", "neck.kind=gumbel", "neck.kind=sem"),
        ("byol", "cifar100", "augment.blur=0.5", "no augment.blur"),
        ("cplearn", "cifar10", "backbone.name=resnet8", "backbone.name=resnet18"),
        ("swav", "imagenet100", "training.seed=0", "data.dataset=imagenet2012"),
        ("cplearn", "imagenet2012", "training.seed=0", "data.dataset=imagenet100"),
        ("byol", "cifar100#coarse_label", "training.seed=0", "data.dataset=cifar100"),
    ],
)
def test_a_changed_run_is_not_promised_the_result(method, dataset, text, differs):
    recipe = resolve(CATALOG, method, on(dataset, text))
    assert recipe.expected.startswith("not published; ")
    assert recipe.expected.endswith(f" is with {differs}")
    assert from_json(to_json(recipe), CATALOG).expected == recipe.expected
    assert "expected: not published; " in format_recipe(recipe)


def test_a_result_holds_whatever_does_not_affect_training():
    texts = ("training.seed=7", "training.precision=float32", "augment.where=device")
    changed = resolve(CATALOG, "byol", on("cifar100:3.0.2", *texts, "evaluation.clusters=false"))
    assert changed.expected == resolve(CATALOG, "byol", on("cifar100")).expected
    assert changed.expected.startswith("70.7 % linear")


def test_a_setting_like_no_published_one_promises_nothing():
    assert resolve(CATALOG, "byol").expected == ""
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


def test_the_table_of_sizes_implies_the_clusters_of_gedi():
    """CPLearn, table 8: 47 MB, of a ResNet-18 of CIFAR, 512 -> 2048 -> clusters, in float32."""
    method = resolve(CATALOG, "gedi_nogen", family="cifar10").method
    hidden, clusters = method["hidden_dim"], method["num_clusters"]
    backbone, norm = 11_168_832 + 2 * 4800, 4 * hidden  # with running means and variances
    numbers = backbone + norm + (512 + 1) * hidden + (hidden + 1) * clusters
    assert round(4 * numbers / 2**20) == 47


def test_small_crops_of_dino_are_blurred_half_of_the_time():
    """DINO's code, DataAugmentationDINO: 1.0 and 0.1 for the views, 0.5 for the crops."""
    augment = resolve(CATALOG, "dino", family="imagenet").augment
    views, [crop, _] = POLICIES[augment.policy], POLICIES[augment.local_policy]
    assert [view.blur for view in views] == [1.0, 0.1]
    assert (crop.blur, crop.solarize) == (0.5, 0.0)
    colors = ("jitter_probability", "brightness", "contrast", "saturation", "hue", "grayscale")
    assert [getattr(crop, name) for name in colors] == [getattr(views[0], name) for name in colors]
