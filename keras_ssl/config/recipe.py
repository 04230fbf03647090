"""A recipe: the value of every setting of a run, and where it comes from."""

import os
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Generic, Literal, TypeVar

from keras_ssl.config import schema
from keras_ssl.config.catalog import PREFIX, Catalog, declared
from keras_ssl.config.published import CHOICES, PublishedRun, expected
from keras_ssl.config.values import OPTIONAL, REQUIRED, Setting, read
from keras_ssl.core.constants import DATASET_PREFIXES
from keras_ssl.core.errors import UserError, did_you_mean
from keras_ssl.core.protocols import FINETUNING

_INDEPENDENT = (
    "augment.num_views",
    "augment.local_views",
    "augment.local_size",
    "augment.local_scale",
    "finetune.flip",  # belongs to the images
)

T = TypeVar("T")


class Origin(str):
    """Where a value comes from, in words for listings; what follows from it, `kind` decides.

    Args:
        words: a flag, "--set", "recipe byol/cifar10", ...
        kind: "flag", "given" (by `--set` or in Python), "recipe", "default", or "derived" from
            another setting.
        replaced: (value, origin) that a derived value stands for, if that is known.

    Example:

    >>> origin = Origin("recipe digits", "recipe")
    >>> f"{origin}", origin.explicit
    ('recipe digits', False)
    """

    def __new__(cls, words, kind="given", replaced=None):
        self = super().__new__(cls, words)
        self.kind, self.replaced = kind, replaced
        return self

    @property
    def explicit(self):
        """Whether somebody asked for the value."""
        return self.kind in ("flag", "given")


@dataclass(frozen=True)
class Override:
    """A value for a setting.

    Args:
        key: "section.field".
        value: the value, or text that stands for it.
        origin: where it comes from: an `Origin`, or words for one that is explicit.

    Example:

    >>> Override("training.epochs", "40", "--set").value
    '40'
    """

    key: str
    value: object
    origin: str

    def __post_init__(self):
        if not isinstance(self.origin, Origin):
            object.__setattr__(self, "origin", Origin(self.origin))

    @property
    def label(self) -> str:
        """What a message calls it: the flag if it was one, else the key."""
        return self.origin if self.origin.kind == "flag" else self.key


class Section(Generic[T]):
    """A section of a recipe: a read-only view of its settings, as an object of class `cls`."""

    def __init__(self, cls: type[T]):
        self.cls = cls

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, recipe, owner=None) -> T:
        if recipe is None:
            return self
        view = recipe.__dict__[self.name] = _build(self.cls, recipe.values(self.name))
        return view


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run.

    `settings` holds all values; `recipe.training` and the other sections are views of it.

    Args:
        name: the method as the command line has it, such as "sem_byol".
        family: the recipe it follows, such as "digits".
        settings: {"section.field": (value, origin)}.
        source: where the recipe's values come from.
        published: runs whose results are printed somewhere, with their settings: first the recipe
            itself if it is one.
        catalog: `Catalog`, by which changes are checked.

    Example:

    >>> from keras_ssl.config import Catalog, resolve
    >>> recipe = resolve(Catalog(("digits",)), "byol")
    >>> recipe.training.batch_size, recipe.settings["training.seed"]
    (64, (0, 'default'))
    """

    name: str
    family: str
    settings: Mapping
    source: str
    published: tuple[PublishedRun, ...]
    catalog: Catalog = field(repr=False, compare=False)

    neck = Section(schema.Neck)
    backbone = Section(schema.Backbone)
    data = Section(schema.Data)
    augment = Section(schema.Augment)
    optimizer = Section(schema.Optimizer)
    schedule = Section(schema.Schedule)
    training = Section(schema.Training)
    evaluation = Section(schema.Evaluation)
    finetune = Section(schema.Finetune)
    transfer = Section(schema.Transfer)
    analysis = Section(schema.Analysis)
    export = Section(schema.Export)

    def __post_init__(self):
        object.__setattr__(self, "settings", types.MappingProxyType(dict(self.settings)))
        for section in SECTIONS:
            getattr(self, section)  # refuses values that contradict each other

    def __reduce__(self):
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        return Recipe, tuple({**values, "settings": dict(self.settings)}.values())

    @property
    def expected(self) -> str:
        """The result to expect of these settings, in words; "" where nothing is published."""
        return expected(self.published, self.family, self.settings)

    @property
    def method(self) -> dict:
        """{name: value}, the arguments of the method's class."""
        return self.values("method")

    @property
    def base_name(self) -> str:
        """The method's name without the prefix for SEM."""
        return self.name.removeprefix(PREFIX)

    def values(self, section: str) -> dict:
        """{field: value} of a section."""
        start = f"{section}."
        return {
            key.removeprefix(start): value
            for key, (value, _) in self.settings.items()
            if key.startswith(start)
        }

    def scaled(self, learning_rate: float) -> float:
        """A learning rate per 256 images as that of one update, however many images it takes."""
        return learning_rate * self.training.batch_size * self.training.accumulate / 256

    def with_(self, values: Mapping, origin: str) -> "Recipe":
        """This recipe with other values, checked as those of `--set` are.

        Args:
            values: {"section.field": value or text}.
            origin: where the values come from.

        Raises:
            UserError: for keys that do not exist, values of the wrong type or out of range, and
                settings that contradict each other.

        Example:

        >>> from keras_ssl.config import Catalog, resolve
        >>> recipe = resolve(Catalog(("digits",)), "byol")
        >>> other = recipe.with_({"training.precision": "float32"}, origin="an example")
        >>> recipe.training.precision, other.training.precision
        ('auto', 'float32')
        >>> other.settings["training.precision"]
        ('float32', 'an example')
        """
        own = {key: Override(key, *entry) for key, entry in self.settings.items()}
        new = {key: Override(key, value, origin) for key, value in values.items()}
        if "training.epochs" in new:
            own = _without_derived(own)
        settings = complete(self.catalog, self.name, merge([own, new]))
        return replace(self, settings=settings)


