"""Make the recipe of a run: defaults, what the recipes of its method say, flags and `--set`."""

import contextlib
import re
from collections.abc import Iterable

from keras_ssl.config.catalog import PREFIX, Catalog, declared
from keras_ssl.config.published import PublishedRun, words
from keras_ssl.config.recipe import SECTIONS, Origin, Override, Recipe, complete, merge
from keras_ssl.config.values import read
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.recipes import RECIPES
from keras_ssl.recipes.families import (
    BUILT_ON,
    FAMILIES,
    FAMILY_OF,
    FORMER_NAMES,
    NECK_FAMILIES,
    PUBLISHED_ON,
    family_in,
    levels_of,
)


def parse_set(text: str) -> Override:
    """Read `section.field=value` as an `Override`.

    Raises:
        UserError: for a text without an equals sign.

    Example:

    >>> override = parse_set("training.epochs=3")
    >>> override.key, override.value
    ('training.epochs', '3')
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set takes section.field=value. Received '{text}'.")
    return Override(key.strip(), value.strip(), "--set")


def resolve(
    catalog: Catalog, method: str, overrides: Iterable[Override] = (), family: str | None = None
) -> Recipe:
    """Make the recipe of a run.

    Args:
        catalog: what there is to choose from.
        method: a name of `catalog.method_names`.
        overrides: values for settings, later ones over earlier ones.
        family: the recipe's name, such as "digits" or "cifar100/resnet50"; by default that of the
            data set.

    Raises:
        UserError: for names or keys that do not exist, values of the wrong type or out of range,
            and settings that contradict each other.

    Example:

    >>> recipe = resolve(Catalog(("digits",)), "sem_byol", [parse_set("training.epochs=3")])
    >>> recipe.training.epochs, recipe.neck.kind, recipe.settings["data.image_size"]
    (3, 'sem', (16, 'recipe digits'))
    """
    lookup(dict.fromkeys(catalog.method_names), method, "method")
    overrides = {override.key: override for override in overrides}
    if family is None:
        given = overrides.get("data.dataset")
        family = recipe_of(given.value if given else SECTIONS["data"].dataset)
    family = FORMER_NAMES.get(family, family)
    lookup(dict.fromkeys(recipe_names(method)), family, "recipe")
    neck, kind = overrides.get("neck.kind"), own_neck(method)
    if neck:
        kind = read(declared(SECTIONS["neck"])["kind"], neck.value, neck.label)
    settings = complete(catalog, method, merge([*recipe_layers(method, family, kind), overrides]))
    source, _ = provenance(method, family)
    published = published_runs(catalog, method, family)
    return Recipe(method, family, settings, source, published, catalog)


def recipe_of(dataset: str) -> str:
    """The recipe for a data set by its name: that of small images where nothing is known.

    Example:

    >>> recipe_of("cifar10:3.0.2"), recipe_of("cifar100#coarse_label"), recipe_of("npz:images.npz")
    ('cifar10', 'cifar100', 'small')
    """
    return FAMILY_OF.get(re.split("[/:#]", dataset)[0], "small")


def own_neck(method):
    """The kind of neck that a method has by its name."""
    return "sem" if method.startswith(PREFIX) else "none"


def recipe_names(method):
    """The recipes of a method: every family, and behind it the runs that start from it."""
    own = RECIPES.get(method, {})
    return [
        name
        for family in FAMILIES
        for name in dict.fromkeys([family, *(name for name in own if family_in(name) == family)])
    ]


def recipe_parts(method, name, neck):
    """The differences that make up a recipe, general first: {name: Differences}.

    `neck` is the kind of neck, which may be another one than the method's own.
    """
    base, own, root = method.removeprefix(PREFIX), own_neck(method), levels_of(name)[0]
    parts = {}
    for level in levels_of(name):
        parts |= {level: FAMILIES[level]} if level in FAMILIES else {}
        parts |= _own_part(base, level)
    if own == "sem":
        parts[f"sem/{root}"] = NECK_FAMILIES["sem"][root]
        for level in levels_of(name):
            parts |= _own_part(method, level)
    if neck != own:
        parts[f"{neck}/{root}"] = NECK_FAMILIES[neck][root]
    return parts


def _own_part(method, level):
    own = RECIPES.get(method, {})
    return {f"{method}/{level}": own[level]} if level in own else {}


def recipe_layers(method, name, neck):
    """`recipe_parts` as layers for `merge`: a list of {key: Override}."""
    layers = []
    for part, differences in recipe_parts(method, name, neck).items():
        origin = Origin(f"recipe {part}", "recipe")
        values = differences.settings.items()
        layers.append({key: Override(key, value, origin) for key, value in values})
    return layers


def provenance(method, name):
    """Where a recipe comes from, and its published results in words; the second may be empty."""
    root = levels_of(name)[0]
    sources = [_source(method.removeprefix(PREFIX), name) or FAMILIES[root].source]
    if own_neck(method) == "sem":
        sources.insert(0, _source(method, name) or NECK_FAMILIES["sem"][root].source)
    own = RECIPES.get(method, {}).get(name)
    return "; ".join(dict.fromkeys(sources)), words(own.results) if own else ""


def _source(method, name):
    """The source that is nearest to a recipe, of the method or of a family built on another."""
    own = RECIPES.get(method, {})
    for level in reversed(levels_of(name)):
        if level in own and own[level].source:
            return own[level].source
        if level in BUILT_ON and not method.startswith(PREFIX):
            return FAMILIES[level].source
    return ""


def published_runs(catalog, method, name):
    """The runs with published results in the family of a recipe and in the one it is built on.

    Returns:
        Tuple of `PublishedRun`, that of the recipe itself first.
    """
    own, families = RECIPES.get(method, {}), {family_in(level) for level in levels_of(name)}
    related = [other for other in recipe_names(method) if family_in(other) in families]
    runs = []
    for other in dict.fromkeys([*reversed(levels_of(name)), *related]):
        if other not in own or not own[other].results:
            continue
        with contextlib.suppress(UserError):  # a catalog may lack what another recipe sets
            layers = recipe_layers(method, other, own_neck(method))
            settings = complete(catalog, method, merge(layers))
            values = {key: value for key, (value, _) in settings.items()}
            values["data.dataset"] = PUBLISHED_ON[family_in(other)]
            runs.append(PublishedRun(other, values, own[other].results))
    return tuple(runs)
