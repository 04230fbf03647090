"""A recipe on disk: written once per run, read to resume it or to evaluate its encoder."""

import itertools
import json
import re
from collections.abc import Iterable
from pathlib import Path

from keras_ssl.config.catalog import Catalog
from keras_ssl.config.published import CHOICES, NOT_TRAINING
from keras_ssl.config.recipe import (
    Origin,
    Override,
    Recipe,
    available,
    check_keys,
    complete,
    merge,
    read_override,
)
from keras_ssl.config.resolution import (
    own_neck,
    published_runs,
    recipe_layers,
    recipe_names,
)
from keras_ssl.core.constants import DATASET_PREFIXES
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.core.files import RECIPE, write_text
from keras_ssl.recipes.families import FORMER_NAMES

# Settings that earlier versions wrote under other names.
RENAMED = {"evaluation.gradient_probe": "evaluation.probe"}
_KINDS = {"default": "default", "recipe ": "recipe", "half of ": "derived"}  # how words begin


def to_json(recipe: Recipe) -> str:
    """Text from which `from_json` makes the same recipe; each setting with its origin.

    Example:

    >>> from keras_ssl.config import Catalog, resolve
    >>> recipe = resolve(Catalog(("digits",)), "byol")
    >>> from_json(to_json(recipe), recipe.catalog) == recipe
    True
    """
    settings = {
        key: {"value": value, "origin": origin} for key, (value, origin) in recipe.settings.items()
    }
    head = {"method": recipe.name, "recipe": recipe.family}
    tail = {"source": recipe.source, "expected": recipe.expected}
    return json.dumps({**head, "settings": settings, **tail}, indent=1) + "\n"


def from_json(text: str, catalog: Catalog) -> Recipe:
    """Read what `to_json` wrote, checked like a new recipe.

    Raises:
        UserError: if it is not such a text, or this version of the package does not know a name.

    Example:

    >>> from keras_ssl.config import Catalog, resolve
    >>> recipe = resolve(Catalog(("digits",)), "byol")
    >>> from_json(to_json(recipe), recipe.catalog).name
    'byol'
    """
    try:
        data = json.loads(text)
        stored = {
            RENAMED.get(key, key): (s["value"], str(s["origin"]))
            for key, s in data["settings"].items()
        }
        head = [data[name] for name in ("method", "recipe", "source")]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError("It is not a recipe that this program wrote.") from None
    method, family, source = head
    family = FORMER_NAMES.get(family, family)
    lookup(dict.fromkeys(catalog.method_names), method, "method")
    known = family in recipe_names(method)
    own = merge(recipe_layers(method, family, own_neck(method))) if known else {}
    overrides = {
        key: Override(key, value, _read_origin(words, own.get(key)))
        for key, (value, words) in stored.items()
    }
    settings = complete(catalog, method, overrides)
    published = published_runs(catalog, method, family) if known else ()
    return Recipe(method, family, settings, source, published, catalog)


def _read_origin(words, own):
    """The `Origin` that a file has in words; `own` is what the run's recipe says, or None."""
    if words == "--set" or not words.startswith(("--", *_KINDS)):
        return Origin(words)
    if words.startswith("--"):
        return Origin(words, "flag")
    kind = next(kind for start, kind in _KINDS.items() if words.startswith(start))
    is_derived = kind == "derived" and own is not None
    return Origin(words, kind, replaced=(own.value, own.origin) if is_derived else None)


def save(recipe: Recipe, workdir: str | Path) -> None:
    """Make the directory and write `recipe.json`, whole or not at all.

    Raises:
        UserError: if the directory cannot be written to.

    Example:

    >>> import tempfile
    >>> from keras_ssl.config import Catalog, resolve
    >>> recipe = resolve(Catalog(("digits",)), "byol")
    >>> workdir = tempfile.mkdtemp()
    >>> save(recipe, workdir)
    >>> load(workdir, recipe.catalog) == recipe
    True
    """
    path = Path(workdir) / RECIPE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, to_json(recipe))
    except OSError as error:
        raise UserError(
            f"Cannot write to the work directory '{workdir}': {error.strerror}. "
            "Choose another one with --workdir."
        ) from error


def load(workdir: str | Path, catalog: Catalog) -> Recipe:
    """Read the recipe of a run.

    Raises:
        UserError: if `workdir` holds none, or one that cannot be used.

    Example:

    >>> import tempfile
    >>> from keras_ssl.config import Catalog, resolve
    >>> recipe = resolve(Catalog(("digits",)), "byol")
    >>> workdir = tempfile.mkdtemp()
    >>> save(recipe, workdir)
    >>> load(workdir, recipe.catalog).name
    'byol'
    """
    path = Path(workdir) / RECIPE
    try:
        return from_json(path.read_text(encoding="utf-8"), catalog)
    except OSError as error:
        raise UserError(
            f"No run in '{workdir}': {RECIPE} cannot be read ({error.strerror})."
        ) from error
    except UserError as error:
        raise UserError(f"Cannot use {path}: {error}") from error


def new_workdir(recipe: Recipe, root: str | Path = "runs") -> Path:
    """The first of `root/METHOD-DATA-1`, `-2`, ... that does not exist.

    Example:

    >>> import tempfile
    >>> from keras_ssl.config import Catalog, resolve
    >>> recipe = resolve(Catalog(("digits",)), "byol")
    >>> new_workdir(recipe, tempfile.mkdtemp()).name
    'byol-digits-1'
    """
    name = recipe.data.dataset
    name = Path(name.split(":", 1)[1]).stem if name.startswith(DATASET_PREFIXES) else name
    data = re.sub(r"\W+", "-", name).strip("-") or "images"
    paths = (Path(root, f"{recipe.name}-{data}-{number}") for number in itertools.count(1))
    return next(path for path in paths if not path.exists())


def override(recipe: Recipe, overrides: Iterable[Override], also: Iterable[str] = ()) -> Recipe:
    """The recipe of a run with what a later command may change in it.

    Args:
        recipe: that of the run.
        overrides: values for settings. One that the run already has is allowed for every key.
        also: keys that may change besides those that do not affect training.

    Raises:
        UserError: for an override that would change what the run has trained or will train.

    Example:

    >>> from keras_ssl.config import Catalog, resolve
    >>> recipe = resolve(Catalog(("digits",)), "byol")
    >>> changed = override(recipe, [Override("evaluation.knn_neighbours", "5", "--set")])
    >>> changed.evaluation.knn_neighbours
    5
    """
    optimizer = Override("optimizer.name", recipe.optimizer.name, "")
    space = available(recipe.catalog, recipe.name, optimizer)
    # What a choice brings with it must not replace what is given besides.
    for each in sorted(overrides, key=lambda each: each.key not in CHOICES):
        check_keys([each.key], space)
        value = read_override(space[each.key], each)
        has, _ = recipe.settings.get(each.key, (None, None))
        if value == has:
            continue
        if not each.key.startswith(NOT_TRAINING) and each.key not in also:
            raise UserError(
                f"The run was started with {each.key}={has} and cannot resume with {value} "
                f"({each.origin}). Leave it out, or start a new run."
            )
        recipe = recipe.with_({each.key: each.value}, each.origin)
    return recipe
