"""What a user may import: listed by hand, documented with an example, typed."""

import importlib
import re
from pathlib import Path

import keras
import pytest

ROOT = Path(__file__).parents[2]
OURS = ("keras_ssl", "pipelines", "export")
PACKAGES = [
    "export",
    "keras_ssl",
    "keras_ssl.analysis",
    "keras_ssl.backbones",
    "keras_ssl.config",
    "keras_ssl.evaluation",
    "keras_ssl.layers",
    "keras_ssl.losses",
    "keras_ssl.methods",
    "keras_ssl.optimizers",
    "keras_ssl.report",
    "keras_ssl.schedules",
    "keras_ssl.training",
    "pipelines",
]
NAMES = [
    (package, name)
    for package in PACKAGES
    for name in importlib.import_module(package).__all__
    if callable(getattr(importlib.import_module(package), name))
]


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_listed_once_and_exist(package):
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    # A function that is called like its module would hide it.
    assert [
        name
        for name in module.__all__
        if (ROOT / package.replace(".", "/") / f"{name}.py").exists()
    ] == []


@pytest.mark.parametrize("package, name", NAMES)
def test_every_public_name_has_a_docstring_with_an_example(package, name):
    text = getattr(importlib.import_module(package), name).__doc__ or ""
    assert ">>>" in text


def test_importing_the_package_registers_the_classes_of_its_layers_and_methods():
    for package in ("layers", "methods", "schedules", "optimizers"):
        module = importlib.import_module(f"keras_ssl.{package}")
        for name in module.__all__:
            public = getattr(module, name)
            if isinstance(public, type) and name != "Method":
                registered = keras.saving.get_registered_object(f"keras_ssl>{name}")
                assert registered is public, name


def test_every_public_function_says_its_types():
    missing = []
    for package, name in NAMES:
        public = getattr(importlib.import_module(package), name)
        if isinstance(public, type) or not public.__module__.startswith(OURS):
            continue
        hints = public.__annotations__
        code = public.__code__
        arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        missing += [f"{name}({each})" for each in [*arguments, "return"] if each not in hints]
    assert missing == []


def test_documents_import_public_names_alone():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")]
    texts.append((ROOT / "README.md").read_text(encoding="utf-8"))
    code = r"""^ {4}(?:.*python -c ["'](?:.*; )?)?from (\S+) import ([^;"'\n]+)"""
    found = [pair for text in texts for pair in re.findall(code, text, re.M)]
    ours = [(package, names) for package, names in found if package.split(".")[0] in OURS]
    assert ours
    for package, names in ours:
        listed = importlib.import_module(package).__all__
        names = [name.split(" as ")[0] for name in names.split(", ")]
        assert [name for name in names if name not in listed] == [], package
