"""What follows from the facts about a machine, on machines that are made up."""

import functools
import sys
import types
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.config import parse_set, resolve
from keras_ssl.core import detection, hardware
from keras_ssl.core.errors import UserError
from keras_ssl.core.hardware import GPU, Hardware
from keras_ssl.ops import linalg
from stages import devices, finetuning, request
from stages.describe import describe_devices
from stages.devices import check_hardware, resolve_auto
from stages.request import read_catalog
from tests.program import start

WHEEL = ("sm_60", "sm_70", "sm_80", "sm_89", "compute_90")  # of TensorFlow 2.21
catalog = functools.cache(read_catalog)
T4, A100 = GPU("Tesla T4", (7, 5)), GPU("NVIDIA A100", (8, 0))
P100, H100 = GPU("Tesla P100", (6, 0)), GPU("NVIDIA H100", (9, 0))
RTX5090 = GPU("NVIDIA GeForce RTX 5090", (12, 0))
CPU = Hardware(kernels=WHEEL)


def machine(*gpus, **facts):
    return Hardware(**{"gpus": gpus, "kernels": WHEEL, **facts})


def recipe(*overrides, name="simclr"):
    return resolve(catalog(), name, [parse_set(text) for text in overrides], "digits")


@pytest.mark.parametrize(
    "limit, precision",
    [
        (None, "mixed_bfloat16"),
        ("", "mixed_bfloat16"),
        ("avx512_core_amx", "mixed_bfloat16"),
        ("AVX512_CORE_BF16", "mixed_bfloat16"),
        ("AVX2", "float32"),
        ("AVX512_CORE_VNNI", "float32"),
    ],
)
def test_bfloat16_is_left_where_the_user_keeps_onednn_from_it(limit, precision):
    flags = detection.usable_flags("avx2 avx512_vnni avx512_bf16", limit)
    assert hardware.precision_for(replace(CPU, cpu_flags=flags)) == precision


@pytest.mark.parametrize(
    "facts, policy",
    [
        (machine(A100), "mixed_bfloat16"),
        (machine(H100), "mixed_bfloat16"),
        (machine(T4), "mixed_float16"),
        (machine(P100), "float32"),
        (machine(A100, T4), "mixed_float16"),  # what all of them have units for
        (machine(GPU()), "float32"),  # such as Apple's, which says nothing
        (replace(CPU, cpu_flags=frozenset({"avx2"})), "float32"),
        (replace(CPU, cpu_flags=frozenset({"avx2", "amx_bf16"})), "mixed_bfloat16"),
        (replace(CPU, cpu_flags=frozenset({"avx512_bf16"})), "mixed_bfloat16"),
    ],
)
def test_precision_is_the_fastest_with_units_for_it(facts, policy):
    assert hardware.precision_for(facts) == policy


@pytest.mark.parametrize(
    "facts, options, wanted",
    [
        (machine(A100), {}, True),
        (machine(A100, A100), {}, True),  # one of two
        (machine(A100, A100), {"replicas": 2}, False),
        (machine(A100), {"eigenvalues": True}, False),
        (machine(A100), {"deterministic": True}, False),
        (machine(A100, xla_failure="libdevice not found"), {}, False),
        (machine(GPU(), system="Darwin"), {}, False),
        (CPU, {}, False),
    ],
)
def test_xla_compiles_for_a_single_gpu_where_nothing_forbids_it(facts, options, wanted):
    compiled, why = hardware.xla_for(facts, **options)
    assert compiled == wanted and bool(why) != wanted


@pytest.mark.parametrize(
    "facts, place",
    [
        (machine(T4), "device"),
        (CPU, "host"),
        (machine(T4, xla_failure="no ptxas"), "host"),
        (machine(GPU(), system="Darwin"), "host"),
    ],
)
def test_views_are_drawn_on_a_gpu_that_xla_compiles_for(facts, place):
    assert hardware.place_of_views(facts) == place
    assert hardware.place_of_views(facts, deterministic=True) == "host"


