"""Recipes and what there is to choose from, as text for a terminal."""

import re
import textwrap
import typing
from collections.abc import Mapping
from dataclasses import replace

from keras_ssl.config.catalog import PREFIX, Catalog, declared
from keras_ssl.config.recipe import SECTIONS, Override, Recipe, available, merge
from keras_ssl.config.resolution import (
    levels_of,
    own_neck,
    provenance,
    recipe_layers,
    recipe_names,
    recipe_parts,
)
from keras_ssl.config.schema import Neck, neck_fields
from keras_ssl.config.values import OPTIONAL, REQUIRED, as_text
from keras_ssl.core.bounds import describe, members_of, parts
from keras_ssl.core.protocols import FINETUNING
from keras_ssl.recipes.families import FAMILIES

DATASETS = {
    "digits": "1,797 handwritten digits of 8x8 pixels, part of scikit-learn",
    "npz:PATH": "a file with the arrays x_train, y_train, x_test, y_test",
    "folder:PATH": "a folder of images; its subfolders, if there are any, are the classes",
    "tfrecord:PATTERN": "TensorFlow records of encoded images, such as those of pipelines.convert",
    "NAME": "any image set of TensorFlow Datasets, such as cifar10 or stl10",
    "NAME#FEATURE": "the same with another feature as the label, such as cifar100#coarse_label",
    "svhn_cropped": "SVHN, house numbers of 32x32 pixels, of TensorFlow Datasets",
    "imagenet100": "the 100 classes of imagenet2012 that CMC drew",
    "mini_imagenet": "Mini-ImageNet: 500 training and 100 test images of 100 of its classes",
}
WIDTH = 100
_FEW = 6  # choices of a setting that are written out
_SEM = (
    "SEM: Lavoie et al., Simplicial embeddings in self-supervised learning and downstream "
    "classification, 2023, sec. 3."
)


def format_recipe(recipe: Recipe) -> str:
    """Every setting of a recipe as `section.field = value  (origin)`.

    Example:

    >>> from keras_ssl.config import Catalog, resolve
    >>> text = format_recipe(resolve(Catalog(("digits",)), "byol"))
    >>> text.splitlines()[0]
    'method byol, recipe digits'
    """
    rows = [(key, as_text(value), origin) for key, (value, origin) in recipe.settings.items()]
    keys = max(len(key) for key, _, _ in rows)
    values = max(len(value) for _, value, _ in rows)
    lines = [f"{key:<{keys}} = {value:<{values}}  ({origin})" for key, value, origin in rows]
    head = f"method {recipe.name}, recipe {recipe.family}"
    return "\n".join([head, *_origin_lines(recipe.source, recipe.expected, ""), "", *lines])


def format_catalog(catalog: Catalog) -> str:
    """Methods, backbones, data sets, optimizers, policies and recipes, each with one line.

    Example:

    >>> from keras_ssl.config import Catalog
    >>> "digits_mild" in format_catalog(Catalog(("digits", "digits_mild")))
    True
    """
    methods = f"Methods; {PREFIX}NAME is the same behind Simplicial Embeddings"
    return "\n\n".join(
        [
            _table(methods, _summaries(catalog.methods)),
            _table("Backbones", _summaries(catalog.backbones)),
            _table("Data sets", DATASETS),
            _table("Optimizers", _summaries(catalog.optimizers)),
            _table("Fine-tuning (finetune.protocol)", _protocols()),
            _table("Augmentation policies", {"": ", ".join(catalog.policies)}),
            _table("Recipes (by the data set, or --recipe)", _families()),
            "--mode=list --method=NAME describes a method, its settings and its recipes, "
            "--show_recipe what would run.",
        ]
    )


def format_method(catalog: Catalog, name: str) -> str:
    """One method: description, reference, the settings of a run by section, and recipes.

    Example:

    >>> from keras_ssl.config import Catalog
    >>> "method.momentum = 0.996" in format_method(Catalog(("digits",)), "byol")
    True
    """
    entry = catalog.methods[name.removeprefix(PREFIX)]
    text, reference = entry.description, entry.reference
    if name.startswith(PREFIX):
        text += "\n\nThis is the method behind Simplicial Embeddings: see the neck below."
        reference = f"{reference} {_SEM}"
    text = f"{text}\n\nReference: {reference}"
    paragraphs = ["\n".join(_wrap(part)) for part in text.split("\n\n")]
    sections = [
        _table(f"[{title}]", {_line(*pair): _meaning(pair[1]) for pair in settings.items()})
        for title, settings in _settings(catalog, name).items()
    ]
    recipes = "\n".join(
        [
            "Recipes (by the data set, or --recipe); --show_recipe adds what all methods share",
            *_recipes(name),
        ]
    )
    title = "Settings (--set section.name=VALUE) with their defaults, which recipes replace:"
    return "\n\n".join([name, *paragraphs, title, *sections, recipes])


