"""What this machine computes well: the dtype policy, XLA or not, and how many replicas."""

from pathlib import Path

import tensorflow as tf

_CPUINFO = Path("/proc/cpuinfo")
_BFLOAT16_CPU = ("amx_bf16", "avx512_bf16")


def pick_precision(wish="auto"):
    """A Keras dtype policy: `wish`, or for "auto" the fastest one that the hardware has units for.

    On a GPU: mixed_bfloat16 from compute capability 8.0, mixed_float16 from 7.0. On a CPU:
    mixed_bfloat16 where it multiplies bfloat16 natively. Else float32.
    """
    if wish != "auto":
        return wish
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        major, _ = details.get("compute_capability", (0, 0))
        return "mixed_bfloat16" if major >= 8 else "mixed_float16" if major == 7 else "float32"
    flags = _CPUINFO.read_text().split() if _CPUINFO.exists() else ()
    return "mixed_bfloat16" if any(name in flags for name in _BFLOAT16_CPU) else "float32"


def pick_strategy(wish="auto"):
    """A `tf.distribute` strategy: mirrored over all GPUs if `wish` says so or there are several."""
    several = len(tf.config.list_logical_devices("GPU")) > 1
    if wish == "mirrored" or (wish == "auto" and several):
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def compile_with_xla(strategy):
    """Whether to compile the train step with XLA: on a single GPU only.

    XLA on CPU is slow for convolutions, and collectives between replicas have no XLA kernel.
    """
    gpus = tf.config.list_logical_devices("GPU")
    return bool(gpus) and strategy.num_replicas_in_sync == 1
