"""What a run's tables say of published results."""

from keras_ssl.config import Override, parse_set, resolve, save
from stages.published import target_of, write_run_tables
from tests.unit.config import CATALOG


def recipe_on(dataset, *texts):
    data = Override("data.dataset", dataset, "--dataset")
    return resolve(CATALOG, "sem_byol", [data, *map(parse_set, texts)])


def test_a_run_as_published_has_its_results_without_a_difference(tmp_path):
    target = target_of(recipe_on("cifar100"), tmp_path)
    assert target.results[0].value == "73.9" and target.augmented
    assert not target.differ and not target.measured


def test_a_difference_is_said(tmp_path):
    recipe = recipe_on("cifar100", "method.momentum=0.5", "evaluation.probe=adam")
    target = target_of(recipe, tmp_path)
    assert target.differ == ["method.momentum=0.99"]
    assert target.measured == ["evaluation.probe=sem_sgd"]


def test_an_evaluation_on_other_data_keeps_what_was_published_for_the_training(tmp_path):
    recipe = recipe_on("cifar100")
    save(recipe, tmp_path)
    target = target_of(recipe.with_({"data.dataset": "food101"}, "--dataset"), tmp_path)
    assert target.dataset == "cifar100" and not target.differ


def test_nothing_is_said_where_nothing_is_published(tmp_path):
    assert target_of(recipe_on("digits"), tmp_path) is None
    assert write_run_tables(recipe_on("digits"), tmp_path) is None
    assert (tmp_path / "results.md").exists()
