"""Settle every setting of a run: defaults, recipe, flags and `--set`, each with its origin."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from keras_ssl.config.catalog import PREFIX
from keras_ssl.config.datasets import PUBLISHED_ON, from_anywhere, recipe_of
from keras_ssl.config.schema import SECTIONS, assemble, declared, neck_fields
from keras_ssl.config.values import OPTIONAL, REQUIRED, Setting, as_text, read
from keras_ssl.core.checks import UserError, did_you_mean, lookup
from keras_ssl.recipes import RECIPES
from keras_ssl.recipes.families import FAMILIES, NECK_FAMILIES

# Another backbone, optimizer, policy or neck than that of the recipe below starts from its own
# defaults: what was said in that section was said of the other choice.
_CHOICES = ("backbone.name", "optimizer.name", "augment.policy", "neck.kind")
_INDEPENDENT = (
    "augment.num_views",
    "augment.local_views",
    "augment.local_size",
    "augment.local_scale",
)

# Keys, or what they start with, that the trained network does not feel: these may change between
# the commands of one run.
UNFELT = ("data.data_dir", "training.strategy")
UNFELT += ("evaluation.", "finetune.", "transfer.", "export.")
# With these as well it is another training of the same setting: a published result holds for it.
_SAME_SETTING = (*UNFELT, "augment.where", "training.seed", "training.precision")


@dataclass(frozen=True)
class Change:
    """`key` ("section.field") shall be `value`, which may be text; `origin` says so."""

    key: str
    value: object
    origin: str

    @property
    def label(self):
        """What a message calls it: the flag if it was one, else the key."""
        is_flag = self.origin.startswith("--") and self.origin != "--set"
        return self.origin if is_flag else self.key


def read_change(setting, change):
    """The value of a change as the type of its setting, paths as they hold in every directory."""
    return from_anywhere(change.key, read(setting, change.value, change.label))


def parse_set(text):
    """Read `section.field=value` as a `Change`."""
    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set takes section.field=value. Received '{text}'.")
    return Change(key.strip(), value.strip(), "--set")


def resolve(catalog, method, wishes=(), family=None):
    """Make the recipe of a run.

    Args:
        catalog: `Catalog`.
        method: str. A name of `catalog.method_names`.
        wishes: sequence of `Change`, later ones over earlier ones.
        family: str or None. The recipe's name, such as "digits" or "cifar100/resnet50"; by default
            that of the data set.

    Returns:
        A `Recipe`.

    Raises:
        UserError: for names or keys that do not exist, values of the wrong type or out of range,
            and settings that contradict each other.
    """
    lookup(dict.fromkeys(catalog.method_names), method, "method")
    wishes = {wish.key: wish for wish in wishes}
    known = dict.fromkeys(recipe_names(method))
    if family is None:
        dataset = wishes.get("data.dataset", Change("", declared("data")["dataset"].default, ""))
        family = recipe_of(dataset.value)
        family = family if family in known else family_in(family)
    lookup(known, family, "recipe")
    neck = wishes.get("neck.kind")
    kind = read(declared("neck")["kind"], neck.value, neck.label) if neck else own_neck(method)
    settings = settle(catalog, method, merge([*recipe_layers(method, family, kind), wishes]))
    source, _ = provenance(method, family)
    expected = expected_of(catalog, method, family, settings)
    return assemble(method, family, settings, source, expected)


def own_neck(method):
    """The kind of neck that a method has by its name."""
    return "sem" if method.startswith(PREFIX) else "none"


def recipe_names(method):
    """The recipes of a method: every family, and behind it the runs that start from it."""
    own = RECIPES.get(method, {})
    return [
        name
        for family in FAMILIES
        for name in dict.fromkeys([family, *(name for name in own if family_in(name) == family)])
    ]


def family_in(name):
    """The family that a recipe's name begins with: "cifar100" of "cifar100/resnet50"."""
    return name.partition("/")[0]


def recipe_parts(method, name, neck):
    """The differences that make up a recipe, general first: {name: Differences}.

    `neck` is the kind of neck, which may be another one than the method's own.
    """
    base, own, family = method.removeprefix(PREFIX), own_neck(method), family_in(name)
    parts = {family: FAMILIES[family], **_own_parts(base, name)}
    if own == "sem":
        parts |= {f"sem/{family}": NECK_FAMILIES["sem"][family], **_own_parts(method, name)}
    if neck != own:
        parts[f"{neck}/{family}"] = NECK_FAMILIES[neck][family]
    return parts


def _own_parts(method, name):
    own, names = RECIPES.get(method, {}), dict.fromkeys([family_in(name), name])
    return {f"{method}/{part}": own[part] for part in names if part in own}


def recipe_layers(method, name, neck):
    """`recipe_parts` as layers for `merge`: a list of {key: Change}."""
    return [
        {key: Change(key, value, f"recipe {origin}") for key, value in part.settings.items()}
        for origin, part in recipe_parts(method, name, neck).items()
    ]


def provenance(method, name):
    """Where a recipe comes from, and its published result: two strings, the second may be empty."""
    sources = [_source(method.removeprefix(PREFIX), name) or FAMILIES[family_in(name)].source]
    if own_neck(method) == "sem":
        sources.insert(0, _source(method, name) or NECK_FAMILIES["sem"][family_in(name)].source)
    own = RECIPES.get(method, {}).get(name)
    return "; ".join(dict.fromkeys(sources)), own.expected if own else ""


def _source(method, name):
    return next((p.source for p in reversed(_own_parts(method, name).values()) if p.source), "")