SECTIONS = {name: part.cls for name, part in vars(Recipe).items() if isinstance(part, Section)}


def _without_derived(overrides):
    """Overrides with those that derived values stand for; they are derived again from these."""
    replaced = {
        key: o.origin.replaced for key, o in overrides.items() if o.origin.kind == "derived"
    }
    kept = {key: override for key, override in overrides.items() if key not in replaced}
    return kept | {key: Override(key, *entry) for key, entry in replaced.items() if entry}


def _build(cls, values):
    """An object of a section's class; its field of type `Mapping` takes what has no field."""
    kinds = {part.name: part.type for part in fields(cls)}
    known = {name: value for name, value in values.items() if name in kinds}
    rest = {name: value for name, value in values.items() if name not in kinds}
    opened = [name for name, kind in kinds.items() if kind is Mapping]
    return cls(**known, **({opened[0]: types.MappingProxyType(rest)} if opened else rest))


def merge(layers: Iterable[Mapping[str, Override]]) -> dict[str, Override]:
    """Lay {key: Override} over one another, later over earlier."""
    merged = {}
    for layer in layers:
        for choice in CHOICES:
            section, name = choice.split(".")
            default = getattr(SECTIONS[section], name, None)
            before = merged[choice].value if choice in merged else default
            if choice in layer and layer[choice].value != before:
                kept = [k for k in merged if not k.startswith(f"{section}.") or k in _INDEPENDENT]
                merged = {key: merged[key] for key in kept}
        merged.update(layer)
    return merged


def complete(catalog: Catalog, method: str, overrides: Mapping[str, Override]) -> dict:
    """Check overrides and take defaults for the rest: {key: (value, origin)}."""
    space = available(catalog, method, overrides["optimizer.name"])
    protocol = _by_protocol(space, overrides.get("finetune.protocol"))
    space |= protocol
    check_keys(overrides, space)
    settings = {}
    for key, setting in space.items():
        if key in overrides:
            override = overrides[key]
            settings[key] = (read_override(setting, override), override.origin)
        elif setting.default is REQUIRED:
            raise UserError(
                f"{key} has no default, and the recipe's belongs to another {key.split('.')[0]}. "
                f"Give --set {key}=VALUE as well."
            )
        elif setting.default is not OPTIONAL:
            words = "default of finetune.protocol" if key in protocol else "default"
            settings[key] = (setting.default, Origin(words, "default"))
    return _shorten_warmup(_drop_unused_neck(_explicit_before_protocol(settings)))


def available(catalog: Catalog, method: str, optimizer: Override) -> dict[str, Setting]:
    """Every setting of a run of `method` with an optimizer: {key: Setting}."""
    sections = {"method": dict(catalog.methods[method.removeprefix(PREFIX)].settings)}
    sections.update({section: declared(cls) for section, cls in SECTIONS.items()})
    _limit(sections["backbone"], "name", catalog.backbones)
    _limit(sections["backbone"], "second", ("same", *catalog.backbones))
    _limit(sections["augment"], "policy", catalog.policies)
    _limit(sections["augment"], "local_policy", ("same", *catalog.policies))
    _limit(sections["optimizer"], "name", catalog.optimizers)
    _limit(sections["finetune"], "protocol", FINETUNING)
    chosen = read(sections["optimizer"]["name"], optimizer.value, optimizer.label)
    sections["optimizer"].update(catalog.optimizers[chosen].settings)
    views = catalog.view_settings.items()
    sections["augment"].update({name: replace(view, default=OPTIONAL) for name, view in views})
    if "momentum" not in sections["method"]:
        del sections["schedule"]["final_momentum"]  # a method without moving averages
    return {f"{section}.{name}": s for section, own in sections.items() for name, s in own.items()}


