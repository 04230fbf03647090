"""Settings of a run: defaults, recipes, flags over them. Imports no TensorFlow."""

from keras_ssl.config.catalog import Catalog, declared, read_docstring
from keras_ssl.config.listing import format_catalog, format_flags, format_method, format_recipe
from keras_ssl.config.published import NOT_TRAINING, published_for
from keras_ssl.config.recipe import Origin, Override, Recipe
from keras_ssl.config.resolution import parse_set, resolve
from keras_ssl.config.storage import from_json, load, new_workdir, override, save, to_json

__all__ = [
    "NOT_TRAINING",
    "Catalog",
    "Origin",
    "Override",
    "Recipe",
    "declared",
    "format_catalog",
    "format_flags",
    "format_method",
    "format_recipe",
    "from_json",
    "load",
    "new_workdir",
    "override",
    "parse_set",
    "published_for",
    "read_docstring",
    "resolve",
    "save",
    "to_json",
]
