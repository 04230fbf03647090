"""The catalog and recipes that tests of settings share."""

from keras_ssl.config import Catalog, Origin, Override, declared
from keras_ssl.config.resolution import recipe_names
from pipelines.views.policies import POLICIES, ViewPolicy

CATALOG = Catalog(tuple(POLICIES), declared(ViewPolicy))
EVERY = [(name, recipe) for name in CATALOG.method_names for recipe in recipe_names(name)]


def flag(key, value):
    """An override as a flag gives it."""
    return Override(key, value, Origin(f"--{key.split('.')[1]}", "flag"))


def settings_of(recipe):
    """{key: value}, without origins."""
    return {key: value for key, (value, _) in recipe.settings.items()}
