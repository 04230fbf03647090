"""Published results: which of them belong to the settings of a run, and in words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_ssl.config.values import as_text
from keras_ssl.core.published import Published
from keras_ssl.recipes.families import levels_of

if TYPE_CHECKING:
    from keras_ssl.config.recipe import Recipe

# Settings, or what they start with, that do not affect training: the commands of one run may have
# different values of them.
NOT_TRAINING = (
    "data.data_dir",
    "data.test_crop",
    "training.strategy",
    "evaluation.",
    "finetune.",
    "transfer.",
    "analysis.",
    "export.",
)

# Another backbone, optimizer, policy or neck starts from its own defaults: the values that the
# section had belong to the one it replaces.
CHOICES = (
    "backbone.name",
    "optimizer.name",
    "augment.policy",
    "neck.kind",
    "finetune.protocol",
)

# With these as well it is another training of the same setting: a published result holds for it.
_SAME_SETTING = (*NOT_TRAINING, "augment.where", "training.seed", "training.precision")
# What decides of which kind the accuracy of a linear probe is.
_PROBE = (
    "evaluation.probe",
    "evaluation.probe_views",
    "evaluation.probe_epochs",
    "data.test_crop",
)
_KINDS = {"nmi": "NMI", "top5": "top-5"}


@dataclass(frozen=True)
class PublishedRun:
    """A run whose results are printed somewhere.

    Args:
        name: its recipe, such as "cifar100/resnet50".
        settings: {"section.field": value}, all of them, and the data set it was published on.
        results: `Published`, one for each number.
    """

    name: str
    settings: Mapping
    results: tuple[Published, ...]


def nearest(
    runs: Sequence[PublishedRun], family: str, settings: Mapping
) -> tuple[PublishedRun | None, list[str]]:
    """The run that was published with these settings; else the recipe's, and where it differs.

    Without a run of its own a recipe has that of what it builds on.

    Args:
        runs: those to choose from.
        family: the name of the recipe.
        settings: {"section.field": (value, origin)} of a run.

    Returns:
        (`PublishedRun`, its settings that the run does not have, as texts "key=value"), or
        (None, []).
    """
    differ = {run.name: changed(run.settings, settings) for run in runs}
    same = next((run for run in runs if not differ[run.name]), None)
    if same:
        return same, []
    own = [run for level in reversed(levels_of(family)) for run in runs if run.name == level]
    return (own[0], differ[own[0].name]) if own else (None, [])


def expected(runs: Sequence[PublishedRun], family: str, settings: Mapping) -> str:
    """What to expect of settings that started from a recipe, in words.

    That is what was published with just these, whichever of the family's runs has them; else the
    result of the recipe itself and where it differs. `evaluation` decides nothing of a training,
    but of which kind its numbers are: where it differs in that, the words say with what the
    published number was measured.

    Args:
        runs, family, settings: as for `nearest`.
    """
    run, differ = nearest(runs, family, settings)
    if run is None:
        return ""
    text, measured = words(run.results), measured_with(run, settings)
    if differ:
        return f"not published; {text} is with {', '.join([*differ, *measured])}"
    return f"{text}, measured with {', '.join(measured)}" if measured else text


def published_for(recipe: "Recipe") -> dict:
    """What is printed for a run of a recipe, or for the nearest one that is published.

    Returns:
        {"results": `Published` numbers, "dataset", "differ" and "measured": settings in which the
        published training and evaluation differ, "augmented": whether the published probe trained
        on augmented images}, the arguments of `keras_ssl.evaluation.published.Target`. Empty where
        nothing is published.

    Example:

    >>> from keras_ssl.config import Catalog, resolve
    >>> published_for(resolve(Catalog(("digits",)), "byol"))
    {}
    """
    run, differ = nearest(recipe.published, recipe.family, recipe.settings)
    if run is None:
        return {}
    return {
        "results": run.results,
        "dataset": recipe.data.dataset,
        "differ": differ,
        "measured": measured_with(run, recipe.settings),
        "augmented": run.settings.get("evaluation.probe_views") == "augmented",
    }


def measured_with(run: PublishedRun, settings: Mapping) -> list[str]:
    """Settings of the evaluation that gives numbers of the published kind, where others are set."""
    if run.settings.get(_PROBE[0]) not in {result.task for result in run.results}:
        return []
    return [
        f"{key}={as_text(run.settings[key])}"
        for key in _PROBE
        if key in run.settings and settings[key][0] != run.settings[key]
    ]


def words(results: Sequence[Published]) -> str:
    """Published results on a run's own data, in words.

    Example:

    >>> words([Published("73.9", "SEM, table 1", "sem_sgd", tau=0.1)])
    '73.9 % linear at tau_d 0.1 (SEM, table 1)'
    """
    places = {}
    for result in results:
        if not result.dataset:
            places.setdefault(result.place, []).append(_words(result))
    return "; ".join(f"{', '.join(texts)} ({place})" for place, texts in places.items())


def _words(result):
    kind = _KINDS.get(result.metric, "fine-tuned" if result.task == "finetune" else "linear")
    text = f"{result.value} % {kind}"
    text += ", online" if result.task == "online" and result.metric == "accuracy" else ""
    text += " by a probe of the authors' own" if result.task == "linear" else ""
    shots = result.protocol.get("labels_per_class")
    text += f" on {shots} labels per class" if shots else ""
    if result.readout not in ("", "simplices"):
        return f"{text} on {result.readout}"
    return text if result.tau is None else f"{text} at tau_d {result.tau:g}"


def changed(theirs: Mapping, settings: Mapping) -> list[str]:
    """Where published settings differ from those of a run: the published ones, as text."""
    ours = {key: value for key, (value, _) in settings.items()}
    ours["data.dataset"] = re.sub(r":[\d.*]+", "", ours["data.dataset"])  # a version of it
    keys = [
        key
        for key in {**ours, **theirs}  # either may have a setting that the other lacks
        if not key.startswith(_SAME_SETTING)
        and (key not in ours or key not in theirs or theirs[key] != ours[key])
    ]
    # Of another optimizer, neck, backbone or policy everything is another.
    replaced = [choice for choice in CHOICES if choice in keys]
    sections = tuple(choice.split(".")[0] + "." for choice in replaced)
    keys = [key for key in keys if key in replaced or not key.startswith(sections)]
    if "neck.embedder" in keys:  # blocks belong to the linear one
        keys = [key for key in keys if key != "neck.num_blocks"]
    return [f"{key}={as_text(theirs[key])}" if key in theirs else f"no {key}" for key in keys]
