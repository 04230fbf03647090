"""What usually cures a collapse, in terms of the settings of a run.

A method declares its own cures (`Method.cures`); here are those of all others. Sources are the
papers' own ablations and what the settings' docstrings say.
"""

from collections.abc import Mapping
from typing import Any


class Change(str):
    """What a setting should become where that is no value: words with `{}` for the setting."""


MORE, LESS, WEAKER = Change("a larger {}"), Change("a smaller {}"), Change("a weaker {}")
OF_PREDICTOR = Change("a larger learning rate of the predictor, {}")

# {kind: ((setting, value or `Change`), ...)}, the first that applies first.
Cures = Mapping[str, tuple[tuple[str, Any], ...]]

# "undecided" is a training that selects nothing yet, so that all choices are equally likely.
DEFAULTS: Cures = {
    "representation": (("optimizer.learning_rate", LESS), ("schedule.warmup_epochs", MORE)),
    "dimensional": (("optimizer.learning_rate", LESS), ("augment.policy", WEAKER)),
    "cluster": (("optimizer.learning_rate", LESS),),
    "intracluster": (("training.epochs", LESS), ("optimizer.weight_decay", LESS)),
    "undecided": (("optimizer.learning_rate", LESS), ("schedule.warmup_epochs", MORE)),
    "not finite": (("training.precision", "float32"), ("optimizer.learning_rate", LESS)),
    # The simplices of SEM, table 18.
    "one-hot codes": (("neck.embedder_norm", True), ("neck.temperature", MORE)),
    "uniform codes": (("neck.temperature", LESS),),
}

# Where method.beta weighs agreement against an even use of the clusters: too small a weight leaves
# images undecided, too large a one puts them all in one cluster (CPLearn, appendices K and L).
OF_BETA: Cures = {
    "representation": (("method.beta", Change("a {} at which all terms of the loss fall")),),
    "cluster": (("method.beta", LESS),),
    "undecided": (("method.beta", MORE),),
}


def cure_of(kind: str, cures: Cures, settings: Mapping[str, Any]) -> str:
    """What usually cures a kind of collapse, from the settings of the run that collapsed.

    Args:
        kind: a key of `DEFAULTS`, or of the method's own cures.
        cures: those of the method, which come before the defaults.
        settings: {setting: its value in the run}, None where the value is not known.

    Returns:
        A phrase of one or two settings; a setting that the run lacks, or that has the right value,
        is skipped. "" where nothing is left.

    Example:

    >>> cures = {"representation": (("method.stop_gradient", True),), "cluster": OF_BETA["cluster"]}
    >>> cure_of("representation", cures, {"method.stop_gradient": False})
    '--set method.stop_gradient=true'
    >>> cure_of("cluster", cures, {"method.beta": 10.0})
    'a smaller method.beta (here 10)'
    """
    found = _phrases(cures.get(kind, ()), settings) or _phrases(DEFAULTS.get(kind, ()), settings)
    firm = [phrase for phrase in found if phrase.startswith("--set")]
    return " or ".join((firm or found)[:2])


def settings_of(kind: str, cures: Cures) -> list[str]:
    """The settings that `cure_of` may name."""
    return [key for key, _ in (*cures.get(kind, ()), *DEFAULTS.get(kind, ()))]


def _phrases(cures, settings):
    return [
        _phrase(key, wanted, settings[key])
        for key, wanted in cures
        if key in settings and settings[key] != wanted
    ]


def _phrase(key, wanted, value):
    known = isinstance(value, bool | int | float | str | tuple | list)
    if not isinstance(wanted, Change):
        text = f"{key}={str(wanted).lower() if isinstance(wanted, bool) else wanted}"
        return f"--set {text}" if known else text
    text = wanted.format(key)
    if isinstance(value, tuple | list):
        value = ",".join(map(str, value))
    return f"{text} (here {f'{value:g}' if isinstance(value, float) else value})" if known else text