@pytest.mark.parametrize("gpu", [P100, T4, A100, GPU("NVIDIA L4", (8, 9)), H100, GPU()])
def test_chips_that_the_wheel_has_code_for_are_taken(gpu):
    assert hardware.refusal(machine(gpu)) == ""


@pytest.mark.parametrize("capability", [(10, 0), (10, 3), (12, 0)])
def test_blackwell_is_refused_where_tensorflow_is_not_built_for_it(capability):
    text = hardware.refusal(machine(A100, replace(RTX5090, capability=capability)))
    assert RTX5090.name in text and "CUDA_VISIBLE_DEVICES=-1" in text and "container" in text


@pytest.mark.parametrize("kernel", ["sm_120", "sm_120a", "compute_120", "compute_100"])
def test_blackwell_is_taken_where_tensorflow_is_built_for_it(kernel):
    assert hardware.refusal(machine(RTX5090, kernels=(*WHEEL, kernel))) == ""


def test_chips_older_than_every_kernel_are_refused():
    assert "built for sm_60" in hardware.refusal(machine(GPU("GeForce GTX 980", (5, 2))))


def test_a_convolution_that_fails_is_refused_with_the_libraries_that_do_not_fit():
    facts = machine(A100, failure="DNN library init failed", libraries=("cudnn 9.1, not >=9.3",))
    text = hardware.refusal(facts)
    assert "DNN library" in text and "cudnn 9.1" in text and hardware.INSTALL in text


def test_a_machine_without_gpu_gets_no_notes():
    assert hardware.notes(CPU) == []
    assert hardware.notes(machine(A100)) == []


@pytest.mark.parametrize(
    "said, advice",
    [
        ("Cannot dlopen some GPU libraries. Please make sure", "LD_LIBRARY_PATH"),
        ("Could not find cuda drivers on your machine, GPU will not be used.", "driver"),
        ("failed call to cuInit: INTERNAL: CUDA error", "nvidia-smi"),
        ("kernel version 1 does not match DSO version 2", "reboot"),
        ("Ignoring visible gpu device (device: 0, name: GTX 980)", "older"),
        ("", hardware.INSTALL),
    ],
)
def test_a_gpu_that_tensorflow_does_not_see_is_told_with_its_reason(said, advice):
    said = hardware.complaints_in(f"W0000 00:00:17.4 11 gpu_device.cc:23] {said}\nI other")
    (note,) = hardware.notes(replace(CPU, sign="/dev/nvidia0", complaints=said))
    assert "/dev/nvidia0" in note and advice in note and all(line in note for line in said)
    assert "gpu_device.cc" not in note


def test_a_gpu_that_the_user_hides_is_no_surprise():
    for value in ("-1", ""):
        facts = replace(CPU, sign="/dev/nvidia0", visible_devices=value)
        assert hardware.notes(facts) == []
        assert f"CUDA_VISIBLE_DEVICES={value}" in hardware.device_line(facts)


def test_what_other_systems_cannot_do_is_told():
    windows = replace(CPU, sign="nvidia-smi", system="Windows")
    plain = replace(CPU, sign="/dev/nvidia0", cuda_build=False)
    apple = machine(GPU(), system="Darwin")
    for facts, word in ((windows, "WSL2"), (plain, "without CUDA"), (apple, "tensorflow-metal")):
        assert word in hardware.notes(facts)[0]


def test_a_first_run_that_compiles_every_kernel_is_told_and_what_keeps_them():
    (note,) = hardware.notes(machine(H100, H100))
    assert "H100" in note and "ComputeCache" in note


def test_a_compiler_that_does_not_work_is_told_with_the_command_that_installs_it():
    (note,) = hardware.notes(machine(A100, xla_failure="No PTX compilation provider"))
    assert "No PTX" in note and hardware.INSTALL in note


