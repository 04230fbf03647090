"""Bounds in annotations, and the check that reads them.

`temperature: Temperature = 0.1` declares type, bounds and default of an argument. The command line
reads them there before anything is imported, a `Checked` class when it is constructed.
"""

import functools
import inspect
import math
import numbers
import reprlib
import types
import typing
from dataclasses import dataclass
from typing import Annotated

from keras_ssl.core.errors import UserError, lookup

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_NUMBERS = {int: numbers.Integral, float: numbers.Real}


@dataclass(frozen=True)
class Between:
    """From `low` to `high` inclusive; with `or_zero` also 0."""

    low: float
    high: float
    or_zero: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value is within the bounds."""
        return self.low <= value <= self.high or (self.or_zero and value == 0)

    def describe(self, words: str) -> str:
        """`words`, which describe the type, with the bounds."""
        zero = "0 or " if self.or_zero else ""
        return f"{zero}{words} from {_plain(self.low)} to {_plain(self.high)}"


@dataclass(frozen=True)
class Above:
    """Greater than `low`, and `high` at most."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value is within the bounds."""
        return self.low < value <= self.high

    def describe(self, words: str) -> str:
        """`words`, which describe the type, with the bounds."""
        return f"{words} greater than {_plain(self.low)} and at most {_plain(self.high)}"


@dataclass(frozen=True)
class Entries:
    """A tuple of at least `fewest` entries."""

    fewest: int

    def holds(self, value: tuple) -> bool:
        """Whether a value is within the bounds."""
        return len(value) >= self.fewest

    def describe(self, words: str) -> str:
        """`words`, which describe the type, with the bounds."""
        return words.replace("any number of values", f"{self.fewest} or more values")


@dataclass(frozen=True)
class Ascending:
    """A tuple whose entries do not decrease."""

    def holds(self, value: tuple) -> bool:
        """Whether a value is within the bounds."""
        return list(value) == sorted(value)

    def describe(self, words: str) -> str:
        """`words`, which describe the type, with the bounds."""
        return f"{words}, the smallest first"


# Bounds of many arguments. The upper ones are far above what is useful and below what a typo gives:
# numbers that overflow, sizes that fit no memory, runs that never end.
Share = Annotated[float, Between(0, 1)]
PositiveShare = Annotated[float, Above(0, 1)]
ShareRange = Annotated[tuple[PositiveShare, PositiveShare], Ascending()]
Weight = Annotated[float, Between(0, 10**6)]
PositiveWeight = Annotated[float, Above(0, 10**6)]
LearningRate = Annotated[float, Above(0, 10**4)]
LearningRateOrZero = Annotated[float, Between(0, 10**4)]
Temperature = Annotated[float, Between(1e-4, 10**3)]
TemperatureOrZero = Annotated[float, Between(1e-4, 10**3, or_zero=True)]
Width = Annotated[int, Between(1, 10**5)]
WidthOrZero = Annotated[int, Between(0, 10**5)]
Count = Annotated[int, Between(1, 10**6)]
CountOrZero = Annotated[int, Between(0, 10**6)]
TwoOrMore = Annotated[int, Between(2, 10**6)]
ClusterCounts = Annotated[tuple[TwoOrMore, ...], Entries(1)]
Steps = Annotated[int, Between(1, 10**7)]
Few = Annotated[int, Between(1, 1000)]
Pixels = Annotated[int, Between(1, 10**4)]
PixelsOrZero = Annotated[int, Between(0, 10**4)]
NumViews = Annotated[int, Between(1, 100)]
Seed = Annotated[int, Between(0, 2**31 - 1)]


class Checked:
    """Mixin that checks numbers, text, tuples and None against the annotations of `__init__`.

    Annotations of base classes hold for the arguments that are passed on to them. Other objects,
    such as a schedule in the place of a number, are not checked.

    Raises:
        UserError: for a value of another type or out of its bounds, before `__init__` runs.

    Example:

    >>> class Softmax(Checked):
    ...     def __init__(self, temperature: Temperature = 0.1): ...
    >>> Softmax(0)
    Traceback (most recent call last):
    ...
    keras_ssl.core.errors.UserError: temperature must be a number from 0.0001 to 1000. Received 0.
    """

    def __new__(cls, *args, **kwargs):
        kinds, positional = _signature(cls)
        for name, value in [*zip(positional, args, strict=False), *kwargs.items()]:
            if name in kinds and isinstance(value, (numbers.Number, str, tuple, list, type(None))):
                check(value, kinds[name], name)
        make = super().__new__
        return make(cls) if make is object.__new__ else make(cls, *args, **kwargs)


