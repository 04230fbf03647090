"""What to run first on a GPU, in the order in which it shows most: `pytest -m gpu`.

Each test prints what it measured (add -s). Where TensorFlow sees no GPU all of them are skipped;
KERAS_SSL_GPU_TESTS=cpu runs them on the CPU all the same, to see that the tests themselves work.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ssl
from keras_ssl.core import hardware
from keras_ssl.core.detection import detect
from keras_ssl.evaluation.finetuning import finetune
from keras_ssl.training import checkpoints
from pipelines.views.augment import make_augment
from pipelines.views.policies import policy_for
from stages.devices import doubt_about
from tests.contract.test_methods import fit
from tests.descriptors import METHOD_NAMES, make_method
from tests.golden.test_golden import CASES, TOLERANCE, check
from tests.program import start

ROOT = Path(__file__).resolve().parents[2]

ON_CPU = os.environ.get("KERAS_SSL_GPU_TESTS") == "cpu"
pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def facts():
    """The facts about the machine, without TF32, which rounds float32 to 10 bits."""
    facts = detect()
    if not facts.gpus and not ON_CPU:
        why = " ".join(hardware.notes(facts)) or "there is none; run by itself: pytest -m gpu"
        pytest.skip(f"TensorFlow sees no GPU: {why}")
    tf.config.experimental.enable_tensor_float_32_execution(False)
    yield facts
    tf.config.experimental.enable_tensor_float_32_execution(True)


def seconds(step):
    """How long a call takes, and what it returns."""
    started = time.perf_counter()
    result = step()
    return time.perf_counter() - started, result


# Devices.


def test_the_device_is_named_and_computes(facts):
    print(f"\n{hardware.device_line(facts)}\n{tf.sysconfig.get_build_info()}")
    assert not facts.failure and not facts.xla_failure and not facts.libraries
    assert hardware.notes(facts) == [] or facts.gpus[0].capability >= (9, 0)


@pytest.mark.parametrize("compiled", [False, True])
def test_the_first_convolution_and_product_are_timed(compiled):
    images, kernel = tf.random.normal((8, 64, 64, 32)), tf.random.normal((3, 3, 32, 64))

    @tf.function(jit_compile=compiled)
    def step(images):
        features = tf.reshape(tf.nn.conv2d(images, kernel, 1, "SAME"), (8 * 64 * 64, 64))
        return tf.reduce_sum(tf.matmul(features, features, transpose_a=True))

    first, value = seconds(lambda: float(step(images)))
    again, _ = seconds(lambda: float(step(images)))
    print(f"\nXLA {compiled}: first {first:.2f} s, then {1e3 * again:.2f} ms")
    with tf.device("/cpu:0"):
        wanted = float(step.python_function(tf.identity(images)))
    assert value == pytest.approx(wanted, rel=1e-3)


# Steps.


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_a_compiled_step_of_every_name_equals_the_uncompiled_one(name):
    plain, compiled = make_method(name), make_method(name, jit_compile=True)
    (slow, losses), (fast, same) = (seconds(lambda m=m: fit(m, 2)) for m in (plain, compiled))
    print(f"\n{name}: two steps with their compilation {slow:.1f} s, by XLA {fast:.1f} s")
    np.testing.assert_allclose(same, losses, rtol=1e-3)
    for a, b in zip(compiled.weights, plain.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3, err_msg=a.path)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", ["simclr", "sem_byol", "barlow_twins", "swav", "dino"])
def test_mixed_precision_starts_with_the_loss_of_float32(name, policy, facts):
    compiled = bool(facts.gpus)
    losses = fit(make_method(name, jit_compile=compiled), 2)
    keras.config.set_dtype_policy(policy)
    mixed = make_method(name, jit_compile=compiled)
    np.testing.assert_allclose(fit(mixed, 2), losses, rtol=0.1)
    assert all(np.isfinite(np.asarray(weight)).all() for weight in mixed.weights)


def test_a_resumed_run_goes_on_like_the_one_that_was_not_stopped(tmp_path):
    whole, part = make_method("sem_byol"), make_method("sem_byol")
    fit(whole, 4)
    fit(part, 2)
    checkpoints.save(part, tmp_path, step=2)
    resumed = make_method("sem_byol", seed=7)
    checkpoints.restore(resumed, tmp_path, 2)
    fit(resumed, 2)
    for a, b in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)  # a GPU adds in any order


def test_several_gpus_agree_with_one(facts):
    if len(facts.gpus) < 2:
        pytest.skip("one GPU")
    assert doubt_about(len(facts.gpus)) == ""


# Numbers.


@pytest.mark.parametrize("stem", sorted(CASES))
def test_golden_cases_hold_without_tf32(stem):
    check(stem, TOLERANCE[stem][0])


@pytest.mark.parametrize("size, name", [(32, "cifar_asymmetric"), (224, "imagenet_byol")])
def test_views_of_the_device_are_those_of_the_host(size, name):
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype("float32")
    images = tf.cast(tf.image.resize(images, (size, size)), tf.uint8)
    settings = [policy_for(name), size, 3 * [0.5], 3 * [0.25]]
    seed = tf.constant([0, 1])
    with tf.device("/cpu:0"):
        host = make_augment(*settings)(tf.identity(images), seed)["global"].numpy()
    drawn = make_augment(*settings, on_gpu=True)(images, seed)["global"].numpy()
    # A rounding may carry a pixel over a threshold (solarize), or a hue into the next sector.
    assert np.mean(np.abs(drawn - host) > 1e-2) < 1e-3


# Runs, by their command line.

SMALL = ("--set=backbone.name=resnet8", "--set=evaluation.every_epochs=1")
SMALL += ("--set=finetune.learning_rates=0.01", "--set=finetune.steps=5")
SMALL += ("--set=finetune.shares=0.1", "--set=evaluation.temperatures=0")
SEM = ("--method=sem_byol", "--set=neck.num_simplices=16", *SMALL)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A short run of a small SEM-BYOL on the digits."""
    if not detect().gpus and not ON_CPU:
        pytest.skip("TensorFlow sees no GPU")
    path = tmp_path_factory.mktemp("runs") / "sem_byol"
    assert start("--epochs=2", f"--workdir={path}", *SEM) == 0
    return path


