"""What the package offers, read from its source text, so that listing it imports no TensorFlow.

Names come from the tables (`METHODS`, `BACKBONES`, `OPTIMIZERS`) in the packages' `__init__.py`,
types, bounds and defaults of hyper-parameters from the signatures of the classes there. Docstrings
are only shown.
"""

import ast
import functools
import operator
import re
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from keras_ssl.config.values import Setting
from keras_ssl.core import bounds

PACKAGE = Path(__file__).resolve().parents[1]
PREFIX = "sem_"  # a method's name with this in front is the method behind a SEM neck

# What annotations of settings are written with.
_KINDS = {"int": int, "float": float, "bool": bool, "str": str, "tuple": tuple}
_KINDS |= {"Literal": typing.Literal, **vars(bounds)}
_OPERATIONS = {ast.BitOr: operator.or_, ast.Pow: operator.pow}
# Arguments of every method that a run sets, and of every optimizer that `Optimizer` declares.
_OF_THE_RUN = ("seed", "steps_per_epoch", "constant_lr")
_SECTION = re.compile(r"^(Args|Returns|Raises|Examples?|Class attributes|References?):", re.M)


@dataclass(frozen=True)
class Entry:
    """One name of a table: its first sentence, description, reference and settings."""

    name: str
    summary: str
    description: str = ""
    reference: str = ""
    settings: dict[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True)
class Catalog:
    """Everything that can be chosen.

    Args:
        policies: names of the augmentation policies.
        view_settings: {name: Setting}, the fields of a policy.
        methods, backbones, optimizers: {name: Entry}; read from the package by default.

    Example:

    >>> Catalog(("digits",)).method_names[:2]
    ['simclr', 'moco']
    """

    policies: tuple[str, ...] = ()
    view_settings: dict[str, Setting] = field(default_factory=dict)
    methods: dict[str, Entry] = field(default_factory=lambda: read_table("methods"))
    backbones: dict[str, Entry] = field(default_factory=lambda: read_table("backbones"))
    optimizers: dict[str, Entry] = field(default_factory=lambda: read_table("optimizers"))

    @property
    def method_names(self) -> list[str]:
        """The names that `--method` takes."""
        return [*self.methods, *(PREFIX + name for name in self.methods)]


def read_table(package: str, root: Path = PACKAGE) -> dict[str, Entry]:
    """Read the table of `package`, an upper-case dict of names in its `__init__.py`.

    Args:
        package: name of a folder in `root` whose `__init__.py` assigns the dict
            `PACKAGE_NAME_IN_CAPITALS = {"name": ClassOrFunction, ...}`.
        root: the folder.

    Returns:
        {name: Entry}, in the order of the table.
    """
    files = sorted((Path(root) / package).glob("*.py"))
    trees = {file.stem: ast.parse(file.read_text(encoding="utf-8"), file) for file in files}
    definitions = {}
    for tree in trees.values():
        definitions.update(_definitions(tree))
    table = next(
        node.value
        for node in trees["__init__"].body
        if isinstance(node, ast.Assign) and _target(node) == package.upper()
    )
    return {
        key.value: _entry(key.value, definitions[value.id], definitions)
        for key, value in zip(table.keys, table.values, strict=True)
    }


def declared(cls: type) -> dict[str, Setting]:
    """The fields of a dataclass as settings; those of type `Mapping` take settings of any name.

    Meanings are read from the source text: `python -OO` keeps no docstrings.

    Example:

    >>> from keras_ssl.config.schema import Transfer
    >>> declared(Transfer)["strengths"].default
    45
    """
    meanings = _meanings(sys.modules[cls.__module__].__file__)[cls.__name__]
    return {
        part.name: Setting(part.type, part.default, meanings[part.name])
        for part in fields(cls)
        if part.type is not Mapping
    }