def test_devices_are_named_and_counted():
    assert hardware.device_line(machine(A100, A100, T4)) == (
        "2 x NVIDIA A100 (compute capability 8.0), Tesla T4 (compute capability 7.5)"
    )
    assert hardware.device_line(replace(CPU, cpu="EPYC", cores=2)) == "CPU, EPYC, 2 cores"


def test_libraries_of_other_versions_than_tensorflow_asks_for_are_found():
    asked = ['nvidia-cudnn-cu12<10.0,>=9.3.0.75; extra == "and-cuda"', "absl-py>=1", "not a name!"]
    versions = {"nvidia-cudnn-cu12": "9.1.0.70", "absl-py": "0.1"}
    assert detection.mismatched(asked, versions.get) == (
        "nvidia-cudnn-cu12 9.1.0.70, not <10.0,>=9.3.0.75",
    )
    for version in ("9.28.0.42", None):
        assert detection.mismatched(asked, {"nvidia-cudnn-cu12": version}.get) == ()


def test_a_gpu_shows_in_the_files_of_its_driver(tmp_path):
    assert detection.sign_of_gpu(tmp_path, "no-such-program") == ""
    assert detection.sign_of_gpu(tmp_path, "true") == ""  # it lists none
    (tmp_path / "proc/driver/nvidia/gpus/0000:01").mkdir(parents=True)
    assert detection.sign_of_gpu(tmp_path).startswith("/proc/driver/nvidia")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    assert detection.sign_of_gpu(tmp_path) == "/dev/nvidia0"


def test_what_a_first_try_raises_is_kept_in_a_line():
    def broken():
        raise tf.errors.InternalError(None, None, "libdevice not found at ./x.\nmore")

    assert detection.first_failure(broken) == "libdevice not found at ./x"
    for compiled in (detection._convolve, tf.function(detection._convolve, jit_compile=True)):
        assert detection.first_failure(compiled) == ""


def test_this_machine_is_detected_without_gpu():
    facts = detection.detect()
    assert facts.gpus == () and facts.cores >= 1 and facts.tensorflow == tf.__version__
    assert detection.detect() is facts


def test_tensorflow_is_asked_why_it_sees_no_gpu_only_where_there_is_one(monkeypatch):
    asked = []
    log = "E0000 00:00:17.4 1 x.cc:5] failed call to cuInit: INTERNAL"
    monkeypatch.setattr(detection, "_log_of_a_start", lambda: asked.append(1) or log)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    for sign, complaints in (("", ()), ("/dev/nvidia0", ("failed call to cuInit: INTERNAL",))):
        monkeypatch.setattr(detection, "sign_of_gpu", lambda sign=sign: sign)
        assert detection._facts().complaints == complaints
        assert len(asked) == bool(sign)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert detection._facts().hidden and len(asked) == 1


def test_nothing_is_computed_on_a_chip_that_is_refused(monkeypatch):
    monkeypatch.setattr(detection, "_facts", lambda: machine(RTX5090))
    monkeypatch.setattr(detection, "first_failure", lambda _: pytest.fail("it would abort"))
    with pytest.raises(UserError, match="RTX 5090"):
        detection.detect.__wrapped__()


def test_a_gpu_is_tried_uncompiled_and_compiled(monkeypatch):
    monkeypatch.setattr(detection, "_facts", lambda: machine(A100))
    failures = iter(["", "no ptxas"])
    monkeypatch.setattr(detection, "first_failure", lambda _: next(failures))
    assert detection.detect.__wrapped__() == machine(A100, xla_failure="no ptxas")
    monkeypatch.setattr(detection, "first_failure", lambda _: "DNN library init failed")
    with pytest.raises(UserError, match="DNN library"):
        detection.detect.__wrapped__()