def test_a_run_learns_and_leaves_every_file(workdir):
    found = {path.name for path in workdir.iterdir()}
    assert {"model.keras", "encoder.keras", "export", "results.json", "metrics.jsonl"} <= found
    lines = (workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    logs = [json.loads(line) for line in lines]
    assert all(np.isfinite(log["loss"]) for log in logs)
    print("\n", {name: logs[-1][name] for name in ("images_per_second", "data_wait", "knn")})


@pytest.mark.parametrize("mode", ["evaluate", "finetune", "export", "codes"])
def test_every_later_mode_runs_on_the_encoder(workdir, mode):
    flags = [f"--mode={mode}", f"--workdir={workdir}"]
    assert start(*flags) == 0


@pytest.mark.parametrize("where", ["host", "device"])
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_run_trains_in_each_precision_with_views_of_either_place(tmp_path, precision, where):
    flags = [f"--precision={precision}", f"--augment={where}", "--epochs=1", *SMALL]
    flags += ["--method=simclr", f"--workdir={tmp_path / 'run'}"]
    assert start(*flags) == 0


def test_a_deterministic_run_gives_the_same_bits(tmp_path):
    program = [sys.executable, str(ROOT / "run.py"), "--deterministic", *SEM]
    for name in ("one", "two"):  # each in a process of its own, for which it is switched on
        done = subprocess.run(
            [*program, "--epochs=1", f"--workdir={tmp_path / name}"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    one, two = (keras_ssl.load_encoder(tmp_path / n / "encoder.keras") for n in ("one", "two"))
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_search_over_fine_tunings_keeps_its_memory(facts):
    if not facts.gpus:
        pytest.skip("memory is that of a GPU")
    images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), "uint8")
    labels, used = np.arange(64) % 4, []

    def views(rows, batch_size, seed):
        pixels = tf.cast(images[rows], tf.float32) / 255.0
        batches = tf.data.Dataset.from_tensor_slices((pixels, np.arange(len(rows))))
        return batches.repeat().batch(batch_size, drop_remainder=True)

    for _ in range(6):
        encoder = keras_ssl.create_backbone("resnet8", (32, 32, 3))
        finetune(
            encoder,
            images,
            labels,
            images,
            labels,
            views=views,
            preprocess=lambda batch: tf.cast(batch, tf.float32) / 255.0,
            share=1.0,
            seed=0,
            learning_rates=(0.01, 0.1),
            weight_decays=(0.0,),
            steps=5,
            batch_size=16,
            schedule="cosine",
            layer_decay=1.0,
        )
        used.append(tf.config.experimental.get_memory_info("GPU:0")["current"] / 2**20)
    print("\nMiB in use after each search:", [round(each) for each in used])
    assert used[-1] < 1.5 * used[1] + 100
