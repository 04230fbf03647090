"""What a recipe says: only where it differs from what it builds on, and where that comes from."""

from dataclasses import dataclass, replace

from keras_ssl.core.published import Published


@dataclass(frozen=True)
class Differences:
    """Settings that a recipe changes: {"section.field": value}, with source and results.

    `results` were published for the settings as they are, on the data of the recipe's family.
    """

    settings: dict
    source: str = ""
    results: tuple[Published, ...] = ()

    def expecting(self, *results, source=None):
        """The same settings where other results are to be expected."""
        return replace(self, results=results, source=source or self.source)


def differences(source="", *results, **sections):
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
    return Differences(settings, source, results)
