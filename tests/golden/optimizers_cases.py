"""Golden cases of the optimizers and of the schedules."""

import keras
import numpy as np

from keras_ssl.layers.target import move_towards
from keras_ssl.optimizers import LARS
from keras_ssl.schedules import cosine, warmup_cosine
from tests.golden.support import stack, tensor


def lars(data):
    eta, eta_sololearn = float(data["eta_original"]), float(data["eta_sololearn"])
    runs = {
        "original_excl": ("original", eta, True),
        "original_noexcl": ("original", eta, False),
        "simclr_excl": ("simclr", eta, True),
        "sololearn_clip_excl": ("larc_clip", eta_sololearn, True),
        "sololearn_noclip_noexcl": ("larc", eta_sololearn, False),
        "larc_noexcl": ("larc", eta, False),
    }
    result = {}
    for run, (variant, trust_coefficient, exclude_1d) in runs.items():
        optimizer = LARS(
            1.0,
            variant=variant,
            momentum=float(data["momentum"]),
            trust_coefficient=trust_coefficient,
            weight_decay=float(data["weight_decay"]),
            exclude_1d=exclude_1d,
        )
        for index, steps in enumerate(_trajectories(optimizer, data)):
            result[f"{run}_p{index}"] = steps
    return result


def _trajectories(optimizer, data):
    """Every parameter after each step: list of (steps, ...)."""
    count = sum(f"grad{index}" in data for index in range(len(data)))
    variables = [keras.Variable(tensor(data[f"p{index}"])) for index in range(count)]
    gradients = [tensor(data[f"grad{index}"]) for index in range(count)]
    states = []
    for step, rate in enumerate(np.asarray(data["lr"])):
        optimizer.learning_rate = float(rate)
        optimizer.apply([gradient[step] for gradient in gradients], variables)
        states.append([keras.ops.convert_to_numpy(variable) for variable in variables])
    return [stack(steps) for steps in zip(*states, strict=True)]


def schedules(data):
    per_epoch, epochs = int(data["steps_per_epoch"]), int(data["epochs"])
    peak, warmup = float(data["base_lr"]), per_epoch * int(data["warmup_epochs"])
    total = per_epoch * epochs
    start, final = float(data["warmup_start_lr"]), float(data["min_lr"])

    def rate(peak=peak, total=total, warmup=warmup, **options):
        return warmup_cosine(np.arange(total), peak, total, warmup_steps=warmup, **options)

    def barlow(peak):  # 12 epochs, of which the repository always warms up for 10
        return rate(peak, 12 * per_epoch, 10 * per_epoch, final=0.001 * peak)

    steps = np.arange(total)
    return {
        "barlow12_lr": np.stack([barlow(0.2), barlow(0.0048)], axis=1),
        "ema_099_0999": cosine(np.arange(total + 1), 0.99, 0.999, total),
        "lr_sololearn": rate(warmup_start=start, final=final, warmup_inclusive=True),
        "lr_barlow_vicreg": rate(final=0.001 * peak),
        "lr_dino": rate(final=1e-6, warmup_inclusive=True),
        "lr_simclr_byol": rate(),
        "lr_simsiam": rate(warmup=0, hold_steps=per_epoch),
        "lr_swav": rate(warmup_start=0.3, final=0.0048, warmup_inclusive=True),
        "ema_byol": cosine(steps, 0.99, 1.0, total),
        "ema_dino": cosine(steps, 0.996, 1.0, total),
        "wd_dino": cosine(steps, 0.04, 0.4, total),
        "ema_xi": _moving_average(data),
    }


def _moving_average(data):
    target = keras.Variable(np.asarray(data["ema_xi0"], "float64"), dtype="float64")
    values = []
    for online, momentum in zip(data["ema_theta"], data["ema_m"], strict=True):
        move_towards([(np.asarray(online, "float64"), target)], momentum)
        values.append(keras.ops.convert_to_numpy(target))
    return stack(values)


CASES = {"lars": lars, "schedules": schedules}