@functools.cache
def _meanings(path):
    """What the docstrings of a file's classes say of their arguments: {class: {name: meaning}}."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"), path)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {node.name: parse_docstring(ast.get_docstring(node) or "")[1] for node in classes}


def read_docstring(path: str | Path) -> str:
    """The docstring of a file, from its text.

    Example:

    >>> read_docstring(__file__).split(",")[0]
    'What the package offers'
    """
    return ast.get_docstring(ast.parse(Path(path).read_text(encoding="utf-8"), path))


def parse_docstring(text: str) -> tuple[str, dict[str, str], str]:
    """Split a docstring: (description, {argument: meaning}, reference)."""
    starts = [match.start() for match in _SECTION.finditer(text)] + [len(text)]
    parts = [text[start:end] for start, end in zip(starts, starts[1:], strict=False)]
    sections = {part.split(":", 1)[0]: part.split(":", 1)[1] for part in parts}
    reference = sections.get("Reference", sections.get("References", ""))
    return text[: starts[0]].strip(), _arguments(sections.get("Args", "")), _one_line(reference)


def _definitions(tree):
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name, node
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            yield _target(node), node.value


def _target(assignment):
    """The name that is assigned to; None where it is not a single one."""
    target = assignment.targets[0]
    return target.id if isinstance(target, ast.Name) else None


def _entry(name, node, definitions):
    if isinstance(node, ast.Call):  # made by a function that takes the summary last
        return Entry(name, summary=node.args[-1].value)
    description, _, reference = parse_docstring(ast.get_docstring(node) or "")
    settings = _settings(node, definitions) if isinstance(node, ast.ClassDef) else {}
    return Entry(name, _first_sentence(description), description, reference, settings)


def _settings(node, definitions, meanings=None):
    """The arguments with an annotation and a default, of a class and of the bases it passes to."""
    meanings = parse_docstring(ast.get_docstring(node) or "")[1] | (meanings or {})
    settings = {}
    for base in reversed(node.bases):
        if isinstance(base, ast.Name) and isinstance(definitions.get(base.id), ast.ClassDef):
            settings.update(_settings(definitions[base.id], definitions, meanings))
    init = next((part for part in node.body if getattr(part, "name", "") == "__init__"), None)
    for argument, default in _defaults(init.args) if init else ():
        if argument.annotation is not None and argument.arg not in _OF_THE_RUN:
            meaning = meanings.get(argument.arg, "")
            kind = _kind(argument.annotation)
            settings[argument.arg] = Setting(kind, ast.literal_eval(default), meaning)
    return settings


def _defaults(arguments):
    positional = arguments.args[len(arguments.args) - len(arguments.defaults) :]
    pairs = [*zip(positional, arguments.defaults, strict=True)]
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [(argument, default) for argument, default in pairs if default is not None]


def _kind(node):
    """An annotation in the source text as the object that importing would make of it."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name) if name in _KINDS:
            return _KINDS[name]
        case ast.Tuple(items):
            return tuple(map(_kind, items))
        case ast.Subscript(kind, item):
            return _kind(kind)[_kind(item)]
        case ast.BinOp(left, operation, right) if type(operation) in _OPERATIONS:
            return _OPERATIONS[type(operation)](_kind(left), _kind(right))
        case ast.UnaryOp(ast.USub(), operand):
            return -_kind(operand)
        case ast.Call(function, arguments, []):
            return _kind(function)(*map(_kind, arguments))
    raise ValueError(f"The annotation of a setting cannot be read: {ast.unparse(node)}.")


def _arguments(text):
    """`name: meaning` lines, with deeper indented continuations; `a, b: meaning` names two."""
    meanings, names = {}, []
    for line in text.splitlines():
        start = re.match(r" {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)", line)
        names = start[1].split(", ") if start else names
        for name in names:
            meanings[name] = _one_line(f"{meanings.get(name, '')} {start[2] if start else line}")
    return meanings


def _first_sentence(text):
    return _one_line(re.split(r"(?<=\.)\s", text, maxsplit=1)[0])


def _one_line(text):
    return " ".join(text.split())
