"""What a recipe leaves to the hardware: precision, place of the views, replicas and compiler.

As a program, `python -m stages.devices GPUS`, it compares a step of several replicas with that of
one. Its last line then says what is wrong; exit status 0 if nothing is.
"""

import functools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_ssl
from keras_ssl.config import Recipe
from keras_ssl.core.detection import detect
from keras_ssl.core.errors import UserError
from keras_ssl.core.hardware import (
    Choice,
    Hardware,
    notes,
    place_of_views,
    precision_for,
    replicas_for,
    xla_for,
)

ROOT = Path(__file__).resolve().parents[1]
_CHECK_SECONDS = 900  # on a chip without machine code every kernel is compiled first
# Of the largest change of a weight: above the rounding of sums in another order, below any mistake
# in how gradients or statistics are combined.
TOLERANCE = 0.01
ROWS = 4  # images of a replica


@dataclass(frozen=True)
class Devices:
    """What a run is computed on: how many replicas, and whether XLA compiles the step."""

    replicas: Choice
    xla: Choice


def check_hardware():
    """Say on stderr what a user should know of the machine.

    Raises:
        UserError: if TensorFlow cannot run on a GPU that it sees.
    """
    for note in notes(detect()):
        print(f"note: {note}", file=sys.stderr)


def resolve_auto(recipe: Recipe) -> Recipe:
    """The recipe with "auto" replaced by what this hardware does best, which a resumed run keeps.

    Raises:
        UserError: for views on a device whose compiler does not work.
    """
    hardware = detect()
    if recipe.augment.where == "device" and hardware.xla_failure:
        raise UserError(
            "--augment=device: views are drawn by functions that XLA compiles, which does not work "
            f"on the {hardware.gpus[0].name}: {hardware.xla_failure}. Take --augment=host."
        )
    chosen = {}
    if recipe.training.precision == "auto":
        chosen["training.precision"] = precision_for(hardware)
    if recipe.augment.where == "auto":
        deterministic = recipe.training.deterministic
        chosen["augment.where"] = place_of_views(hardware, deterministic=deterministic)
    return recipe.with_(chosen, origin="auto, by the hardware")


def devices_for(
    recipe: Recipe, hardware: Hardware | None = None, doubt: Callable[[int], str] | None = None
) -> Devices:
    """The `Devices` of a run.

    Args:
        recipe: `Recipe`.
        hardware: `Hardware`; by default this machine's.
        doubt: function from a number of GPUs to why their step is not that of one, "" if it is.
    """
    hardware, doubt = hardware or detect(), doubt or doubt_about
    training, count = recipe.training, len(hardware.gpus)
    replicas = Choice(1, f"1 of {count} GPUs, as asked" if count > 1 else "")
    if training.strategy == "mirrored":
        replicas = Choice(max(1, count), "as asked")
    elif training.strategy == "auto":
        replicas = replicas_for(hardware, batch_size=training.batch_size)
        why = replicas.why if replicas.value == 1 else doubt(replicas.value)
        if why:
            replicas = Choice(1, f"1 of {count} GPUs: {why}")
    xla = xla_for(
        hardware,
        replicas.value,
        eigenvalues=keras_ssl.METHODS[recipe.base_name].takes_eigenvalues_with(recipe.method),
        deterministic=training.deterministic,
    )
    return Devices(replicas, xla)


def strategy_for(recipe: Recipe, devices: Devices) -> tf.distribute.Strategy:
    """The `tf.distribute` strategy of a run."""
    if recipe.training.strategy == "mirrored" or devices.replicas.value > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def set_determinism(recipe: Recipe, hardware: Hardware | None = None):
    """Let the operations of a GPU give the same bits every time, if the recipe asks for it.

    It holds for the rest of the process. On a CPU they do so anyway.
    """
    if recipe.training.deterministic and (hardware or detect()).gpus:
        tf.config.experimental.enable_op_determinism()


@functools.cache
def doubt_about(
    count: int,
    command: tuple[str, ...] = (sys.executable, "-m", "stages.devices"),
    seconds: float = _CHECK_SECONDS,
) -> str:
    """Why a step on `count` GPUs cannot be taken for that of one; "" if it can.

    A process of its own compares them: replicas have been seen to hang, to end the process, and to
    give wrong numbers without a word.
    """
    print(f"Comparing a step on {count} GPUs with that on one ...", flush=True)
    try:
        done = subprocess.run(
            [*command, str(count)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"a step of {count} replicas did not end in {seconds} seconds"
    if done.returncode == 0:
        return ""
    said = (done.stdout.strip() or done.stderr.strip() or "no word").splitlines()[-1]
    return f"the comparison of a step failed: {said}"


def changes(
    strategy: tf.distribute.Strategy, images: int, steps: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """What some steps of SimCLR on one batch change: the losses, and the changes of all weights.

    Two views, negatives from all replicas, and the statistics of batch normalization: what training
    on several replicas has to combine.
    """
    keras.utils.set_random_seed(0)
    with strategy.scope():
        method = keras_ssl.create(
            "simclr",
            backbone="tiny",
            input_shape=(8, 8, 3),
            hidden_dim=16,
            projection_dim=8,
        )
        method.compile(keras_ssl.SGD(0.1, momentum=0.9), jit_compile=False)
    before = method.get_weights()
    views = keras.random.uniform((images, 2, 8, 8, 3), seed=1)
    batches = tf.data.Dataset.from_tensors({"global": views}).repeat()
    history = method.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0).history
    weights = zip(method.get_weights(), before, strict=True)
    return np.array(history["loss"]), np.concatenate([np.ravel(a - b) for a, b in weights])


def complaint(several: tuple[np.ndarray, np.ndarray], one: tuple[np.ndarray, np.ndarray]) -> str:
    """What is wrong with `changes` of several replicas, those of one being right; "" for nothing.

    Example:

    >>> complaint((np.ones(1), np.array([0.1, 0.4])), (np.ones(1), np.array([0.1, 0.2])))
    'the changes of weights of one and of several replicas: 100.0 % apart'
    """
    for what, a, b in zip(("the loss", "the changes of weights"), several, one, strict=True):
        if not np.all(np.isfinite(a)):
            return f"{what} turned to NaN"
        wrong = np.max(np.abs(a - b)) / np.max(np.abs(b))
        if wrong > TOLERANCE:
            return f"{what} of one and of several replicas: {100 * wrong:.1f} % apart"
    return ""


def main(count: int) -> int:
    """Compare `count` GPUs with one; -> exit status."""
    tf.config.experimental.enable_tensor_float_32_execution(False)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    several = tf.distribute.MirroredStrategy([f"/gpu:{place}" for place in range(count)])
    one = changes(tf.distribute.get_strategy(), ROWS * count)
    found = complaint(changes(several, ROWS * count), one)
    print(found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