def expected_of(catalog, method, name, settings):
    """What to expect of settings that started from a recipe, in words.

    That is what was published with just these, whichever of the family's recipes has them; else
    the result of the recipe itself and where it differs.
    """
    published = ""
    own = RECIPES.get(method, {})
    same_family = [other for other in recipe_names(method) if family_in(other) == family_in(name)]
    for other in dict.fromkeys([name, *same_family]):
        part = own.get(other)
        if part is None or not part.expected:
            continue
        theirs = settle(catalog, method, merge(recipe_layers(method, other, own_neck(method))))
        dataset = part.dataset or PUBLISHED_ON[family_in(other)]
        changed = _changed({**theirs, "data.dataset": (dataset, "")}, settings)
        if not changed:
            return part.expected
        if other == name:
            published = f"not published; {part.expected} is with {', '.join(changed)}"
    return published


def _changed(theirs, ours):
    """Where published settings differ from those of a run: the published ones, as text."""
    theirs, ours = ({key: value for key, (value, _) in part.items()} for part in (theirs, ours))
    ours["data.dataset"] = re.sub(r":[\d.*]+", "", ours["data.dataset"])  # a version of it
    keys = [
        key
        for key, value in ours.items()
        if not key.startswith(_SAME_SETTING) and (key not in theirs or theirs[key] != value)
    ]
    # Of another optimizer, neck, backbone or policy everything is another.
    replaced = [choice for choice in _CHOICES if choice in keys]
    sections = tuple(choice.split(".")[0] + "." for choice in replaced)
    keys = [key for key in keys if key in replaced or not key.startswith(sections)]
    return [f"{key}={as_text(theirs[key])}" if key in theirs else f"no {key}" for key in keys]


def merge(layers):
    """Lay {key: Change} over one another, later over earlier."""
    merged = {}
    for layer in layers:
        for choice in _CHOICES:
            section, name = choice.split(".")
            before = merged[choice].value if choice in merged else declared(section)[name].default
            if choice in layer and layer[choice].value != before:
                kept = [k for k in merged if not k.startswith(f"{section}.") or k in _INDEPENDENT]
                merged = {key: merged[key] for key in kept}
        merged.update(layer)
    return merged


def settle(catalog, method, changes):
    """Check changes and fill in the rest: {key: Change} -> {key: (value, origin)}."""
    space = available(catalog, method, changes["optimizer.name"])
    check_keys(changes, space)
    settings = {}
    for key, setting in space.items():
        if key in changes:
            change = changes[key]
            settings[key] = (read_change(setting, change), change.origin)
        elif setting.default is REQUIRED:
            raise UserError(
                f"{key} has no default, and the recipe's belongs to another {key.split('.')[0]}. "
                f"Give --set {key}=VALUE as well."
            )
        elif setting.default is not OPTIONAL:
            settings[key] = (setting.default, "default")
    return _shorten_warmup(_drop_unused_neck(settings))


def available(catalog, method, optimizer):
    """Every setting of a run of `method` with the optimizer of a `Change`: {key: Setting}."""
    sections = {"method": dict(catalog.methods[method.removeprefix(PREFIX)].settings)}
    sections.update({section: declared(section) for section in SECTIONS})
    _limit(sections["backbone"], "name", catalog.backbones)
    _limit(sections["augment"], "policy", catalog.policies)
    _limit(sections["augment"], "local_policy", ("same", *catalog.policies))
    _limit(sections["optimizer"], "name", catalog.optimizers)
    chosen = read(sections["optimizer"]["name"], optimizer.value, optimizer.label)
    sections["optimizer"].update(catalog.optimizers[chosen].settings)
    views = catalog.view_fields.items()
    sections["augment"].update({name: Setting(kind, OPTIONAL) for name, kind in views})
    if "momentum" not in sections["method"]:
        del sections["schedule"]["final_momentum"]  # a method without moving averages
    return {f"{section}.{name}": s for section, own in sections.items() for name, s in own.items()}


def check_keys(keys, space):
    """Refuse keys that are not in `space`, with the nearest one and its neighbours.

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


def _limit(settings, name, choices):
    settings[name] = replace(settings[name], kind=Literal[tuple(choices)])


def _drop_unused_neck(settings):
    kind, embedder = settings["neck.kind"][0], settings["neck.embedder"][0]
    fields = neck_fields(kind, embedder)
    names = [key.removeprefix("neck.") for key in settings if key.startswith("neck.")]
    unused = [f"neck.{name}" for name in names if name not in ("kind", *fields)]
    for key in unused:
        if settings[key][1] == "--set" and kind == "none":
            raise UserError(
                f"{key} does nothing without a neck. Take the sem_ method of the name, or set "
                "neck.kind too."
            )
        if settings[key][1] == "--set":
            raise UserError(
                f"{key} does nothing with neck.kind={kind} and neck.embedder={embedder}, which "
                f"take: {', '.join(fields)}."
            )
    return {key: entry for key, entry in settings.items() if key not in unused}


def _shorten_warmup(settings):
    """Let a short run warm up for half of its epochs at most, unless it was told otherwise."""
    epochs, epochs_origin = settings["training.epochs"]
    warmup, origin = settings["schedule.warmup_epochs"]
    if warmup <= epochs / 2 or (origin == "--set" and warmup < epochs):
        return settings
    if origin == "--set":
        raise UserError(f"schedule.warmup_epochs={warmup:g} leaves nothing of {epochs} epochs.")
    return {**settings, "schedule.warmup_epochs": (epochs / 2, f"half of {epochs_origin}")}
