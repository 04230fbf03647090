"""What is published for a run, for its tables."""

from pathlib import Path

from keras_ssl import config
from keras_ssl.core.files import RECIPE
from keras_ssl.evaluation.published import Target
from keras_ssl.evaluation.tables import write_tables


def target_of(recipe: config.Recipe, workdir: str | Path) -> Target | None:
    """What is printed for the training of a run, by the evaluation that a command asks for.

    Args:
        recipe: of the command, which may be on other data than the run was trained on.
        workdir: directory of the run.

    Returns:
        `Target`; None where nothing is published.
    """
    if (Path(workdir) / RECIPE).exists():
        trained = config.load(workdir, recipe.catalog).data.dataset
        recipe = recipe.with_({"data.dataset": trained}, origin="the run")
    found = config.published_for(recipe)
    return Target(**found) if found else None


def write_run_tables(recipe: config.Recipe, workdir: str | Path) -> Target | None:
    """Write `results.md` of a run with what is published for it; -> `target_of` the run."""
    target = target_of(recipe, workdir)
    write_tables(workdir, target)
    return target
