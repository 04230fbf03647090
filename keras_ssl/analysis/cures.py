"""What usually cures a collapse, in terms of the settings of a run."""

from collections.abc import Mapping
from typing import Any

MORE, LESS = "a larger", "a smaller"

# {kind: {method: ((setting, what it should be or become), ...)}}, the first that applies first.
# "" is for methods that are not named. Sources: the papers' own ablations and the settings'
# docstrings.
CURES = {
    "representation": {
        "simsiam": (
            ("method.stop_gradient", True),  # Chen and He, 2021, sec. 4.1
            ("method.predictor_kind", "mlp"),  # sec. 4.2
            ("method.covariance_weight", MORE),  # the terms of Bardes et al., 2022, table 4
        ),
        "byol": (
            ("method.use_predictor", True),  # Grill et al., 2020, table 5b
            ("method.momentum", MORE),  # table 5a
            ("method.variance_weight", MORE),
        ),
        "vicreg": (("method.variance_weight", MORE),),  # Bardes et al., 2022, table 7
        "simmer": (("method.alpha_entropy", MORE), ("method.alpha_rank", MORE)),  # table 4
        "cplearn": (("method.beta", LESS),),  # app. K, L
        "gedi_nogen": (("method.beta", LESS),),
        "gedi": (("method.beta", LESS),),
        "dino": (("method.teacher_temperature", LESS), ("method.center_momentum", LESS)),
        "swav": (("method.epsilon", LESS),),
        "barlow_twins": (("training.batch_size", MORE), ("optimizer.learning_rate", LESS)),
        "simclr": (("method.temperature", LESS), ("training.batch_size", MORE)),
        "moco": (("method.temperature", LESS), ("method.momentum", MORE)),
        "": (("optimizer.learning_rate", LESS), ("schedule.warmup_epochs", MORE)),
    },
    "dimensional": {
        "vicreg": (("method.covariance_weight", MORE),),  # Bardes et al., 2022, table 7
        "barlow_twins": (("method.redundancy_weight", MORE),),
        "simmer": (("method.alpha_rank", MORE),),
        "simsiam": (("method.stop_gradient", True), ("method.covariance_weight", MORE)),
        "byol": (("method.use_predictor", True), ("method.covariance_weight", MORE)),
        "cplearn": (("method.num_codes", MORE),),  # theorem 1, fig. 13
        "simclr": (("method.temperature", LESS), ("augment.policy", "a weaker one")),
        "moco": (("method.temperature", LESS), ("augment.policy", "a weaker one")),
        "wmse": (("training.batch_size", MORE), ("method.whitening_size", LESS)),
        "dbn": (("training.batch_size", MORE), ("method.num_groups", MORE)),
        "": (("optimizer.learning_rate", LESS), ("augment.policy", "a weaker one")),
    },
    "cluster": {
        "cplearn": (("method.beta", LESS),),  # app. L, table 9
        "gedi_nogen": (("method.beta", LESS),),
        "gedi": (("method.beta", LESS),),
        "swav": (
            ("method.sinkhorn_iterations", MORE),
            ("method.queue_size", MORE),
            ("optimizer.learning_rate", LESS),
        ),
        "dino": (("method.center_momentum", LESS), ("method.teacher_temperature", MORE)),
        "self_classifier": (("method.column_temperature", LESS), ("training.batch_size", MORE)),
        "deepcluster": (("method.num_prototypes", LESS), ("optimizer.learning_rate", LESS)),
        "": (("optimizer.learning_rate", LESS),),
    },
    "codes": {  # the simplices of SEM
        "": (("neck.embedder_norm", True), ("neck.temperature", MORE)),  # SEM, table 18
    },
    "intracluster": {
        "cplearn": (("method.num_codes", MORE),),  # figs. 13b and 15
        "gedi_nogen": (("method.num_clusters", MORE),),
        "gedi": (("method.num_clusters", MORE),),
        "swav": (("method.num_prototypes", MORE),),
        "dino": (("method.num_prototypes", MORE),),
        "deepcluster": (("method.num_prototypes", MORE),),
        "self_classifier": (("method.num_classes", MORE),),
        "": (("training.epochs", LESS), ("optimizer.weight_decay", LESS)),
    },
}


def cure_of(kind: str, method: str, settings: Mapping[str, Any]) -> str:
    """What usually cures a kind of collapse, from the settings of the run that collapsed.

    Args:
        kind: "representation", "dimensional", "cluster", "codes" or "intracluster".
        method: name, such as "byol" or "sem_byol".
        settings: {setting: its value in the run}.

    Returns:
        A phrase of one or two settings; a setting that the run lacks or that has the right value
        is passed over.

    Example:

    >>> cure_of("representation", "simsiam", {"method.stop_gradient": False})
    '--set method.stop_gradient=true'
    >>> cure_of("cluster", "cplearn", {"method.beta": 10.0})
    'a smaller method.beta (here 10)'
    """
    table = CURES[kind]
    own, others = table.get(method.removeprefix("sem_"), ()), table[""]
    found = _phrases(own, settings) or _phrases(others, settings)
    firm = [phrase for phrase in found if phrase.startswith("--set")]
    return " or ".join((firm or found)[:2])


def _phrases(cures, settings):
    return [
        _phrase(key, wanted, settings[key])
        for key, wanted in cures
        if key in settings and settings[key] != wanted
    ]


def _phrase(key, wanted, value):
    if wanted is True or wanted == "mlp":
        return f"--set {key}={str(wanted).lower()}"
    if isinstance(value, tuple | list):
        value = ",".join(map(str, value))
    value = f"{value:g}" if isinstance(value, float) else value
    direction = f"{wanted} {key}" if wanted in (MORE, LESS) else f"{key}: {wanted}"
    return f"{direction} (here {value})"