def format_flags(flags: Mapping[str, str]) -> str:
    """{name: help} as an aligned list.

    Example:

    >>> print(format_flags({"epochs": "passes over the training images"}))
    Flags
      --epochs    passes over the training images
    """
    return _table("Flags", {f"--{name}": text for name, text in flags.items()})


def _summaries(entries):
    return {name: entry.summary for name, entry in entries.items()}


def _protocols():
    return {name: protocol.source for name, protocol in FINETUNING.items()}


def _families():
    return {family: part.source for family, part in FAMILIES.items()}


def _settings(catalog, method):
    """The settings of a run of `method`: {section: {key: Setting}}, options by optimizer."""
    tables, kind = {section: {} for section in ("method", *SECTIONS)}, own_neck(method)
    shared = {f"optimizer.{name}" for name in declared(SECTIONS["optimizer"])}
    for optimizer in catalog.optimizers:
        space = available(catalog, method, Override("optimizer.name", optimizer, ""))
        for key, setting in space.items():
            section = key.split(".")[0]
            if section == "optimizer" and key not in shared:
                section = f"optimizer, with name={optimizer}"
            tables.setdefault(section, {})[key] = setting
    neck, tables["neck"] = tables["neck"], {}
    if kind != "none":
        neck["neck.kind"] = replace(neck["neck.kind"], default=kind)
        names = ("kind", *neck_fields(kind, Neck.embedder))
        tables["neck"] = {f"neck.{name}": neck[f"neck.{name}"] for name in names}
    order = list(tables)
    order.sort(key=lambda title: ["method", *SECTIONS].index(title.split(",")[0]))
    return {section: tables[section] for section in order if tables[section]}


def _line(key, setting):
    return key if setting.default in (OPTIONAL, REQUIRED) else f"{key} = {as_text(setting.default)}"


def _meaning(setting):
    """The meaning of a setting and what it takes, which a docstring for Python may begin with."""
    meaning = re.sub(r"^(int|float|bool|str|tuple)\b.*?\.( |$)", "", setting.meaning)
    kinds = {parts(kind)[0] for kind in members_of(setting.kind)}
    named = kinds <= {bool, str, type(None)} or len(typing.get_args(setting.kind)) > _FEW
    return meaning if named else f"{meaning.removesuffix('.')} ({describe(setting.kind)}).".strip()


def _recipes(method):
    for name in recipe_names(method):
        yield f"  {name}"
        yield from _origin_lines(*provenance(method, name), "    ")
        own = [f"{key}={as_text(value)}" for key, value in own_settings(method, name).items()]
        below = levels_of(name)[:-1]
        label = f"sets, beyond {below[-1]}" if below else "sets"
        yield from _labelled(label, "; ".join(own) or "nothing of its own", "    ")


def own_settings(method: str, name: str) -> dict:
    """What a recipe says beyond what it starts from: {key: value}.

    A family's recipe starts from what all methods have there or from the family that it is built
    on, another from that of its family.
    """
    neck, [*below, _] = own_neck(method), levels_of(name)
    parts, layers = recipe_parts(method, name, neck), recipe_layers(method, name, neck)
    start = merge(recipe_layers(method, below[-1], neck)) if below else {}
    own = [layer for part, layer in zip(parts, layers, strict=True) if below or part != name]
    merged = merge(layers)
    keys = [
        key
        for key, override in merged.items()
        if any(layer.get(key) is override for layer in own)
        and (key not in start or start[key].value != override.value)
    ]
    order = ["method", *SECTIONS]
    keys.sort(key=lambda key: order.index(key.split(".")[0]))
    return {key: merged[key].value for key in keys}


def _origin_lines(source, expected, indent):
    lines = _labelled("from", source, indent)
    return lines + _labelled("expected", expected, indent) if expected else lines


def _labelled(label, text, indent):
    return _wrap(f"{label}: {text}", initial_indent=indent, subsequent_indent=indent + "  ")


def _wrap(text, width=WIDTH, **indents):
    return textwrap.wrap(text, width, break_on_hyphens=False, **indents)


def _table(title, rows):
    column = min(max(map(len, rows)) + 4, WIDTH // 2)
    lines = [title]
    for name, text in rows.items():
        first, *rest = _wrap(text, WIDTH - column) or [""]
        if len(name) + 3 < column:
            lines.append(f"  {name}".ljust(column) + first)
        else:
            lines += [f"  {name}", " " * column + first]
        lines += [" " * column + line for line in rest]
    return "\n".join(line.rstrip() for line in lines)
