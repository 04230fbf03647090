"""Imports point one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What the files below a folder may import of the project.
ALLOWED = {
    "pipelines": {"pipelines", "keras_ssl.core"},
    "pipelines/ops": {"pipelines.ops", "keras_ssl.core"},
    "pipelines/images": {"pipelines.images", "pipelines.ops", "keras_ssl.core"},
    "pipelines/corruptions": {"pipelines.corruptions", "pipelines.ops", "keras_ssl.core"},
    "pipelines/data": {
        "pipelines.data",
        "pipelines.images",
        "pipelines.files",
        "keras_ssl.core",
    },
    "pipelines/views": {
        "pipelines.views",
        "pipelines.data",
        "pipelines.images",
        "pipelines.ops",
        "keras_ssl.core",
    },
    "export": {"export", "keras_ssl"},
    "stages": {"stages", "export", "pipelines", "keras_ssl"},
    "benchmarks": {"benchmarks", "stages", "export", "pipelines", "keras_ssl"},
    "keras_ssl": {"keras_ssl"},
    "keras_ssl/*.py": {
        "keras_ssl.factory",
        "keras_ssl.version",
        "keras_ssl.methods",
        "keras_ssl.backbones",
        "keras_ssl.layers",
        "keras_ssl.optimizers",
        "keras_ssl.schedules",
        "keras_ssl.core",
    },
    "keras_ssl/core": {"keras_ssl.core"},
    "keras_ssl/ops": {"keras_ssl.ops", "keras_ssl.core"},
    "keras_ssl/losses": {"keras_ssl.losses", "keras_ssl.ops", "keras_ssl.core"},
    "keras_ssl/layers": {"keras_ssl.layers", "keras_ssl.ops", "keras_ssl.core"},
    "keras_ssl/backbones": {"keras_ssl.backbones", "keras_ssl.layers", "keras_ssl.core"},
    "keras_ssl/optimizers": {"keras_ssl.optimizers", "keras_ssl.ops", "keras_ssl.core"},
    "keras_ssl/schedules": {"keras_ssl.schedules", "keras_ssl.ops", "keras_ssl.core"},
    "keras_ssl/analysis": {"keras_ssl.analysis", "keras_ssl.ops", "keras_ssl.core"},
    "keras_ssl/evaluation": {
        "keras_ssl.evaluation",
        "keras_ssl.layers",
        "keras_ssl.ops",
        "keras_ssl.core",
    },
    "keras_ssl/report": {
        "keras_ssl.report",
        "keras_ssl.analysis",
        "keras_ssl.evaluation",
        "keras_ssl.core",
    },
    "keras_ssl/training": {
        "keras_ssl.training",
        "keras_ssl.evaluation",
        "keras_ssl.analysis",
        "keras_ssl.layers",
        "keras_ssl.ops",
        "keras_ssl.core",
    },
    "keras_ssl/config": {"keras_ssl.config", "keras_ssl.recipes", "keras_ssl.core"},
    "keras_ssl/recipes": {"keras_ssl.recipes", "keras_ssl.core"},
}
OURS = ("keras_ssl", "pipelines", "export", "stages", "benchmarks", "tests", "run")
METHOD_MAY = {
    "keras_ssl.ops",
    "keras_ssl.layers",
    "keras_ssl.losses",
    "keras_ssl.schedules",
    "keras_ssl.core",
    "keras_ssl.methods.base",
    "keras_ssl.methods.branches",  # classes that methods extend
    "keras_ssl.methods.regularized",
}
# Where TensorFlow itself may appear; the mathematics is on keras.ops.
TENSORFLOW = {
    "keras_ssl/methods/base.py",
    "keras_ssl/ops/random.py",
    "keras_ssl/core/replicas.py",
    "keras_ssl/optimizers/replicas.py",
    "keras_ssl/analysis/cost.py",
    "stages/cost.py",
    "stages/analysis/subject.py",
    "keras_ssl/core/detection.py",
    "keras_ssl/ops/precision.py",
    "keras_ssl/layers/langevin.py",
    "keras_ssl/layers/norm.py",
    "stages/devices.py",
    "keras_ssl/core/errors.py",
}
TENSORFLOW_FOLDERS = {"pipelines", "export", "keras_ssl/evaluation", "keras_ssl/training"}


def modules_of(path):
    """Every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "pipelines":
            yield from (f"pipelines.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def files(folder):
    """The Python files below a folder, or those of a pattern."""
    return sorted(ROOT.glob(folder if folder.endswith(".py") else f"{folder}/**/*.py"))


def ours(module):
    return module.split(".")[0] in OURS


def within(module, allowed):
    return any(module == name or module.startswith(name + ".") for name in allowed)


@pytest.mark.parametrize("folder", ALLOWED)
def test_folder_imports_only_what_lies_below_it(folder):
    wrong = {
        (str(path.relative_to(ROOT)), module)
        for path in files(folder)
        for module in modules_of(path)
        if ours(module) and not within(module, ALLOWED[folder])
    }
    assert not wrong


def test_settings_are_read_without_tensorflow():
    """`--mode=list` and `--show_recipe` answer at once."""
    code = "import sys; from tests.program import start\n"
    code += "start('--method=sem_byol', '--show_recipe')\n"
    code += "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'numpy')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "training.epochs" in done.stdout


def test_nothing_imports_the_program():
    """`run.py` is a way in; what others need of it lies in `stages`."""
    folders = ("keras_ssl", "pipelines", "export", "stages", "benchmarks", "examples", "tests")
    found = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in files(folder)
        if any(module.split(".")[0] == "run" for module in modules_of(path) if module)
    }
    assert found == {"tests/program.py"}


def test_recipes_are_changed_by_with_only():
    """`dataclasses.replace` would change a section, or settings, without the check."""
    replaced = {
        f"{path.relative_to(ROOT)}: {ast.unparse(node)}"
        for folder in ("keras_ssl", "pipelines", "export", "stages", "benchmarks", "tests")
        for path in files(folder)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "replace"
        if node.args and "recipe" in ast.unparse(node.args[0]).split(".")
    }
    assert not replaced


def test_no_method_imports_another():
    for path in files("keras_ssl/methods"):
        if path.name == "__init__.py":
            continue
        wrong = [m for m in modules_of(path) if ours(m) and not within(m, METHOD_MAY)]
        assert not wrong, path


def test_only_the_listed_files_import_tensorflow():
    folders = ("keras_ssl", "pipelines", "export", "stages")
    paths = [ROOT / "run.py", *(path for folder in folders for path in files(folder))]
    found = {
        str(path.relative_to(ROOT))
        for path in paths
        if any(module.split(".")[0] == "tensorflow" for module in modules_of(path))
    }
    folders = {name for name in found if any(name.startswith(f) for f in TENSORFLOW_FOLDERS)}
    assert found - folders == TENSORFLOW
