"""The programs that compare methods: what they ask for, and what they make of what came out."""

import json
import sys
import types
from pathlib import Path

import pytest

import run
from keras_ssl import recipes

sys.path.append(str(Path(run.__file__).parent / "benchmarks"))

import collapse  # noqa: E402
import comparison  # noqa: E402
import fit  # noqa: E402
import methods  # noqa: E402


def options(workdir, *rest, dataset="digits"):
    return types.SimpleNamespace(workdir=workdir, dataset=dataset, rest=list(rest))


def recipe_of(name, *flags):
    asked = run.parse_flags(["run.py", "--mode=pretrain", f"--method={name}", *flags])
    return run.recipe_of(asked, run.read_catalog())


def finished(workdir, *flags):
    """A run of which nothing is left but its recipe and its results."""
    recipes.save(recipe_of("simclr", *flags), workdir / "simclr")
    (workdir / "simclr" / "results.json").write_text("{}")


def test_a_finished_run_is_not_repeated(tmp_path):
    finished(tmp_path, "--epochs=7")
    assert comparison.train("simclr", options(tmp_path, "--epochs=7"))


@pytest.mark.parametrize(
    "made, asked, what",
    [
        (["--epochs=7"], ["--epochs=8"], "training.epochs=7, not 8"),
        (["--epochs=7"], [], "training.epochs=7"),  # nor less than it was made with
        ([], ["--set", "optimizer.weight_decay=0.5"], "optimizer.weight_decay=.*, not 0.5"),
        ([], ["--dataset=npz:other.npz"], "data.dataset=digits"),
    ],
)
def test_a_run_of_another_recipe_is_refused(made, asked, what, tmp_path):
    finished(tmp_path, "--recipe=digits", *made)
    with pytest.raises(run.UserError, match=what):
        comparison.train("simclr", options(tmp_path, "--recipe=digits", *asked))


def test_a_precision_that_the_hardware_chose_is_no_other_recipe(tmp_path):
    finished(tmp_path, "--precision=mixed_bfloat16")
    comparison.check_recipe(tmp_path / "simclr", ["--method=simclr"])
    with pytest.raises(run.UserError, match="training.precision"):
        comparison.check_recipe(tmp_path / "simclr", ["--method=simclr", "--precision=float32"])


def test_what_was_not_measured_is_an_empty_cell():
    summary = {
        "rank": 3.25,
        "seconds": None,
        "parameters": 2_000_000,
        "rows": {"random weights": {"knn": 10.0}, "pretrained": {"knn": 20.0, "linear": 30.0}},
    }
    *_, untrained, trained = methods.format_table(["byol"], [summary]).splitlines()
    assert untrained == "| random weights | 10.0 |  |  |  |  |  |"
    assert trained == "| `byol` | 20.0 | 30.0 |  | 3.2 |  | 2.00 M |"


@pytest.mark.parametrize("dataset", ["digits", "npz:images.npz"])
@pytest.mark.parametrize("name", collapse.CLAIMS)
def test_every_setting_of_a_claim_fits_every_recipe(name, dataset, tmp_path):
    for setting in collapse.CLAIMS[name].settings:
        where = collapse.options_of(name, setting, 0, options(tmp_path, dataset=dataset))
        recipe = recipe_of(name, f"--dataset={dataset}", *where.rest)
        for key, value in collapse.CLAIMS[name].settings[setting].items():
            assert recipe.settings[key][1] == "--set", (key, value)


@pytest.mark.parametrize("family", ["digits", "small", "imagenet"])
def test_byol_without_predictor_asks_for_no_learning_rate_of_it(family):
    wishes = [recipes.parse_set(f"{key}={value}") for key, value in collapse.NO_PREDICTOR.items()]
    recipe = recipes.resolve(run.read_catalog(), "byol", wishes, family)
    assert recipe.method["use_predictor"] is False
    assert recipe.optimizer.options["constant_lr_layers"] == ()
    assert recipe.optimizer.constant_lr is None


def test_a_measurement_is_made_once_and_kept(tmp_path):
    path = tmp_path / "collapse.json"
    measurements = iter([{"classes": 10}])
    assert comparison.kept(path, lambda: next(measurements)) == {"classes": 10}
    assert comparison.kept(path, lambda: next(measurements)) == json.loads(path.read_text())


def test_speed_of_the_stream_is_told_as_a_share_of_the_constant_batch():
    measured = {"stream": [(90.0, 0.1), (96.0, 0.2), (80.0, 0.3)], "constant": [(100.0, 0.0)] * 3}
    _, _, stream, constant, _, last = fit.format_table(measured).splitlines()
    assert stream == "| stream | 90 | 80 to 96 | 20.0% |"
    assert constant == "| constant | 100 | 100 to 100 | 0.0% |"
    assert last == "The stream has 90.0% of the constant batch."
