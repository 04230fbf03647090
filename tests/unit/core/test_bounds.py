"""Every numeric setting has bounds, on the command line and in Python, and says what fits."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

import keras_ssl
from keras_ssl.config import Catalog, declared
from keras_ssl.config.recipe import SECTIONS, Override, available
from keras_ssl.config.values import OPTIONAL, REQUIRED, Setting, read
from keras_ssl.core.bounds import describe, fits, members_of, parts
from keras_ssl.core.errors import UserError
from pipelines.views.policies import POLICIES, ViewPolicy

ROOT = Path(__file__).parents[3]
CATALOG = Catalog(tuple(POLICIES), declared(ViewPolicy))


def every_setting():
    """Every setting that any run has: {(key, where it is from): Setting}."""
    settings = {}
    for method in CATALOG.methods:
        for optimizer in CATALOG.optimizers:
            space = available(CATALOG, method, Override("optimizer.name", optimizer, "--set"))
            sources = {"method": method, "optimizer": optimizer}
            settings |= {(k, sources.get(k.split(".")[0], "")): s for k, s in space.items()}
    return settings


def numeric(kind):
    """The parts of an annotation that are numbers."""
    if parts(kind)[0] in (int, float):
        return [kind]
    return [leaf for part in members_of(kind) if part is not kind for leaf in numeric(part)]


SETTINGS = every_setting()
NUMERIC = {key: setting for key, setting in SETTINGS.items() if numeric(setting.kind)}
WRONG = ["0", "-1", "1e30", "-1e30", "1" + "0" * 400, "nan", "inf", "text", "", "none"]


def test_the_numeric_settings_are_all_there():
    sections = {key.split(".")[0] for key, _ in NUMERIC}
    assert sections == {"method", *SECTIONS} - {"export"}
    assert {source for key, source in NUMERIC if key.startswith("method.")} == set(CATALOG.methods)
    assert ("augment.blur_sigma", "") in NUMERIC and ("optimizer.momentum", "lars") in NUMERIC


@pytest.mark.parametrize("key", NUMERIC, ids=" ".join)
def test_every_number_that_can_be_set_has_two_finite_bounds(key):
    for kind in numeric(NUMERIC[key].kind):
        (mark,) = [m for m in parts(kind)[1] if hasattr(m, "low")]
        assert math.isfinite(mark.low) and math.isfinite(mark.high) and mark.low < mark.high
        assert abs(mark.low) < 1e10 and mark.high < 2**31
        assert not fits(-1, kind) and not fits(1e30, kind) and not fits(math.nan, kind)


@pytest.mark.parametrize("key", NUMERIC, ids=" ".join)
def test_whatever_is_given_is_taken_within_bounds_or_answered_with_what_fits(key):
    setting, name = NUMERIC[key], key[0]
    pair = [f"{text},{text}" for text in WRONG if text]
    for text in [*WRONG, *pair, "0.9,0.1"]:
        try:
            value = read(setting, text, name)
        except UserError as error:
            expected = f"{name} must be {describe(setting.kind)}. Received "
            assert str(error).startswith(expected) and "\n" not in str(error)
        else:
            assert fits(value, setting.kind)


@pytest.mark.parametrize("key", NUMERIC, ids=" ".join)
def test_defaults_are_within_their_bounds(key):
    default = NUMERIC[key].default
    assert default in (REQUIRED, OPTIONAL) or fits(default, NUMERIC[key].kind)


@pytest.mark.parametrize(
    "key, text, words",
    [
        ("training.epochs", "0", "a whole number from 1 to 1000000. Received 0."),
        (
            "optimizer.learning_rate",
            "0",
            "a number greater than 0 and at most 10000. Received 0",
        ),
        ("evaluation.temperatures", "1e-30", "each 0 or a number from 0.0001 to 1000, with"),
        ("augment.local_scale", "0.4,0.1", "the smallest first. Received (0.4, 0.1)."),
        ("finetune.shares", "", "1 or more values, each a number greater than 0 and at most 1,"),
        ("backbone.width", "0", "a whole number from 1 to 10000 or none. Received 0."),
        ("augment.num_views", "300000000", "a whole number from 1 to 100. Received 300000000."),
    ],
)
def test_messages_say_what_came_and_what_fits(key, text, words):
    with pytest.raises(UserError) as error:
        read(SETTINGS[key, "sgd" if key.startswith("optimizer") else ""], text, key)
    assert str(error.value).startswith(f"{key} must be ") and words in str(error.value)


def test_a_number_of_too_many_digits_is_no_number():
    with pytest.raises(UserError, match="must be a number"):
        read(Setting(float, None), 10**400, "key")


# From Python: the annotations are checked where a class is made.


@pytest.fixture(scope="module")
def encoder():
    return keras_ssl.create_backbone("tiny", (8, 8, 1))


@pytest.mark.parametrize("name", CATALOG.methods)
def test_methods_refuse_in_python_what_the_command_line_refuses(name, encoder):
    cls = keras_ssl.METHODS[name]
    for key, setting in CATALOG.methods[name].settings.items():
        if numeric(setting.kind):
            for wrong in (-1, 1e30, math.nan, "text"):
                with pytest.raises(UserError, match=f"^{key} must be .* Received"):
                    cls(encoder, **{key: wrong})


@pytest.mark.parametrize("name", CATALOG.optimizers)
def test_optimizers_refuse_in_python_what_the_command_line_refuses(name):
    cls = keras_ssl.OPTIMIZERS[name]
    keys = {k for k, s in CATALOG.optimizers[name].settings.items() if numeric(s.kind)}
    for key in keys | {"learning_rate", "constant_lr"}:
        for wrong in (-1, 1e30, math.nan, "text"):
            with pytest.raises(UserError, match=f"^{key} must be .* Received"):
                cls(**{"learning_rate": 0.1, key: wrong})


@pytest.mark.parametrize("field", [key for key in CATALOG.view_settings])
def test_views_refuse_in_python_what_the_command_line_refuses(field):
    if numeric(CATALOG.view_settings[field].kind):
        for wrong in (-1, 1e30, math.nan, "text", (-1, 1), (0.5, 1e30)):
            with pytest.raises(UserError, match=f"^{field} must be .* Received"):
                ViewPolicy(**{field: wrong})


def test_arguments_that_a_run_gives_are_checked_too(encoder):
    for wrong in ({"seed": -1}, {"seed": 2**31}, {"steps_per_epoch": 0}):
        with pytest.raises(UserError, match=f"^{next(iter(wrong))} must be a whole number"):
            keras_ssl.METHODS["simsiam"](encoder, **wrong)
    with pytest.raises(UserError, match="^num_images must be a whole number"):
        keras_ssl.METHODS["deepcluster"](encoder, num_images=0)


def test_vicreg_needs_a_weight_above_zero(encoder):
    nothing = dict.fromkeys(("invariance_weight", "variance_weight", "covariance_weight"), 0.0)
    with pytest.raises(UserError, match="all three weights are 0.*above 0"):
        keras_ssl.METHODS["vicreg"](encoder, **nothing)


# Without docstrings.


def test_python_without_docstrings_lists_and_shows_the_same():
    code = (
        "import contextlib, io, json, run\n"
        "for argv in (['--help'], ['--mode=list', '--method=sem_byol'], ['--mode=list'],\n"
        "             ['--method=sem_byol', '--show_recipe']):\n"
        "    out = io.StringIO()\n"
        "    with contextlib.redirect_stdout(out):\n"
        "        status = run.main(['run.py', *argv])\n"
        "    print(json.dumps([status, out.getvalue()]))\n"
    )
    printed = [
        subprocess.run(
            [sys.executable, *flags, "-c", code],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        ).stdout
        for flags in ([], ["-OO"])
    ]
    assert printed[0] == printed[1]
    assert all(json.loads(line)[0] == 0 for line in printed[0].splitlines())
