"""What a command line asks for: flags, and the recipe and directory that they mean.

Imports no TensorFlow, so that a mistake is answered in under a second.
"""

import types
import typing
from pathlib import Path

from absl import flags

import keras_ssl.config as config
from keras_ssl.config import schema
from keras_ssl.core.constants import DATASET_FORMS
from keras_ssl.core.errors import UserError, did_you_mean, lookup
from keras_ssl.core.files import ENCODER, MODEL, RECIPE
from pipelines.data.names import check_exists, check_name, members
from pipelines.views.policies import POLICIES, ViewPolicy, policy_for

MODES = ("pretrain", "preview", "evaluate", "analyze", "finetune", "transfer", "export", "codes")
MODES += ("compare", "list")


def _listed(names):
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _choices(section, name):
    return _listed(typing.get_args(config.declared(section)[name].kind))


# Flags for the settings that are wanted most; --set reaches all of them.
SETTING_FLAGS = {
    "dataset": (
        "data.dataset",
        f"digits (the default), {', '.join(DATASET_FORMS)}, or a TFDS name",
    ),
    "data_dir": ("data.data_dir", "where TensorFlow Datasets keeps its files"),
    "backbone": ("backbone.name", "the network, such as resnet18"),
    "epochs": ("training.epochs", "passes over the training images"),
    "batch_size": ("training.batch_size", "images of a step, over all replicas"),
    "learning_rate": ("optimizer.learning_rate", "peak, per 256 images of a batch"),
    "seed": ("training.seed", "of weights, order and augmentation"),
    "precision": ("training.precision", _choices(schema.Training, "precision")),
    "augment": ("augment.where", f"{_choices(schema.Augment, 'where')}: where views are drawn"),
    "strategy": ("training.strategy", _choices(schema.Training, "strategy")),
    "deterministic": ("training.deterministic", "the same bits every time on a GPU; slower"),
}
OTHER_FLAGS = {
    "mode": _listed((f"{MODES[0]} (the default)", *MODES[1:])),
    "method": "what to train, such as sem_byol; --mode=list shows all",
    "recipe": "the settings to start from, such as digits; by default those of the data set",
    "workdir": "directory of the run; by default a new one in runs/",
    "resume": "resume the run in --workdir",
    "out": "where --mode=codes writes, by default the folder codes of the run; the page of "
    "--mode=compare, by default compare.html",
    "set": "section.field=value, any other setting; may be repeated",
    "show_recipe": "print every setting and where it comes from, and stop",
    "show_cost": "print parameters, multiply-adds and the memory of a step, and stop",
    "help": "print this and stop",
}
SWITCHES = ("resume", "show_recipe", "show_cost", "help", "deterministic")
FLAGS = {**OTHER_FLAGS, **{name: text for name, (_, text) in SETTING_FLAGS.items()}}
INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended
MODELS = (MODEL, ENCODER)  # what a run has as soon as its training has ended


