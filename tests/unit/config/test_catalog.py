"""What is read from the source text is what importing gives."""

import ast
import inspect
import re
from typing import Annotated, Literal

import pytest

import keras_ssl
from keras_ssl.config.catalog import _kind, parse_docstring, read_table
from keras_ssl.config.values import Setting
from keras_ssl.core.bounds import Entries, Share, Weight, Width
from tests.unit.config import CATALOG


def test_tables_read_as_text_are_the_tables():
    assert list(CATALOG.methods) == list(keras_ssl.METHODS)
    assert list(CATALOG.backbones) == list(keras_ssl.BACKBONES)
    assert list(CATALOG.optimizers) == list(keras_ssl.OPTIMIZERS)


def settings_in_signatures(cls):
    """The arguments with an annotation and a default, of a method and of the classes it extends."""
    own = cls.__mro__[: cls.__mro__.index(keras_ssl.Method)]
    parameters = [p for base in own for p in inspect.signature(base).parameters.values()]
    return [p for p in parameters if inspect.Parameter.empty not in (p.annotation, p.default)]


@pytest.mark.parametrize("name", CATALOG.methods)
def test_hyper_parameters_read_as_text_are_those_of_the_signature(name):
    parameters = settings_in_signatures(keras_ssl.METHODS[name])
    defaults = {p.name: p.default for p in parameters}
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


def test_annotations_that_are_no_types_and_bounds_are_refused():
    for text in ("__import__('os')", "int.__class__", "unknown", "lambda: 1"):
        with pytest.raises(ValueError, match="cannot be read"):
            _kind(ast.parse(text, mode="eval").body)
    assert _kind(ast.parse("tuple[int, ...] | None", mode="eval").body) == tuple[int, ...] | None


def test_tables_are_found_between_other_assignments(tmp_path):
    folder = tmp_path / "things"
    folder.mkdir()
    text = 'a, b = 1, 2\nc, d = divmod(3, 2)\n\n\nclass A:\n    """One."""\n\n\nTHINGS = {"a": A}\n'
    (folder / "__init__.py").write_text(text)
    assert list(read_table("things", tmp_path)) == ["a"]
