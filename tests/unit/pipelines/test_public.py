"""`pipelines` offers its functions by name, and loads nothing before one is asked for."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import pipelines


@pytest.mark.parametrize("name", pipelines.__all__)
def test_every_public_name_is_there(name):
    home = importlib.import_module(pipelines._HOMES[name])
    assert getattr(pipelines, name) is getattr(home, name) and name in dir(pipelines)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        pipelines.lod  # noqa: B018


def test_the_package_alone_imports_nothing_slow():
    code = "import sys, pipelines; assert not {'tensorflow', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_type_checkers_are_told_the_same_names():
    stub = ast.parse(Path(pipelines.__file__).with_suffix(".pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    told = {alias.name: node.module for node in imports for alias in node.names}
    assert told == pipelines._HOMES
