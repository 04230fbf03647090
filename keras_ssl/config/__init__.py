"""What a run is told: recipes per method and kind of data, flags over them; no TensorFlow."""

from keras_ssl.config.catalog import Catalog, read_docstring
from keras_ssl.config.listing import format_catalog, format_flags, format_method, format_recipe
from keras_ssl.config.resolve import UNFELT, Change, parse_set, resolve
from keras_ssl.config.schema import Recipe
from keras_ssl.config.storage import amend, from_json, load, new_workdir, save, to_json

__all__ = [
    "UNFELT",
    "Catalog",
    "Change",
    "Recipe",
    "amend",
    "format_catalog",
    "format_flags",
    "format_method",
    "format_recipe",
    "from_json",
    "load",
    "new_workdir",
    "parse_set",
    "read_docstring",
    "resolve",
    "save",
    "to_json",
]
