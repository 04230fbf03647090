"""Mistakes of a caller, phrased in one way: what came, what fits, what to do."""

import difflib


class UserError(ValueError):
    """A caller's mistake; its message is one or two lines meant to be read without a traceback.

    Args:
        message: str.
        retry: bool. Whether the same request may succeed another time, as when memory was short.

    Example:

    >>> raise UserError("patch_size must be even. Received 7: take 6 or 8.")
    Traceback (most recent call last):
    ...
    keras_ssl.core.errors.UserError: patch_size must be even. Received 7: take 6 or 8.
    """

    def __init__(self, message="", *, retry=False):
        super().__init__(message)
        self.retry = retry


def did_you_mean(name, options):
    """Return `" Did you mean 'x'?"` for the option nearest to `name`, or `""` if none is near."""
    near = difflib.get_close_matches(str(name), [str(option) for option in options], 1, 0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


def lookup(table, name, kind):
    """Return `table[name]`; a wrong name is answered with the nearest right ones.

    Args:
        table: mapping from names to values.
        name: the name to look up.
        kind: what the names stand for, as the message calls it ("optimizer").

    Raises:
        UserError: if `name` is not in `table`.

    Example:

    >>> lookup({"lars": 1, "sgd": 2}, "lars", "optimizer")
    1
    """
    if name in table:
        return table[name]
    suggestion = did_you_mean(name, table)
    raise UserError(f"Unknown {kind} '{name}'.{suggestion} Known: {', '.join(sorted(table))}.")
