"""What TensorFlow reads from the environment while it is imported; this imports nothing of it."""

import os
import platform
import sys


def variables_for(machine, given):
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