def _by_protocol(space, override):
    """The settings of the section `finetune` that a protocol has other defaults of."""
    setting = space["finetune.protocol"]
    name = setting.default if override is None else read_override(setting, override)
    values = {f"finetune.{key}": value for key, value in FINETUNING[name].settings.items()}
    return {key: replace(space[key], default=value) for key, value in values.items()}


def check_keys(keys: Iterable[str], space: Mapping[str, Setting]):
    """Refuse keys that are not in `space`, with the nearest one and its neighbors.

    Raises:
        UserError: for the first such key.
    """
    for key in keys:
        if key in space:
            continue
        section, _, name = key.rpartition(".")
        elsewhere = [other for other in space if other.split(".")[1] == name]
        hint = f" Did you mean '{elsewhere[0]}'?" if elsewhere else did_you_mean(key, space)
        known = [other.split(".")[1] for other in space if other.startswith(section + ".")]
        known = known or dict.fromkeys(other.split(".")[0] for other in space)
        where = f"{section} has" if section in {o.split(".")[0] for o in space} else "Sections"
        raise UserError(f"Unknown setting '{key}'.{hint} {where}: {', '.join(known)}.")


def read_override(setting: Setting, override: Override):
    """The value of an override as the type of its setting; paths become absolute."""
    return _with_absolute_paths(override.key, read(setting, override.value, override.label))


def _with_absolute_paths(key, value):
    """The value of a setting; a path in it then holds whatever the working directory is."""
    if key == "data.data_dir" and value:
        return _absolute(value)
    if key in ("transfer.datasets", "evaluation.shifted"):
        return tuple(_with_absolute_paths("data.dataset", name) for name in value)
    if key == "data.dataset":
        for prefix in DATASET_PREFIXES:
            if value.startswith(prefix) and value != prefix:
                return prefix + _absolute(value.removeprefix(prefix))
    return value


def _absolute(path):
    remote = "://" in path  # a bucket
    return path if remote else os.path.abspath(os.path.expanduser(path))


def _limit(settings, name, choices):
    settings[name] = replace(settings[name], kind=Literal[tuple(choices)])


def _explicit_before_protocol(settings):
    """Let a length or a number of labels that was given take the place of the protocol's."""
    for given, other in (("shares", "labels_per_class"), ("steps", "epochs")):
        (_, origin), (value, of_other) = (settings[f"finetune.{name}"] for name in (given, other))
        if value and origin.explicit and not of_other.explicit:
            settings[f"finetune.{other}"] = (() if isinstance(value, tuple) else None, origin)
    return settings


def _drop_unused_neck(settings):
    kind, embedder = settings["neck.kind"][0], settings["neck.embedder"][0]
    fields = schema.neck_fields(kind, embedder)
    names = [key.removeprefix("neck.") for key in settings if key.startswith("neck.")]
    unused = [f"neck.{name}" for name in names if name not in ("kind", *fields)]
    for key in unused:
        if not settings[key][1].explicit:
            continue
        if kind == "none":
            raise UserError(
                f"{key} does nothing without a neck. Take the sem_ method of the name, or set "
                "neck.kind too."
            )
        raise UserError(
            f"{key} does nothing with neck.kind={kind} and neck.embedder={embedder}, which take: "
            f"{', '.join(fields)}."
        )
    return {key: entry for key, entry in settings.items() if key not in unused}


def _shorten_warmup(settings):
    """Let a short run warm up for half of its epochs at most, unless a length was given."""
    epochs, epochs_origin = settings["training.epochs"]
    warmup, origin = settings["schedule.warmup_epochs"]
    if warmup <= epochs / 2 or (origin.explicit and warmup < epochs):
        return settings
    if origin.explicit:
        raise UserError(f"schedule.warmup_epochs={warmup:g} leaves nothing of {epochs} epochs.")
    derived = Origin(f"half of {epochs_origin}", "derived", replaced=(warmup, origin))
    return {**settings, "schedule.warmup_epochs": (epochs / 2, derived)}
