"""Recipes and what there is to choose from, as text for a terminal."""

import textwrap
from dataclasses import replace

from keras_ssl.config.catalog import PREFIX
from keras_ssl.config.recipe import SECTIONS, merge
from keras_ssl.config.resolve import (
    family_in,
    own_neck,
    provenance,
    recipe_layers,
    recipe_names,
)
from keras_ssl.config.schema import declared, neck_fields
from keras_ssl.config.values import as_text
from keras_ssl.core.bounds import describe, members_of, parts
from keras_ssl.recipes.families import FAMILIES

DATASETS = {
    "digits": "1,797 handwritten digits of 8x8 pixels, part of scikit-learn",
    "npz:PATH": "a file with the arrays x_train, y_train, x_test, y_test",
    "folder:PATH": "a folder of images; its subfolders, if there are any, are the classes",
    "tfrecord:PATTERN": "TensorFlow records of encoded images, such as those of pipelines.convert",
    "NAME": "any image set of TensorFlow Datasets, such as cifar10 or stl10",
    "NAME#FEATURE": "the same with another feature as the label, such as cifar100#coarse_label",
    "imagenet100": "the 100 classes of imagenet2012 that CMC drew",
}
WIDTH = 100
_SEM = (
    "SEM: Lavoie et al., Simplicial embeddings in self-supervised learning and downstream "
    "classification, 2023, sec. 3."
)


def format_recipe(recipe):
    """Every setting of a recipe as `section.field = value  (origin)`."""
    rows = [(key, as_text(value), origin) for key, (value, origin) in recipe.settings.items()]
    keys = max(len(key) for key, _, _ in rows)
    values = max(len(value) for _, value, _ in rows)
    lines = [f"{key:<{keys}} = {value:<{values}}  ({origin})" for key, value, origin in rows]
    head = f"method {recipe.name}, recipe {recipe.family}"
    return "\n".join([head, *_origin_lines(recipe.source, recipe.expected, ""), "", *lines])


def format_catalog(catalog):
    """Methods, backbones, data sets, optimizers, policies and recipes, each with one line."""
    methods = f"Methods; {PREFIX}NAME is the same behind Simplicial Embeddings"
    return "\n\n".join(
        [
            _table(methods, _summaries(catalog.methods)),
            _table("Backbones", _summaries(catalog.backbones)),
            _table("Data sets", DATASETS),
            _table("Optimizers", _summaries(catalog.optimizers)),
            _table("Augmentation policies", {"": ", ".join(catalog.policies)}),
            _table("Recipes (by the data set, or --recipe)", _families()),
            "--mode=list --method=NAME tells more about a method and its other recipes, "
            "--show_recipe what would run.",
        ]
    )


def format_method(catalog, name):
    """One method: description, reference, hyper-parameters and recipes."""
    entry = catalog.methods[name.removeprefix(PREFIX)]
    text, reference = entry.description, entry.reference
    parameters = {
        f"method.{key} = {as_text(setting.default)}": _with_range(setting)
        for key, setting in entry.settings.items()
    }
    tables = [_table("Hyper-parameters (--set method.NAME=VALUE), with defaults", parameters)]
    if name.startswith(PREFIX):
        text += "\n\nThis is the method behind Simplicial Embeddings: see the neck below."
        reference = f"{reference} {_SEM}"
        tables.append(_table("Neck (--set neck.NAME=VALUE), with defaults", _neck("sem")))
    text = f"{text}\n\nReference: {reference}"
    paragraphs = ["\n".join(_wrap(part)) for part in text.split("\n\n")]
    title = "Recipes (by the data set, or --recipe); --show_recipe adds what all methods share"
    recipes = "\n".join([title, *_recipes(name)])
    return "\n\n".join([name, *paragraphs, *tables, recipes])


def format_flags(flags):
    """{name: help} as an aligned list."""
    return _table("Flags", {f"--{name}": text for name, text in flags.items()})


def _summaries(entries):
    return {name: entry.summary for name, entry in entries.items()}


def _families():
    return {family: part.source for family, part in FAMILIES.items()}


def _neck(kind):
    """{setting: meaning and range} of a neck."""
    settings = declared(SECTIONS["neck"])
    settings["kind"] = replace(settings["kind"], default=kind)
    shown = {name: settings[name] for name in ("kind", *neck_fields(kind, "linear"))}
    return {
        f"neck.{name} = {as_text(part.default)}": f"{part.meaning[:-1]} ({describe(part.kind)})."
        for name, part in shown.items()
    }


def _with_range(setting):
    """The meaning of a setting and, where that is numbers, what it takes."""
    if not {int, float}.intersection(map(_number_of, members_of(setting.kind))):
        return setting.meaning
    return f"{setting.meaning} Takes {describe(setting.kind)}."


def _number_of(kind):
    return parts(kind)[0]


def _recipes(method):
    for name in recipe_names(method):
        yield f"  {name}"
        yield from _origin_lines(*provenance(method, name), "    ")
        own = [f"{key}={as_text(value)}" for key, value in own_settings(method, name).items()]
        label = "sets" if name in FAMILIES else f"sets, beyond {family_in(name)}"
        yield from _labelled(label, "; ".join(own) or "nothing of its own", "    ")


def own_settings(method, name):
    """What a recipe says beyond what it starts from: {key: value}.

    A family's recipe starts from what all methods have there, another from that of its family.
    """
    merged = merge(recipe_layers(method, name, own_neck(method)))
    own = {key: change for key, change in merged.items() if change.origin != f"recipe {name}"}
    if name not in FAMILIES:
        own = {key: change for key, change in own.items() if change.origin.endswith(f"/{name}")}
    order = ["method", *SECTIONS]
    keys = sorted(own, key=lambda key: order.index(key.split(".")[0]))
    return {key: own[key].value for key in keys}


def _origin_lines(source, expected, indent):
    lines = _labelled("from", source, indent)
    return lines + _labelled("expected", expected, indent) if expected else lines


def _labelled(label, text, indent):
    return _wrap(f"{label}: {text}", initial_indent=indent, subsequent_indent=indent + "  ")


def _wrap(text, width=WIDTH, **indents):
    return textwrap.wrap(text, width, break_on_hyphens=False, **indents)


def _table(title, rows):
    column = max(map(len, rows)) + 4
    lines = [title]
    for name, text in rows.items():
        wrapped = _wrap(text, WIDTH - column) or [""]
        lines.append(f"  {name}".ljust(column) + wrapped[0])
        lines += [" " * column + line for line in wrapped[1:]]
    return "\n".join(line.rstrip() for line in lines)
