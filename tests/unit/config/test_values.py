"""How values are read as their types."""

from typing import Literal

import pytest

from keras_ssl.config import Override, resolve
from keras_ssl.config.recipe import available
from keras_ssl.config.values import Setting, as_text, read
from keras_ssl.core.errors import UserError
from tests.unit.config import CATALOG, EVERY, settings_of


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


@pytest.mark.parametrize("name, family", EVERY)
def test_values_as_they_are_printed_can_be_set(name, family):
    recipe = resolve(CATALOG, name, family=family)
    optimizer = Override("optimizer.name", recipe.optimizer.name, "default")
    space = available(CATALOG, name, optimizer)
    for key, value in settings_of(recipe).items():
        assert read(space[key], as_text(value), key) == value