def test_notes_come_on_stderr_and_a_refusal_ends_every_command(monkeypatch, capsys):
    on(monkeypatch, machine(H100))
    check_hardware()
    assert capsys.readouterr().err.startswith("note: TensorFlow")

    def refuse():
        raise UserError(hardware.refusal(machine(RTX5090)))

    monkeypatch.setattr(devices, "detect", refuse)
    assert start("--method=simclr", "--mode=preview") == 2
    assert capsys.readouterr().err.startswith("error: TensorFlow")


# What a recipe leaves to the hardware.


def on(monkeypatch, facts):
    monkeypatch.setattr(devices, "detect", lambda: facts)


@pytest.mark.parametrize(
    "facts, wanted", [(machine(T4), ("mixed_float16", "device")), (CPU, ("float32", "host"))]
)
def test_what_the_hardware_decides_is_kept_in_the_recipe(monkeypatch, facts, wanted):
    on(monkeypatch, facts)
    settled = resolve_auto(recipe())
    assert (settled.training.precision, settled.augment.where) == wanted
    for key, value in zip(("training.precision", "augment.where"), wanted, strict=True):
        assert settled.settings[key] == (value, "auto, by the hardware")
    assert resolve_auto(settled) == settled


def test_what_the_user_decided_stays(monkeypatch):
    on(monkeypatch, machine(A100))
    asked = recipe("training.precision=float32", "augment.where=host")
    assert resolve_auto(asked) == asked


def test_views_on_a_device_without_its_compiler_are_refused(monkeypatch):
    on(monkeypatch, machine(A100, xla_failure="no ptxas"))
    with pytest.raises(UserError, match="--augment=host"):
        resolve_auto(recipe("augment.where=device"))


def count(facts, *overrides, doubt=lambda gpus: ""):
    return devices.devices_for(recipe(*overrides), facts, doubt)


def test_several_gpus_are_taken_after_their_check_or_when_asked_for():
    two = machine(A100, A100)
    assert count(two).replicas == (2, "")
    value, why = count(two, doubt=lambda gpus: f"{gpus} disagree").replicas
    assert value == 1 and "1 of 2 GPUs" in why and "2 disagree" in why
    refuse = lambda gpus: pytest.fail("not to be checked")  # noqa: E731
    assert count(two, "training.strategy=none", doubt=refuse).replicas.value == 1
    assert count(two, "training.strategy=mirrored", doubt=refuse).replicas.value == 2
    assert count(machine(A100), doubt=refuse).replicas.value == 1
    assert count(CPU, "training.strategy=mirrored", doubt=refuse).replicas.value == 1


def test_what_several_gpus_cannot_do_is_done_on_one_unless_they_were_asked_for():
    refuse = lambda gpus: pytest.fail("not to be checked")  # noqa: E731
    value, why = count(machine(A100, A100), "training.batch_size=33", doubt=refuse).replicas
    assert value == 1 and why


def test_several_gpus_are_taken_to_accumulate_gradients_too():
    assert count(machine(A100, A100), "training.accumulate=2").replicas.value == 2


@pytest.mark.parametrize("name, compiled", [("simclr", True), ("dbn", False), ("simmer", False)])
def test_steps_that_take_eigenvalues_are_not_compiled(name, compiled):
    assert devices.devices_for(recipe(name=name), machine(A100)).xla.value == compiled
    assert not devices.devices_for(recipe(name=name), CPU).xla.value
    asked = recipe("training.deterministic=true", name=name)
    assert not devices.devices_for(asked, machine(A100)).xla.value


def test_wmse_takes_eigenvalues_with_other_whitenings_than_its_own():
    plain, other = recipe(name="wmse"), recipe("method.whitening=zca", name="wmse")
    assert devices.devices_for(plain, machine(A100)).xla.value
    assert not devices.devices_for(other, machine(A100)).xla.value


def test_fine_tuning_is_not_compiled_where_the_same_bits_are_wanted(monkeypatch):
    monkeypatch.setattr(finetuning, "detect", lambda: machine(T4))
    assert finetuning.compiled(recipe())
    assert not finetuning.compiled(recipe("training.deterministic=true"))


