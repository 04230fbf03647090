"""What a machine computes well: facts about it, and the choices that follow from them.

`core/detection.py` finds the facts. Everything here is a function of them alone, so that each
branch can be tried on a machine without a GPU. The evaluation uses both, and so they lie in `core`.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

_BFLOAT16_CPU = ("amx_bf16", "avx512_bf16")
INSTALL = 'pip install "tensorflow[and-cuda]"'
DOCS = "docs/gpu.md says more."


@dataclass(frozen=True)
class GPU:
    """A GPU that TensorFlow sees; a compute capability of (0, 0) is not known."""

    name: str = "GPU"
    capability: tuple[int, int] = (0, 0)

    @property
    def label(self) -> str:
        """Its name, and what decides which kernels it runs."""
        known = self.capability > (0, 0)
        return self.name + (f" (compute capability {_dotted(self.capability)})" if known else "")


@dataclass(frozen=True)
class Hardware:
    """Facts about a machine and the TensorFlow on it.

    Args:
        gpus: those that TensorFlow sees.
        cpu: name of the processor.
        cores: number of its cores.
        cpu_flags: what `/proc/cpuinfo` says that it can do.
        system: "Linux", "Darwin" or "Windows".
        tensorflow: version.
        kernels: what TensorFlow's kernels are compiled for: "sm_80" is machine code, "compute_90"
            code that the driver compiles for this and later chips.
        cuda_build: whether TensorFlow is built for NVIDIA GPUs at all.
        sign: what says that there is an NVIDIA GPU, such as "/dev/nvidia0"; "" for nothing.
        visible_devices: CUDA_VISIBLE_DEVICES, None where it is not set.
        complaints: why TensorFlow sees no GPU, in its own words.
        libraries: CUDA libraries of other versions than TensorFlow asks for.
        failure: what came of a convolution on the first GPU, "" where it ran.
        xla_failure: the same of a function that XLA compiled.
    """

    gpus: tuple[GPU, ...] = ()
    cpu: str = "unknown processor"
    cores: int = 1
    cpu_flags: frozenset[str] = frozenset()
    system: str = "Linux"
    tensorflow: str = "2.21.0"
    kernels: tuple[str, ...] = ()
    cuda_build: bool = True
    sign: str = ""
    visible_devices: str | None = None
    complaints: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    failure: str = ""
    xla_failure: str = ""

    @property
    def hidden(self) -> bool:
        """Whether the user hides all GPUs."""
        return self.visible_devices is not None and self.visible_devices.strip() in ("", "-1")


class Choice(NamedTuple):
    """What is done, and why; the reason may be empty."""

    value: object
    why: str = ""


# What follows from the facts.


def precision_for(hardware: Hardware) -> str:
    """The fastest Keras dtype policy that the hardware has units for.

    On a GPU: mixed_bfloat16 from compute capability 8.0, mixed_float16 from 7.0. On a CPU:
    mixed_bfloat16 where it multiplies bfloat16 natively. Else float32.

    Example:

    >>> precision_for(Hardware(gpus=(GPU("Tesla T4", (7, 5)),)))
    'mixed_float16'
    """
    if hardware.gpus:
        major = min(gpu.capability for gpu in hardware.gpus)[0]
        return "mixed_bfloat16" if major >= 8 else "mixed_float16" if major == 7 else "float32"
    return "mixed_bfloat16" if hardware.cpu_flags.intersection(_BFLOAT16_CPU) else "float32"


def place_of_views(hardware: Hardware, deterministic: bool = False) -> str:
    """Where views are drawn: on a GPU that XLA compiles for, else on the host.

    The copy of a batch to the device does not overlap with the step, and images as bytes are a
    fraction of the views in float32. A CPU draws them while the step before trains.
    """
    return "device" if xla_for(hardware, deterministic=deterministic).value else "host"


def replicas_for(hardware: Hardware, *, batch_size: int) -> Choice:
    """`Choice` of how many GPUs "auto" would train on, were they to pass their check."""
    count = len(hardware.gpus)
    if count < 2:
        return Choice(1)
    if batch_size % count:
        return Choice(1, f"a batch of {batch_size} does not divide over {count}")
    return Choice(count)


def xla_for(
    hardware: Hardware, replicas: int = 1, *, eigenvalues: bool = False, deterministic: bool = False
) -> Choice:
    """`Choice` whether to compile a train step with XLA: on a single GPU where nothing forbids it.

    Args:
        replicas: int > 0.
        eigenvalues: whether the step takes eigenvalues.
        deterministic: whether the same command must give the same bits.

    Example:

    >>> xla_for(Hardware())
    Choice(value=False, why='slower on a CPU')
    """
    if not hardware.gpus:
        return Choice(False, "slower on a CPU")
    if hardware.system == "Darwin":
        return Choice(False, "not on Apple's GPUs")
    if hardware.xla_failure:
        return Choice(False, f"XLA does not work here: {hardware.xla_failure}")
    if replicas > 1:
        return Choice(False, "cannot combine the gradients of replicas")
    if deterministic:
        return Choice(False, "not deterministic")
    if eigenvalues:
        return Choice(False, "slow at the eigenvalues that this method takes")
    return Choice(True)


def refusal(hardware: Hardware) -> str:
    """Why TensorFlow cannot run on a GPU that it sees, and what to do; "" where it can."""
    hide = "To train on the CPU, set CUDA_VISIBLE_DEVICES=-1."
    for gpu in hardware.gpus:
        if not _runs_on(hardware.kernels, gpu.capability):
            return (
                f"TensorFlow {hardware.tensorflow} does not run on the {gpu.label}: it is built "
                f"for {', '.join(hardware.kernels)}, and would abort without a word. Take a "
                "TensorFlow that is built for this chip, such as NVIDIA's container "
                f"nvcr.io/nvidia/tensorflow, or another GPU. {hide} {DOCS}"
            )
    if hardware.failure:
        libraries = f" Installed: {'; '.join(hardware.libraries)}." if hardware.libraries else ""
        return (
            f"The {hardware.gpus[0].label} cannot compute a convolution: {hardware.failure}."
            f"{libraries} Try {INSTALL} in an environment of its own. {hide} {DOCS}"
        )
    return ""


def notes(hardware: Hardware) -> list[str]:
    """What a user should know of the machine before a run: a list of sentences, mostly empty."""
    found = []
    if hardware.sign and not hardware.gpus and not hardware.hidden:
        found.append(_unseen(hardware))
    if hardware.gpus and hardware.system == "Darwin":
        found.append(
            "TensorFlow's plugin for Apple's GPUs gives wrong results with Keras 3. Take the CPU: "
            "pip uninstall tensorflow-metal."
        )
    for gpu in dict.fromkeys(hardware.gpus):
        if gpu.capability > (0, 0) and _without_machine_code(hardware.kernels, gpu.capability):
            found.append(
                f"TensorFlow {hardware.tensorflow} has no machine code for the {gpu.label}: the "
                "driver compiles each kernel at its first use, at the very first run for half an "
                "hour and more. It keeps them in ~/.nv/ComputeCache: do not delete that folder."
            )
    if hardware.xla_failure:
        found.append(f"XLA does not work: {hardware.xla_failure}. Training is slower. {INSTALL}")
    if hardware.gpus and hardware.libraries:
        found.append(
            f"TensorFlow asks for other versions: {'; '.join(hardware.libraries)}. If a step "
            f"fails, run {INSTALL} in an environment of its own."
        )
    return found


def device_line(hardware: Hardware) -> str:
    """The devices in a line.

    Example:

    >>> device_line(Hardware(gpus=2 * (GPU("Tesla T4", (7, 5)),)))
    '2 x Tesla T4 (compute capability 7.5)'
    """
    if hardware.gpus:
        labels = [gpu.label for gpu in hardware.gpus]
        counts = {label: labels.count(label) for label in labels}
        return ", ".join(f"{n} x {label}" if n > 1 else label for label, n in counts.items())
    cores = f"{hardware.cores} core{'s' if hardware.cores != 1 else ''}"
    why = f"; CUDA_VISIBLE_DEVICES={hardware.visible_devices} hides GPUs" if hardware.hidden else ""
    return f"CPU, {hardware.cpu}, {cores}{why}"


def _runs_on(kernels, capability):
    """Whether kernels run on a chip; where either is not known, nothing is said against it."""
    if not kernels or capability == (0, 0):
        return True
    if not _without_machine_code(kernels, capability):
        return True
    # Chips from 10.0 on refuse the code that is meant for those before, and XLA's compiler aborts.
    oldest = (10, 0) if capability >= (10, 0) else (0, 0)
    return any(
        kind == "compute" and oldest <= version <= capability for kind, version in _parsed(kernels)
    )


def _without_machine_code(kernels, capability):
    """Machine code runs on later chips of the same major version, and on no other."""
    return bool(kernels) and not any(
        kind == "sm" and version[0] == capability[0] and version <= capability
        for kind, version in _parsed(kernels)
    )


def _parsed(kernels):
    """("sm_80", "compute_120") -> [("sm", (8, 0)), ("compute", (12, 0))]."""
    found = [re.fullmatch(r"(sm|compute)_(\d+)(\d)[af]?", kernel) for kernel in kernels]
    return [(match[1], (int(match[2]), int(match[3]))) for match in found if match]


def _dotted(capability):
    return ".".join(map(str, capability))


# What TensorFlow logs where it finds no GPU, and what to do about it; the first that is there.
_REMEDIES = {
    "Ignoring visible gpu device": "The chip is older than TensorFlow's kernels.",
    "does not match DSO version": "The driver was updated under a running system: reboot.",
    "Cannot dlopen some GPU libraries": f"A CUDA library is missing: {INSTALL}, and take other "
    "CUDA folders out of LD_LIBRARY_PATH.",
    "Could not find cuda drivers": "The driver's libcuda.so.1 is not found: install the NVIDIA "
    "driver; in a container, start it with --gpus all.",
    "failed call to cuInit": "The driver does not answer: does nvidia-smi work? In a container, "
    "start it with --gpus all.",
    "Skipping registering GPU devices": f"A CUDA library is missing: {INSTALL}.",
}


def _unseen(hardware):
    """A GPU that is there and that TensorFlow does not see."""
    text = f"{hardware.sign} says that there is an NVIDIA GPU, but TensorFlow sees none"
    if hardware.system == "Windows":
        return f"{text}: it supports none on Windows. Install it in WSL2."
    if not hardware.cuda_build:
        return f"{text}: it is built without CUDA. Try {INSTALL}."
    said = " ".join(hardware.complaints)
    remedy = next((what for key, what in _REMEDIES.items() if key in said), f"Try {INSTALL}.")
    quoted = f": {said}" if said else "."
    return f"{text}{quoted} -> {remedy} Training on the CPU. {DOCS}"


def complaints_in(log: str) -> tuple[str, ...]:
    """The lines of TensorFlow's log that say why there is no GPU, without time and place.

    Example:

    >>> complaints_in("I0000 00:00:17.4  11 cudart_stub.cc:31] Could not find cuda drivers on it.")
    ('Could not find cuda drivers on it.',)
    """
    lines = (re.sub(r"^.*?\.cc:\d+\] ", "", line).strip() for line in log.splitlines())
    wanted = (*_REMEDIES, "Could not load dynamic library")
    return tuple(dict.fromkeys(line for line in lines if any(key in line for key in wanted)))
