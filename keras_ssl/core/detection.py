"""The facts about this machine: what TensorFlow sees of it, and what a first try shows.

It lies in `core`, as the evaluation chooses by them too.
"""

import functools
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import tensorflow as tf
from packaging.requirements import InvalidRequirement, Requirement

from keras_ssl.core.errors import UserError
from keras_ssl.core.hardware import GPU, Hardware, complaints_in, refusal


@functools.cache
def detect() -> Hardware:
    """The facts about this machine; the first call may take a while on a GPU.

    Raises:
        UserError: if TensorFlow cannot run on a GPU that it sees.
    """
    hardware = _facts()
    _refuse(hardware)
    if hardware.gpus:
        hardware = replace(hardware, failure=first_failure(_convolve))
        _refuse(hardware)
        compiled = tf.function(_convolve, jit_compile=True)
        hardware = replace(hardware, xla_failure=first_failure(compiled))
    return hardware


def _refuse(hardware):
    if refusal(hardware):
        raise UserError(refusal(hardware))


def _facts():
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    build = tf.sysconfig.get_build_info()
    gpus = tuple(map(_gpu, tf.config.get_visible_devices("GPU")))
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    hardware = Hardware(
        gpus=gpus,
        cpu=_field(text, "model name") or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        cpu_flags=usable_flags(_field(text, "flags"), os.environ.get("ONEDNN_MAX_CPU_ISA")),
        system=platform.system(),
        tensorflow=tf.__version__,
        kernels=tuple(build.get("cuda_compute_capabilities", ())),
        cuda_build=bool(build.get("is_cuda_build")),
        sign="" if gpus else sign_of_gpu(),
        visible_devices=hidden,
        libraries=mismatched(_requirements("tensorflow"), _version) if gpus else (),
    )
    if hardware.sign and not hardware.hidden:
        hardware = replace(hardware, complaints=complaints_in(_log_of_a_start()))
    return hardware


def usable_flags(flags: str, limit: str | None = None) -> frozenset[str]:
    """What a processor can do that the user lets oneDNN use.

    TensorFlow asks the processor alone whether it multiplies bfloat16, and crashes where oneDNN may
    not.

    Args:
        flags: the line of /proc/cpuinfo.
        limit: ONEDNN_MAX_CPU_ISA, None where it is not set.

    Example:

    >>> sorted(usable_flags("avx2 avx512_bf16", limit="AVX2"))
    ['avx2']
    """
    limit = (limit or "DEFAULT").upper()
    bfloat16 = any(part in limit for part in ("DEFAULT", "ALL", "BF16", "FP16", "AMX", "AVX10"))
    return frozenset(flag for flag in flags.split() if bfloat16 or not flag.endswith("_bf16"))


def _gpu(device):
    details = tf.config.experimental.get_device_details(device)
    name = details.get("device_name", "GPU")
    return GPU(name, tuple(details.get("compute_capability", (0, 0))))


def _field(cpuinfo, name):
    """The first value of a line of /proc/cpuinfo, "" if there is none."""
    found = re.search(rf"^{name}\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else ""


def _requirements(name):
    try:
        return importlib.metadata.requires(name)
    except importlib.metadata.PackageNotFoundError:  # another build, such as tf-nightly
        return None


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def sign_of_gpu(root: Path = Path("/"), smi: str = "nvidia-smi") -> str:
    """What says that the machine has an NVIDIA GPU, "" for nothing.

    Args:
        root: folder that holds `dev` and `proc`.
        smi: the program of the driver that lists GPUs.
    """
    for pattern in ("dev/nvidia[0-9]*", "proc/driver/nvidia/gpus/*"):
        found = sorted(Path(root).glob(pattern))
        if found:
            return f"/{found[0].relative_to(root)}"
    listed = _output([smi, "-L"], timeout=20)[0] if shutil.which(smi) else ""
    return "nvidia-smi" if listed.startswith("GPU ") else ""


def _log_of_a_start():
    """What TensorFlow logs while it looks for GPUs; in this process that is switched off."""
    command = [sys.executable, "-c", "import tensorflow as t; t.config.list_physical_devices()"]
    loud = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_VMODULE": "dso_loader=1"}
    return _output(command, timeout=120, env=loud)[1]


def _output(command, **options):
    """What a program writes to stdout and stderr, nothing where it fails to end."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    except (OSError, subprocess.TimeoutExpired):
        return "", ""
    return done.stdout, done.stderr


def mismatched(
    requirements: list[str] | None, installed: Callable[[str], str | None]
) -> tuple[str, ...]:
    """Installed libraries of other versions than a package asks for.

    Args:
        requirements: what `importlib.metadata.requires` says of the package, or None.
        installed: function from a library's name to its version, or None where it is not there.

    Example:

    >>> mismatched(['nvidia-cudnn-cu12>=9.3; extra == "and-cuda"'], lambda name: "9.1.0")
    ('nvidia-cudnn-cu12 9.1.0, not >=9.3',)
    """
    found = []
    for text in requirements or ():
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        version = installed(wanted.name) if wanted.name.startswith("nvidia-") else None
        if version and not wanted.specifier.contains(version, prereleases=True):
            found.append(f"{wanted.name} {version}, not {wanted.specifier}")
    return tuple(found)


def machine_memory(root: Path = Path("/")) -> int | None:
    """Bytes of RAM that this process may use, or None where the system does not say.

    The smaller of what is built in and of the limits of the control groups (versions 1 and 2) that
    the process is in, which containers and batch systems set. What other processes hold now is not
    subtracted.

    Args:
        root: folder that holds `proc` and `sys`.

    Example:

    >>> machine_memory() > 2**20
    True
    """
    found = [_physical_memory(), *_group_limits(Path(root))]
    return min((size for size in found if size is not None), default=None)


def _physical_memory():
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return None


def _group_limits(root):
    """Limits of the process's control groups and of all groups above them, in bytes."""
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mount, name = ("memory", "memory.limit_in_bytes") if controllers else ("", "memory.max")
        folder = root / "sys/fs/cgroup" / mount
        # In a container the path may be the host's, of which nothing but the root is mounted.
        for group in (PurePosixPath(place), *PurePosixPath(place).parents):
            text = _text(folder / str(group).lstrip("/") / name) or "max"
            if text.strip().isdigit():  # and not "max"
                yield int(text)


def _text(path):
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _convolve():
    """A convolution and a matrix product, and functions for which XLA needs CUDA's library."""
    images, kernel = tf.ones((2, 8, 8, 4)), tf.ones((3, 3, 4, 4))
    features = tf.reduce_mean(tf.nn.conv2d(images, kernel, 1, "SAME"), (1, 2))
    return tf.math.log1p(tf.exp(-tf.matmul(features, features, transpose_b=True)))


def first_failure(function: Callable[[], tf.Tensor]) -> str:
    """The first line of what `function` raises, "" if it runs."""
    try:
        tf.convert_to_tensor(function()).numpy()
    except Exception as error:  # whatever it is, it says that this cannot be used
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return lines[0][:300].rstrip(".")
    return ""