def test_determinism_is_asked_for_on_a_gpu_alone(monkeypatch):
    calls = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: calls.append("on"))
    asked = recipe("training.deterministic=true")
    devices.set_determinism(asked, CPU)
    devices.set_determinism(recipe(), machine(A100))
    assert calls == []
    devices.set_determinism(asked, machine(A100))
    assert calls == ["on"]


def test_the_flag_for_determinism_is_a_switch():
    flags = ["run.py", "--method=simclr", "--mode=pretrain"]
    for more, wanted in (([], False), (["--deterministic"], True)):
        asked = request.recipe_of(request.parse_flags([*flags, *more]), catalog())
        assert asked.training.deterministic is wanted


def test_the_block_of_a_run_names_device_precision_compiler_and_replicas(monkeypatch):
    facts = machine(A100, A100, tensorflow="2.21.0")
    monkeypatch.setattr(sys.modules[describe_devices.__module__], "detect", lambda: facts)
    asked = recipe("training.strategy=none", "augment.where=device")
    method = types.SimpleNamespace(distribute_strategy=tf.distribute.get_strategy())
    lines = describe_devices(asked, method)
    assert lines["device"] == f"{hardware.device_line(facts)}; TensorFlow 2.21.0"
    assert "XLA" in lines["compiled"] and "minutes" in lines["compiled"]
    assert lines["precision"] and lines["replicas"] == "1 (1 of 2 GPUs, as asked)"
    assert lines["views"] == "drawn on the device"


# Several replicas against one.


def program(text):
    return (sys.executable, "-c", text)


def test_replicas_that_hang_crash_or_disagree_are_doubted():
    devices.doubt_about.cache_clear()
    doubt = devices.doubt_about
    assert doubt(2, program("pass")) == ""
    assert "0.5 seconds" in doubt(2, program("import time; time.sleep(60)"), 0.5)
    assert doubt(2, program("print('NaN'); exit(1)")).endswith("NaN")
    assert doubt(2, program("import os; os.abort()")).endswith("no word")


@pytest.mark.slow
def test_two_replicas_pass_the_check(two_replicas):
    one = devices.changes(tf.distribute.get_strategy(), 8)
    assert devices.complaint(devices.changes(two_replicas, 8), one) == ""


def test_replicas_whose_steps_are_wrong_do_not_pass_the_check():
    one = loss, weights = np.array([4.0, 3.5]), np.array([0.1, -0.3, 0.0])
    assert devices.complaint((loss, 1.001 * weights), one) == ""
    assert "weights" in devices.complaint((loss, 2 * weights), one)  # sums for means
    assert "loss" in devices.complaint((1.5 * loss, weights), one)
    assert "NaN" in devices.complaint((loss, weights * float("nan")), one)


# What follows in the step itself.


@pytest.mark.parametrize("factorise", [linalg.inverse_square_root, linalg.singular_values])
def test_eigenvalues_are_left_to_the_cpu(factorise):
    step = tf.function(factorise).get_concrete_function(tf.TensorSpec((4, 4), tf.float64))
    (eigh,) = [op for op in step.graph.get_operations() if op.type == "SelfAdjointEigV2"]
    assert eigh.device.endswith("CPU:0")


class Logs(keras.callbacks.Callback):
    """Like `Throughput`, what comes after a step; it keeps Keras from running ahead of it."""

    def on_train_batch_end(self, batch, logs=None):
        self.kinds = {type(value) for value in logs.values()}


def test_a_step_has_ended_when_the_time_of_the_next_begins():
    model, seen = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), Logs()
    model.compile("sgd", "mse", jit_compile=False)
    x = tf.zeros((4, 1))
    model.fit(x, x, verbose=0, callbacks=[seen])
    assert seen.kinds == {float}  # read from the device, which has computed them
