"""Settings and their values: text is read as the type of a setting, or refused."""

import dataclasses
import math
import typing

from keras_ssl.core.bounds import check, fits, is_union, parts, refusal
from keras_ssl.core.errors import lookup

# In the place of a default: a recipe or a flag must give a value; or it may stay unset.
REQUIRED = dataclasses.MISSING
OPTIONAL = object()

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is known of a setting.

    Args:
        kind: its type and bounds as an annotation writes them: `Width | None`,
            `tuple[Share, Share]`, `Literal["step", "epoch"]`.
        default: its value unless another is given, or `REQUIRED`, or `OPTIONAL`.
        meaning: its description, for --mode=list.
    """

    kind: object
    default: object
    meaning: str = ""


def read(setting: Setting, value: object, key: str) -> object:
    """Return `value` as the type of `setting`.

    Args:
        setting: the setting.
        value: text from the command line, or a value from a recipe or from JSON.
        key: its name in a message.

    Raises:
        UserError: if `value` is of another type, out of range, or none of the choices.

    Example:

    >>> read(Setting(tuple[float, float], OPTIONAL), "0.2,1", "augment.crop_scale")
    (0.2, 1.0)
    """
    if typing.get_origin(setting.kind) is typing.Literal:
        choices = {str(choice): choice for choice in typing.get_args(setting.kind)}
        return lookup(choices, str(value), key.lstrip("-").removesuffix(".name"))
    try:
        result = convert(value, setting.kind)
    except ValueError:
        raise refusal(value, setting.kind, key) from None
    check(result, setting.kind, key)
    return result


def convert(value: object, kind: object) -> object:
    """Return `value`, text or not, as the type of `kind`; bounds are not checked.

    Text is read as Python would, with `true` and `false` in any case, `none`, and tuples written
    with commas only. Numbers must be finite; a whole number is converted to `float` where needed.

    Raises:
        ValueError: if `value` is not of that type.
    """
    kind, _ = parts(kind)
    origin, members = typing.get_origin(kind), typing.get_args(kind)
    if is_union(kind):
        return _first_that_fits(value, sorted(members, key=lambda member: member is not type(None)))
    if origin is typing.Literal and value in members:
        return value
    if origin is tuple:
        return _tuple(value, members)
    if isinstance(value, str) and kind is not str:
        return _from_text(value.strip(), kind)
    if kind is float and type(value) in (int, float):
        return _finite(value)
    if origin is None and kind is not float and fits(value, kind):
        return value
    raise ValueError(value)


def _finite(value):
    try:
        value = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        raise ValueError(value) from None
    if not math.isfinite(value):
        raise ValueError(value)
    return value


def as_text(value: object) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, tuple):
        return ",".join(map(as_text, value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _first_that_fits(value, kinds):
    for kind in kinds:
        try:
            return convert(value, kind)
        except ValueError:
            pass
    raise ValueError(value)


def _tuple(value, members):
    if isinstance(value, str):
        value = [item.strip(" '\"") for item in value.strip("()[] ").split(",") if item.strip()]
    if not isinstance(value, (list, tuple)):
        value = (value,)
    kinds = [members[0]] * len(value) if members[-1] is Ellipsis else members
    if len(value) != len(kinds):
        raise ValueError(value)
    return tuple(convert(item, kind) for item, kind in zip(value, kinds, strict=True))


def _from_text(text, kind):
    if kind is type(None) and text.lower() == "none":
        return None
    if kind is bool and text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    if kind in (int, float):
        return convert(kind(text), kind)
    raise ValueError(text)
