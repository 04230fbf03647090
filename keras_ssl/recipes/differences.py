"""What a recipe says: only where it differs from what it builds on, and where that comes from."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Differences:
    """Settings that a recipe changes: {"section.field": value}, with source and expected result.

    `expected` was published for the settings as they are, on `dataset`; empty for that of the
    recipe's family.
    """

    settings: dict
    source: str = ""
    expected: str = ""
    dataset: str = ""

    def expecting(self, expected, source=None):
        """The same settings where another result is to be expected."""
        return replace(self, expected=expected, source=source or self.source)


def differences(source="", expected="", dataset="", **sections):
    """Write differences section by section.

    Example:

    >>> differences("a paper", optimizer={"name": "sgd"}, method={"momentum": 0.99}).settings
    {'optimizer.name': 'sgd', 'method.momentum': 0.99}
    """
    settings = {
        f"{section}.{name}": value
        for section, values in sections.items()
        for name, value in values.items()
    }
    return Differences(settings, source, expected, dataset)
