"""Make the recipe of a run: defaults, what the recipes of its method say, flags and `--set`."""

import re
from collections.abc import Iterable

from keras_ssl.config.catalog import PREFIX, Catalog, declared
from keras_ssl.config.recipe import (
    CHOICES,
    NOT_TRAINING,
    SECTIONS,
    Origin,
    Override,
    Recipe,
    complete,
    merge,
)
from keras_ssl.config.values import as_text, read
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.recipes import RECIPES
from keras_ssl.recipes.families import FAMILIES, FAMILY_OF, NECK_FAMILIES, PUBLISHED_ON

# With these as well it is another training of the same setting: a published result holds for it.
_SAME_SETTING = (*NOT_TRAINING, "augment.where", "training.seed", "training.precision")


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
    known = dict.fromkeys(recipe_names(method))
    if family is None:
        given = overrides.get("data.dataset")
        family = recipe_of(given.value if given else SECTIONS["data"].dataset)
        family = family if family in known else family_in(family)
    lookup(known, family, "recipe")
    neck, kind = overrides.get("neck.kind"), own_neck(method)
    if neck:
        kind = read(declared(SECTIONS["neck"])["kind"], neck.value, neck.label)
    settings = complete(catalog, method, merge([*recipe_layers(method, family, kind), overrides]))
    source, _ = provenance(method, family)
    expected = expected_of(catalog, method, family, settings)
    return Recipe(method, family, settings, source, expected, catalog)


def recipe_of(dataset: str) -> str:
    """The recipe for a data set by its name: that of small images where nothing is known.

    A method that does not have it takes that of the family, which its name begins with.

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


def family_in(name):
    """The family that a recipe's name begins with: "cifar100" of "cifar100/resnet50"."""
    return name.partition("/")[0]


def recipe_parts(method, name, neck):
    """The differences that make up a recipe, general first: {name: Differences}.

    `neck` is the kind of neck, which may be another one than the method's own.
    """
    base, own, family = method.removeprefix(PREFIX), own_neck(method), family_in(name)
    parts = {family: FAMILIES[family], **_own_parts(base, name)}
    if own == "sem":
        parts |= {f"sem/{family}": NECK_FAMILIES["sem"][family], **_own_parts(method, name)}
    if neck != own:
        parts[f"{neck}/{family}"] = NECK_FAMILIES[neck][family]
    return parts


def _own_parts(method, name):
    own, names = RECIPES.get(method, {}), dict.fromkeys([family_in(name), name])
    return {f"{method}/{part}": own[part] for part in names if part in own}


def recipe_layers(method, name, neck):
    """`recipe_parts` as layers for `merge`: a list of {key: Override}."""
    layers = []
    for part, differences in recipe_parts(method, name, neck).items():
        origin = Origin(f"recipe {part}", "recipe")
        values = differences.settings.items()
        layers.append({key: Override(key, value, origin) for key, value in values})
    return layers


def provenance(method, name):
    """Where a recipe comes from, and its published result: two strings, the second may be empty."""
    sources = [_source(method.removeprefix(PREFIX), name) or FAMILIES[family_in(name)].source]
    if own_neck(method) == "sem":
        sources.insert(0, _source(method, name) or NECK_FAMILIES["sem"][family_in(name)].source)
    own = RECIPES.get(method, {}).get(name)
    return "; ".join(dict.fromkeys(sources)), own.expected if own else ""


def _source(method, name):
    return next((p.source for p in reversed(_own_parts(method, name).values()) if p.source), "")


def expected_of(catalog, method, name, settings):
    """What to expect of settings that started from a recipe, in words.

    That is what was published with just these, whichever of the family's recipes has them; else
    the result of the recipe itself and where it differs.
    """
    published = ""
    own = RECIPES.get(method, {})
    same_family = [other for other in recipe_names(method) if family_in(other) == family_in(name)]
    for other in dict.fromkeys([name, *same_family]):
        part = own.get(other)
        if part is None or not part.expected:
            continue
        theirs = complete(catalog, method, merge(recipe_layers(method, other, own_neck(method))))
        dataset = part.dataset or PUBLISHED_ON[family_in(other)]
        changed = _changed({**theirs, "data.dataset": (dataset, "")}, settings)
        if not changed:
            return part.expected
        if other == name:
            published = f"not published; {part.expected} is with {', '.join(changed)}"
    return published


def _changed(theirs, ours):
    """Where published settings differ from those of a run: the published ones, as text."""
    theirs, ours = ({key: value for key, (value, _) in part.items()} for part in (theirs, ours))
    ours["data.dataset"] = re.sub(r":[\d.*]+", "", ours["data.dataset"])  # a version of it
    keys = [
        key
        for key, value in ours.items()
        if not key.startswith(_SAME_SETTING) and (key not in theirs or theirs[key] != value)
    ]
    # Of another optimizer, neck, backbone or policy everything is another.
    replaced = [choice for choice in CHOICES if choice in keys]
    sections = tuple(choice.split(".")[0] + "." for choice in replaced)
    keys = [key for key in keys if key in replaced or not key.startswith(sections)]
    return [f"{key}={as_text(theirs[key])}" if key in theirs else f"no {key}" for key in keys]
