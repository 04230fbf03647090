"""What surrounds a program: its streams, and what TensorFlow and Keras read as they are imported.

This module imports neither.
"""

import importlib
import json
import logging
import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from keras_ssl.core.errors import UserError

# What the layers here are written for, by the names that keras.json has for it, Keras's default
# first. Half precision is a policy of the layers (--precision); as the type of all numbers it is
# that of whole numbers in operations of Keras too, which TensorFlow lacks.
KERAS_NEEDS = {
    "backend": ("tensorflow",),
    "image_data_format": ("channels_last",),
    "floatx": ("float32", "float64"),
}


def variables_for(machine: str, given: Mapping[str, str]) -> dict[str, str]:
    """The variables to set on a kind of processor, where the user has not set them.

    - `TF_ENABLE_ONEDNN_OPTS`: TensorFlow turns oneDNN on by itself only where an x86-64 processor
      has AVX512-VNNI, bfloat16 or AMX. On one that has no more than AVX2 convolutions are twice as
      fast with it.
    - `TF_FORCE_GPU_ALLOW_GROWTH`: else TensorFlow takes nearly all memory of each GPU at first use.

    Args:
        machine: what `platform.machine()` says, such as "x86_64".
        given: the environment, a mapping.

    Example:

    >>> variables_for("x86_64", {"TF_FORCE_GPU_ALLOW_GROWTH": "false"})
    {'TF_ENABLE_ONEDNN_OPTS': '1'}
    """
    wanted = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    if machine.lower() in ("x86_64", "amd64"):
        wanted["TF_ENABLE_ONEDNN_OPTS"] = "1"
    return {name: value for name, value in wanted.items() if name not in given}


def set_up():
    """Set the variables of this machine; after TensorFlow's import it is too late, and a no-op."""
    if "tensorflow" not in sys.modules:
        os.environ.update(variables_for(platform.machine(), os.environ))


def import_quietly(name: str) -> ModuleType:
    """Import a module, and TensorFlow with it, without what it prints while it loads.

    Raises:
        UserError: if Keras has settings that do not fit.
    """
    set_up()
    check_keras()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # later on, its errors come as exceptions
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            module = importlib.import_module(name)
            logging.getLogger("tensorflow").setLevel("ERROR")  # it warns of a trace for each model
        except Exception:
            chatter.seek(0)
            os.write(kept, chatter.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    return module


def check_keras():
    """Refuse another backend than TensorFlow, channels that come first, and half precision for all.

    Raises:
        UserError: with where the setting comes from and how to change it.
    """
    for name, (value, origin, change) in keras_settings(os.environ).items():
        if value not in KERAS_NEEDS[name]:
            needs = " or ".join(KERAS_NEEDS[name])
            raise UserError(
                f"Keras has {name}={value} ({origin}). keras_ssl needs {needs}: {change}."
            )


def keras_settings(given: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    """The settings of `KERAS_NEEDS` that Keras has, or will have as soon as it is imported.

    Args:
        given: the environment, a mapping.

    Returns:
        {name: (value, where it comes from, how to change it)}.
    """
    keras = sys.modules.get("keras")
    if keras is not None:
        origin, change = "it is imported already", "set it before that, in keras.json"
        return {name: (getattr(keras.config, name)(), origin, change) for name in KERAS_NEEDS}
    path = _keras_home(given) / "keras.json"
    try:
        stored = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # Keras takes its defaults then
        stored = {}
    found = {
        name: (stored.get(name, default), f"in {path}", "change it there")
        for name, (default, *_) in KERAS_NEEDS.items()
    }
    if given.get("KERAS_BACKEND"):
        backend = given["KERAS_BACKEND"]
        found["backend"] = (backend, "by KERAS_BACKEND", "unset it, or set it to tensorflow")
    return found


def _keras_home(given):
    """The folder of keras.json, by the rule that Keras has for it."""
    if "KERAS_HOME" in given:
        return Path(os.path.expanduser(given["KERAS_HOME"]))
    home = os.path.expanduser("~")  # as it is for a user without a home, unlike Path.home()
    return Path(home if os.access(home, os.W_OK) else "/tmp") / ".keras"


def open_streams():
    """Have somewhere to print to, and print whatever characters that takes."""
    if None in (sys.stdout, sys.stderr):  # closed; the next file would get its number, and output
        while os.open(os.devnull, os.O_RDWR) <= 2:
            pass
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
        setattr(sys, name, stream)
