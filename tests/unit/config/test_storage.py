"""Recipes on disk."""

from pathlib import Path

import pytest

from keras_ssl.config import (
    from_json,
    load,
    new_workdir,
    override,
    parse_set,
    resolve,
    save,
    to_json,
)
from keras_ssl.core.errors import UserError
from tests.unit.config import CATALOG, EVERY, flag


@pytest.mark.parametrize("name, family", EVERY)
def test_a_recipe_survives_json(name, family):
    recipe = resolve(CATALOG, name, [flag("training.epochs", "7")], family)
    assert from_json(to_json(recipe), CATALOG) == recipe


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
    assert override(recipe, [flag("training.epochs", "30")]) == recipe
    with pytest.raises(UserError, match="training.epochs=30 and cannot resume with 40"):
        override(recipe, [flag("training.epochs", "40")])
    with pytest.raises(UserError, match="Did you mean 'training.epochs'"):
        override(recipe, [parse_set("training.epoch=40")])


def test_a_run_may_be_evaluated_otherwise_and_on_other_data():
    recipe = resolve(CATALOG, "byol")
    other = override(recipe, [parse_set("evaluation.knn_neighbours=5")])
    assert other.evaluation.knn_neighbours == 5 and other.training == recipe.training
    other = [flag("data.dataset", "npz:/other.npz")]
    with pytest.raises(UserError, match="cannot resume"):
        override(recipe, other)
    assert override(recipe, other, ["data.dataset"]).data.dataset == "npz:/other.npz"


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
    overrides = [flag("data.dataset", given), flag("data.data_dir", "tfds")]
    save(resolve(CATALOG, "byol", overrides), "run")
    again = load("run", CATALOG)
    assert override(again, overrides) == again  # said again, it is the same
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
