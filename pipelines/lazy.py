"""Command lines that answer at once: a package whose `__init__` waits until it is needed.

It is here, for keras_ssl, since it must run before anything of keras_ssl is imported.
"""

import importlib.util
import sys


def stand_in(package):
    """Make the parts of `package` importable without running its `__init__`.

    That of keras_ssl imports every class of the package, and TensorFlow with them, which takes
    seconds: too long to answer a misspelt name. It runs when something asks the package for a name.
    For programs only: with a stand-in, `import keras_ssl` alone registers no class.
    """
    if package in sys.modules:
        return
    spec = importlib.util.find_spec(package)
    module = importlib.util.module_from_spec(spec)

    def fill(name):
        if name.startswith("__"):
            raise AttributeError(name)
        del module.__getattr__
        spec.loader.exec_module(module)
        return getattr(module, name)

    module.__getattr__ = fill
    sys.modules[package] = module