def parse_flags(argv: list[str]) -> types.SimpleNamespace:
    """Read a command line, the program's name first.

    Returns:
        A value per flag, None where it was not given; `runs` has the directories to compare.

    Raises:
        UserError: for a flag, a mode or an argument that does not exist.

    Example:

    >>> options = parse_flags(["run.py", "--method=byol", "--epochs=3"])
    >>> options.mode, options.method, options.epochs, options.seed
    ('pretrain', 'byol', '3', None)
    """
    values = flags.FlagValues()
    for name, text in FLAGS.items():
        if name in SWITCHES:
            given = None if name in SETTING_FLAGS else False
            flags.DEFINE_boolean(name, given, text, flag_values=values)
        elif name == "set":
            flags.DEFINE_multi_string(name, [], text, flag_values=values)
        else:
            flags.DEFINE_string(name, None, text, flag_values=values)
    try:
        rest = values(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        hint = did_you_mean(error.flagname, values)
        raise UserError(f"Unknown flag '{error.flagname}'.{hint} --help lists all.") from error
    except flags.Error as error:
        raise UserError(str(error)) from error
    if rest and values.mode != "compare":
        raise UserError(f"Unexpected argument '{rest[0]}': write --flag=value. --help lists all.")
    options = types.SimpleNamespace(**values.flag_values_dict(), runs=rest)
    options.mode = options.mode or "pretrain"
    if not options.help:
        lookup(dict.fromkeys(MODES), options.mode, "mode")
    return options


def read_catalog() -> config.Catalog:
    """What there is to choose from."""
    return config.Catalog(tuple(POLICIES), config.declared(ViewPolicy))


def overrides_of(options: types.SimpleNamespace) -> list[config.Override]:
    """The settings that the command line asks for: flags, then --set."""
    given = {name: getattr(options, name) for name in SETTING_FLAGS}
    return [
        config.Override(SETTING_FLAGS[name][0], value, config.Origin(f"--{name}", "flag"))
        for name, value in given.items()
        if value is not None
    ] + [config.parse_set(text) for text in options.set]


def recipe_of(options: types.SimpleNamespace, catalog: config.Catalog) -> config.Recipe:
    """The recipe of a new run, or that of the run in --workdir.

    Raises:
        UserError: for settings that do not exist or do not fit, or a run that is not there.
    """
    overrides = overrides_of(options)
    if _is_new(options):
        if options.method is None:
            raise UserError("Which method? Try --method=sem_byol; --mode=list shows all.")
        return config.resolve(catalog, options.method, overrides, options.recipe)
    if options.workdir is None:
        what = "--resume" if options.resume else f"--mode={options.mode}"
        raise UserError(f"{what} needs --workdir=DIRECTORY, that of a run.")
    recipe = config.load(options.workdir, catalog)
    for name, has in (("method", recipe.name), ("recipe", recipe.family)):
        if getattr(options, name) not in (None, has):
            raise UserError(f"The run in '{options.workdir}' has --{name}={has}. Leave it out.")
    also = ("data.dataset",) if options.mode in ("evaluate", "finetune", "codes") else ()
    return config.override(recipe, overrides, also)


def _is_new(options):
    """Whether the flags describe a run, or --workdir has one that they are about."""
    if options.mode == "preview":
        return options.method is not None or options.workdir is None
    return options.mode == "pretrain" and not options.resume


def workdir_of(options: types.SimpleNamespace, recipe: config.Recipe) -> Path:
    """--workdir; else the next free directory in runs/, or for a preview the current one.

    Raises:
        UserError: where a new run would overwrite another.
    """
    if options.workdir is None:
        return Path(".") if options.mode == "preview" else config.new_workdir(recipe)
    path = Path(options.workdir)
    if options.mode == "pretrain" and not options.resume and (path / RECIPE).exists():
        raise UserError(f"'{path}' already holds a run. Resume it by --resume, or choose another.")
    return path


def is_trained(workdir: Path) -> bool:
    """Whether the training of a run has ended."""
    return all((workdir / name).exists() for name in MODELS)


def check_recipe(recipe: config.Recipe):
    """Refuse settings that do not fit each other, and a name that no data set has."""
    views = recipe.augment
    policy_for(views.policy, views.num_views, **views.overrides)
    check_name(recipe.data.dataset)
    if recipe.export.one_hot and recipe.neck.kind == "none":
        raise UserError("export.one_hot: without a neck there are no codes. Leave it out.")


def check_mode(mode: str, recipe: config.Recipe, workdir: Path):
    """Refuse what a mode cannot do with a recipe, and data sets that are not there.

    `mode` is one of `MODES`; `workdir` is that of the run.
    """
    if mode == "codes" and recipe.neck.kind == "none":
        raise UserError(
            f"The run in '{workdir}' has no neck, so there are no codes. Take one of a sem_ "
            "method, or of a recipe with neck.kind."
        )
    if mode == "transfer" and not recipe.transfer.datasets:
        raise UserError("Which data sets? Try --set transfer.datasets=cifar10,npz:images.npz.")
    shifted = [
        one for name in recipe.evaluation.shifted for one in members(name).values() or (name,)
    ]
    datasets = {
        "pretrain": (recipe.data.dataset, *shifted),
        "preview": (recipe.data.dataset,),
        "evaluate": shifted,
        "transfer": recipe.transfer.datasets,
    }
    for name in datasets.get(mode, ()):
        check_name(name)
        check_exists(name)
