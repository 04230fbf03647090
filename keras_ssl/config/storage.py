"""A recipe on disk: written once per run, read to go on with it or to look at its results."""

import itertools
import json
import re
from pathlib import Path

from keras_ssl.config.resolve import (
    UNFELT,
    Change,
    available,
    check_keys,
    read_change,
    settle,
)
from keras_ssl.config.schema import assemble
from keras_ssl.core.checks import UserError, lookup
from keras_ssl.core.constants import DATASET_PREFIXES
from keras_ssl.core.files import write_text

FILE = "recipe.json"


def to_json(recipe):
    """Text from which `from_json` makes the same recipe; each setting with its origin."""
    settings = {
        key: {"value": value, "origin": origin} for key, (value, origin) in recipe.settings.items()
    }
    head = {"method": recipe.name, "recipe": recipe.family}
    tail = {"source": recipe.source, "expected": recipe.expected}
    return json.dumps({**head, "settings": settings, **tail}, indent=1) + "\n"


def from_json(text, catalog):
    """Read what `to_json` wrote, checked like a new recipe.

    Raises:
        UserError: if it is not such a text, or this version of the package does not know a name.
    """
    try:
        data = json.loads(text)
        stored = [Change(key, s["value"], s["origin"]) for key, s in data["settings"].items()]
        head = [data[name] for name in ("method", "recipe", "source", "expected")]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError("It is not a recipe that this program wrote.") from None
    method, family, source, expected = head
    lookup(dict.fromkeys(catalog.method_names), method, "method")
    settings = settle(catalog, method, {change.key: change for change in stored})
    return assemble(method, family, settings, source, expected)


def save(recipe, workdir):
    """Make the directory and write `recipe.json`, whole or not at all.

    Raises:
        UserError: if the directory cannot be written to.
    """
    path = Path(workdir) / FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, to_json(recipe))
    except OSError as error:
        raise UserError(
            f"Cannot write to the work directory '{workdir}': {error.strerror}. "
            "Choose another one with --workdir."
        ) from error


def load(workdir, catalog):
    """Read the recipe of a run.

    Raises:
        UserError: if `workdir` holds none, or one that cannot be used.
    """
    path = Path(workdir) / FILE
    try:
        return from_json(path.read_text(encoding="utf-8"), catalog)
    except OSError as error:
        raise UserError(
            f"No run in '{workdir}': {FILE} cannot be read ({error.strerror})."
        ) from error
    except UserError as error:
        raise UserError(f"Cannot use {path}: {error}") from error


def new_workdir(recipe, root="runs"):
    """The first of `root/METHOD-DATA-1`, `-2`, ... that does not exist."""
    name = recipe.data.dataset
    name = Path(name.split(":", 1)[1]).stem if name.startswith(DATASET_PREFIXES) else name
    data = re.sub(r"\W+", "-", name).strip("-") or "images"
    paths = (Path(root, f"{recipe.name}-{data}-{number}") for number in itertools.count(1))
    return next(path for path in paths if not path.exists())


def amend(recipe, catalog, wishes, also=()):
    """The recipe of a run with what a later command may change in it.

    Args:
        recipe: `Recipe`.
        catalog: `Catalog`.
        wishes: sequence of `Change`. Saying again what the run has is allowed for every key.
        also: keys that may change besides those that never matter to the trained network.

    Raises:
        UserError: for a wish that would change what the run has trained or will train.
    """
    chosen = {key: Change(key, *entry) for key, entry in recipe.settings.items()}
    space = available(catalog, recipe.name, chosen["optimizer.name"])
    for wish in wishes:
        check_keys([wish.key], space)
        value = read_change(space[wish.key], wish)
        had = chosen[wish.key].value if wish.key in chosen else None
        if value == had:
            continue
        if not wish.key.startswith(UNFELT) and wish.key not in also:
            raise UserError(
                f"The run was started with {wish.key}={had} and cannot go on with {value} "
                f"({wish.origin}). Leave it out, or start a new run."
            )
        chosen[wish.key] = wish
    settings = settle(catalog, recipe.name, chosen)
    return assemble(recipe.name, recipe.family, settings, recipe.source, recipe.expected)
