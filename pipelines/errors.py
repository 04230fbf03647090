"""Say what is wrong with someone's data: what came, what fits, what to do."""

import difflib


class DataError(ValueError):
    """Data or a data setting that cannot be used; the message is one or two lines for a person."""


def did_you_mean(name, options):
    """Return `" Did you mean 'x'?"` for the option nearest to `name`, or `""` if none is near."""
    near = difflib.get_close_matches(str(name), [str(option) for option in options], 1, 0.6)
    return f" Did you mean '{near[0]}'?" if near else ""
