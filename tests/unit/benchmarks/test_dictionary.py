"""The comparison of dictionaries of several sizes."""

import types

import pytest

from benchmarks import dictionary
from benchmarks.common import new_recipe


@pytest.mark.parametrize(
    "codes, beta", [(10, 0.5), (64, 0.5), (256, 0.25), (4096, 0.1), (16384, 0.05), (10**6, 0.05)]
)
def test_the_weight_is_that_of_table_7_for_the_next_size(codes, beta):
    assert dictionary.beta_of(codes, dictionary.TABLE) == beta
    assert dictionary.beta_of(codes, "1") == 1.0


def test_a_run_has_the_settings_that_were_asked_for():
    options = types.SimpleNamespace(dataset="digits", rest=["--epochs=3"])
    recipe = new_recipe(*dictionary.flags_of(1024, dictionary.TABLE, 7, options))
    assert (recipe.method["num_codes"], recipe.method["beta"]) == (1024, 0.1)
    assert (recipe.training.seed, recipe.training.epochs) == (7, 3)


def summaries(*values):
    return [{key: value for key, _ in dictionary.COLUMNS.values()} for value in values]


def test_rows_are_means_over_the_seeds():
    lines = dictionary.format_table({("table", 256): summaries(1.0, 2.0)}).splitlines()
    assert lines[-1].startswith("| 256 | 0.25 | 2 | 1.5 |")


def test_the_picture_is_small(tmp_path):
    runs = {
        (beta, codes): summaries(codes % 7, codes % 9)
        for beta in ("1", "table")
        for codes in (10, 256, 16384)
    }
    dictionary.draw(runs, tmp_path / "codes.png")
    assert 0 < (tmp_path / "codes.png").stat().st_size < 100_000


@pytest.mark.slow
def test_a_run_is_trained_and_measured_once(tmp_path):
    options = types.SimpleNamespace(
        dataset="digits", rest=["--epochs=1", "--backbone=tiny", "--set=schedule.warmup_epochs=0"]
    )
    found = dictionary.run(tmp_path, 16, "1", 0, options)
    assert set(found) == {key for key, _ in dictionary.COLUMNS.values()}
    before = (tmp_path / "model.keras").stat().st_mtime_ns
    assert dictionary.run(tmp_path, 16, "1", 0, options) == pytest.approx(found)
    assert (tmp_path / "model.keras").stat().st_mtime_ns == before