@functools.cache
def _signature(cls):
    """Annotations of all `Checked` constructors of `cls`, and the names of its own arguments."""
    kinds = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Checked) and "__init__" in vars(base):
            kinds.update(vars(base)["__init__"].__annotations__)
    return kinds, tuple(inspect.signature(cls.__init__).parameters)[1:]


def check(value: object, kind: object, name: str):
    """Refuse a value that does not fit the annotation `kind`; `name` is its name in the message.

    Raises:
        UserError: with what fits.

    Example:

    >>> check((0.2, 1.0), Annotated[tuple[Share, Share], Ascending()], "crop_scale")
    """
    if fits(value, kind):
        return
    plain, _ = parts(kind)
    if typing.get_origin(plain) is typing.Literal:
        lookup({str(choice): choice for choice in typing.get_args(plain)}, str(value), name)
    is_lone_text = typing.get_origin(plain) is tuple and isinstance(value, str)
    raise refusal(value, kind, name, f" Write ({value!r},)." if is_lone_text else "")


def refusal(value: object, kind: object, name: str, hint: str = "") -> UserError:
    """The error for a value that does not fit: what came, and what fits."""
    return UserError(f"{name} must be {describe(kind)}. Received {reprlib.repr(value)}.{hint}")


def fits(value: object, kind: object) -> bool:
    """Whether `value` has the type of an annotation and is within its bounds."""
    kind, marks = parts(kind)
    return _is_of(value, kind) and all(mark.holds(value) for mark in marks)


def describe(kind: object) -> str:
    """An annotation in words.

    Example:

    >>> describe(Width | None)
    'a whole number from 1 to 100000 or none'
    """
    kind, marks = parts(kind)
    words = _describe(kind)
    for mark in marks:
        words = mark.describe(words)
    return words


def parts(kind: object) -> tuple:
    """An annotation without its marks, and the marks."""
    if typing.get_origin(kind) is Annotated:
        return kind.__origin__, kind.__metadata__
    return kind, ()


def members_of(kind: object) -> list:
    """The kinds that a union or tuple is made of; of anything else, itself."""
    kind, _ = parts(kind)
    if is_union(kind) or typing.get_origin(kind) is tuple:
        return [member for member in typing.get_args(kind) if member is not Ellipsis]
    return [kind]


def is_union(kind: object) -> bool:
    """Whether `kind` is written `a | b`."""
    return typing.get_origin(kind) in (types.UnionType, typing.Union)


def _is_of(value, kind):
    members = typing.get_args(kind)
    if is_union(kind):
        return any(fits(value, member) for member in members)
    if typing.get_origin(kind) is typing.Literal:
        return value in members
    if typing.get_origin(kind) is tuple:
        return isinstance(value, (tuple, list)) and _entries_fit(value, members)
    if kind in _NUMBERS:
        of_type = isinstance(value, _NUMBERS[kind]) and not isinstance(value, bool)
        return of_type and (isinstance(value, numbers.Integral) or math.isfinite(value))
    return isinstance(value, kind) if kind in (bool, str, type(None)) else True


def _entries_fit(value, members):
    kinds = [members[0]] * len(value) if members[-1] is Ellipsis else members
    return len(value) == len(kinds) and all(map(fits, value, kinds))


def _describe(kind):
    members = typing.get_args(kind)
    if is_union(kind):
        return " or ".join(map(describe, members))
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(map(str, members))
    if typing.get_origin(kind) is tuple and members[-1] is Ellipsis:
        return f"any number of values, each {describe(members[0])}, with commas between them"
    if typing.get_origin(kind) is tuple:
        return f"{len(members)} values, each {describe(members[0])}, with a comma between them"
    return _WORDS.get(kind, "none")


def _plain(number):
    return str(int(number)) if number == int(number) else f"{number:g}"
