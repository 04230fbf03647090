"""Recipes and what there is to choose from, as text for a terminal."""

import textwrap

from keras_ssl.recipes.catalog import PREFIX
from keras_ssl.recipes.datasets import DESCRIPTIONS
from keras_ssl.recipes.families import FAMILIES
from keras_ssl.recipes.resolve import provenance

WIDTH = 100


def as_text(value):
    """A value as `--set` takes it."""
    if isinstance(value, tuple):
        return ",".join(map(as_text, value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


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
            _table("Data sets", DESCRIPTIONS),
            _table("Optimizers", _summaries(catalog.optimizers)),
            _table("Augmentation policies", {"": ", ".join(catalog.policies)}),
            _table("Recipes (by the data set, or --recipe)", _families()),
            "--mode=list --method=NAME tells more about a method, --show_recipe what would run.",
        ]
    )


def format_method(catalog, name):
    """One method: description, reference, hyper-parameters and recipes."""
    entry = catalog.methods[name.removeprefix(PREFIX)]
    text = entry.description
    if name.startswith(PREFIX):
        text += "\n\nThis is the method behind Simplicial Embeddings; see neck.* in --show_recipe."
    parameters = {
        f"method.{key} = {as_text(setting.default)}": setting.meaning
        for key, setting in entry.settings.items()
    }
    paragraphs = [textwrap.fill(part, WIDTH) for part in text.split("\n\n")]
    return "\n\n".join(
        [
            name,
            *paragraphs,
            textwrap.fill(f"Reference: {entry.reference}", WIDTH),
            _table("Hyper-parameters (--set method.NAME=VALUE), with defaults", parameters),
            "\n".join(["Recipes", *_recipes(name)]),
        ]
    )


def format_flags(flags):
    """{name: help} as an aligned list."""
    return _table("Flags", {f"--{name}": text for name, text in flags.items()})


def _summaries(entries):
    return {name: entry.summary for name, entry in entries.items()}


def _families():
    return {family: part.source for family, part in FAMILIES.items()}


def _recipes(name):
    for family in FAMILIES:
        yield f"  {family}"
        yield from _origin_lines(*provenance(name, family), "    ")


def _origin_lines(source, expected, indent):
    lines = textwrap.wrap(
        f"from: {source}", WIDTH, initial_indent=indent, subsequent_indent=indent + "  "
    )
    return [*lines, f"{indent}expected: {expected}"] if expected else lines


def _table(title, rows):
    column = max(map(len, rows)) + 4
    lines = [title]
    for name, text in rows.items():
        wrapped = textwrap.wrap(text, WIDTH - column) or [""]
        lines.append(f"  {name}".ljust(column) + wrapped[0])
        lines += [" " * column + line for line in wrapped[1:]]
    return "\n".join(line.rstrip() for line in lines)
