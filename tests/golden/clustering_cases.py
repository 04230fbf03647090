"""Golden cases of the losses with clusters, queues and decorrelated features, and their layers."""

import numpy as np
import tensorflow as tf
from keras import ops

from keras_ssl.layers.centering import Centering
from keras_ssl.layers.heads import dino_head
from keras_ssl.layers.prototypes import Prototypes
from keras_ssl.layers.queue import KeyQueue
from keras_ssl.layers.sinkhorn import sinkhorn
from keras_ssl.losses import barlow_twins, decoupled
from keras_ssl.losses import vicreg as vicreg_terms
from keras_ssl.losses.dino import dino_loss
from keras_ssl.losses.moco import moco_logits, moco_loss, symmetric_moco_loss
from keras_ssl.losses.self_classifier import self_classifier_loss
from keras_ssl.losses.swav import swapped_prediction_loss
from keras_ssl.ops.linalg import l2_normalize
from tests.golden.support import kernel, stack, tensor, value_and_grad

# Largest error relative to the largest magnitude of the expected array; float32, float64.
TOLERANCE = {
    "infonce_decoupled": (1e-5, 1e-10),
    "moco": (1e-5, 1e-10),
    "barlow": (1e-4, 1e-9),
    "vicreg": (1e-4, 1e-9),
    "swav": (1e-4, 1e-9),
    "dino": (1e-5, 1e-9),
    "dino_head": (1e-5, 1e-9),
    "self_classifier": (1e-4, 1e-9),
}


def infonce_decoupled(data):
    rows = [infonce_at(data, 1.0 / float(beta)) for beta in data["beta"]]
    return {name: stack([row[name] for row in rows]) for name in rows[0]}


def infonce_at(data, temperature):
    options, sigma = {"temperature": temperature}, float(data["sigma"])
    z1, z2 = data["z1"], data["z2"]

    def weighted(a, b, treat=lambda weights: weights):
        weights = decoupled.von_mises_fisher_weights(a, b, sigma=sigma)
        return decoupled.weighted_decoupled_infonce(a, b, treat(weights), **options)

    split = decoupled.infonce_split(tensor(z1), tensor(z2), **options)
    result = {name: getattr(split, name) for name in ("per_sample", "entropy", "expected")}
    result["hardest"] = split.hardest
    result["upper"] = decoupled.infonce_upper_bound(tensor(z1), tensor(z2), **options)
    result["loss"], (result["dz1"], result["dz2"]) = value_and_grad(
        lambda a, b: decoupled.decoupled_infonce(a, b, **options), z1, z2
    )
    result["loss_sym"], (result["dz1_sym"], result["dz2_sym"]) = value_and_grad(
        lambda a, b: decoupled.symmetric_decoupled_infonce(a, b, **options), z1, z2
    )
    result["dclw"], (result["dclw_dz1"], result["dclw_dz2"]) = value_and_grad(weighted, z1, z2)
    _, (result["dclw_dz1_nograd_w"], result["dclw_dz2_nograd_w"]) = value_and_grad(
        lambda a, b: weighted(a, b, ops.stop_gradient), z1, z2
    )
    return result


def moco(data):
    tau, (dim, size) = float(data["tau"]), data["queue0"].shape
    queue = KeyQueue(size, dim)
    queue.keys.assign(tensor(data["queue0"].T))
    first = moco_logits(tensor(data["q"][0]), tensor(data["k"][0]), queue.keys, temperature=tau)
    steps = {"loss": [], "dq": [], "queue_after": [], "ptr_after": []}
    for q, k in zip(data["q"], data["k"], strict=True):
        loss, (dq,) = value_and_grad(
            lambda q, k=k: moco_loss(q, tensor(k), queue.keys, temperature=tau), q
        )
        queue.enqueue(tensor(k))
        after = ops.transpose(queue.keys), ops.copy(queue.pointer)
        for name, value in zip(steps, (loss, dq, *after), strict=True):
            steps[name].append(value)
    keys = tensor(data["sym_k1"]), tensor(data["sym_k2"])
    queues = [ops.transpose(tensor(q)) for q in data["sym_queue"]]
    sym_loss, (dq1, dq2) = value_and_grad(
        lambda q1, q2: symmetric_moco_loss((q1, q2), keys, queues, temperature=tau),
        data["sym_q1"],
        data["sym_q2"],
    )
    result = {name: stack(values) for name, values in steps.items()}
    result |= {"logits_step0": first, "sym_loss": sym_loss, "sym_dq1": dq1, "sym_dq2": dq2}
    return result


def barlow(data):
    z1, z2 = tensor(data["z1"]), tensor(data["z2"])
    correlation = barlow_twins.cross_correlation(z1, z2)
    loss, (dz1, dz2) = value_and_grad(
        lambda a, b: barlow_twins.barlow_twins_loss(a, b, redundancy_weight=float(data["lambd"])),
        data["z1"],
        data["z2"],
    )
    return {
        "C": correlation,
        "on_diag": barlow_twins.diagonal_error(correlation),
        "off_diag": barlow_twins.off_diagonal_energy(correlation),
        "loss": loss,
        "dz1": dz1,
        "dz2": dz2,
        "loss_sololearn": 0.1 * barlow_twins.barlow_twins_loss(z1, z2),
    }


def vicreg(data):
    x, y = tensor(data["x"]), tensor(data["y"])
    invariance = vicreg_terms.invariance(x, y)
    result = {"invariance": invariance, "invariance_paper": data["x"].shape[1] * invariance}
    for name, z in (("x", x), ("y", y)):
        result[f"var_{name}"] = vicreg_terms.variance_hinge(z)
        result[f"cov_{name}"] = vicreg_terms.covariance_energy(z)
    # The sum of the variance terms is twice their average.
    for suffix, weight in (("", 25.0), ("_sum_var", 50.0)):
        loss, (dx, dy) = value_and_grad(
            lambda x, y, w=weight: vicreg_terms.vicreg_loss(x, y, variance_weight=w),
            data["x"],
            data["y"],
        )
        result |= {f"loss{suffix}": loss, f"dx{suffix}": dx, f"dy{suffix}": dy}
    return result


def swav(data):
    options = {"epsilon": float(data["epsilon"]), "iterations": int(data["iters"])}
    layer = Prototypes(data["prototypes"].shape[0])
    layer.build((None, data["prototypes"].shape[1]))
    layer.prototypes.assign(tensor(data["prototypes"]))
    queues = [tensor(queue) for queue in data["queue"]]  # also says how many crops are large
    result = {"scores": stack([layer(l2_normalize(tensor(z))) for z in data["z"]])}
    for suffix, past in (("", [queue[:0] for queue in queues]), ("_queue", queues)):
        with tf.GradientTape() as tape:
            z = tensor(data["z"])
            tape.watch(z)
            scores = [layer(l2_normalize(crop)) for crop in z]
            codes = [
                sinkhorn(ops.concatenate([layer(rows), score]), **options)[-z.shape[1] :]
                for rows, score in zip(past, scores, strict=False)
            ]
            loss = swapped_prediction_loss(scores, codes, temperature=float(data["tau"]))
        dz, dprototypes = tape.gradient(loss, [z, layer.prototypes.value])
        result |= {
            f"codes{suffix}": stack(codes),
            f"loss{suffix}": loss,
            f"dz{suffix}": dz,
            f"dprototypes{suffix}": dprototypes,
        }
    grid = zip(data["grid_eps"], data["grid_iters"], strict=True)
    scores = tensor(data["grid_scores"])
    result["grid_codes"] = stack(
        [sinkhorn(scores, epsilon=float(e), iterations=int(i)) for e, i in grid]
    )
    return result


def dino(data):
    centering = Centering()
    n_crops, student_temperature = int(data["n_crops"]), float(data["student_temp"])
    batch = data["student"].shape[1] // n_crops
    # A step stands for an epoch here.
    temperatures = np.asarray(data["teacher_temp_schedule"])[: len(data["student"])]
    steps = {"loss": [], "dstudent": [], "center_after": []}
    for student, teacher, temperature in zip(
        data["student"], data["teacher"], temperatures, strict=True
    ):
        centered = centering(tensor(teacher))

        def loss(student, centered=centered, temperature=temperature):
            return dino_loss(
                ops.split(student, n_crops),
                ops.split(centered, centered.shape[0] // batch),
                teacher_temperature=float(temperature),
                student_temperature=student_temperature,
            )

        value, (gradient,) = value_and_grad(loss, student)
        centering.update(tensor(teacher))
        after = ops.copy(ops.convert_to_tensor(centering.center)[None])
        for name, item in zip(steps, (value, gradient, after), strict=True):
            steps[name].append(item)
    result = {name: stack(values) for name, values in steps.items()}
    return {**result, "teacher_temp_used": temperatures}


def dino_head_case(data):
    head = dino_head(
        data["w0"].shape[1],
        hidden_dim=data["w0"].shape[0],
        bottleneck_dim=data["w2"].shape[0],
        num_prototypes=data["last_v"].shape[0],
    )
    for index in range(3):
        layer = head.get_layer(f"dense{index}")
        layer.kernel.assign(kernel(data[f"w{index}"]))
        layer.bias.assign(data[f"b{index}"])
    head.get_layer("prototypes").directions.assign(data["last_v"])
    weights = tensor(data["w"])
    _, (dx,) = value_and_grad(lambda x: ops.sum(head(x) * weights), data["x"])
    return {"out": head(tensor(data["x"])), "dx": dx}


def self_classifier(data):
    options = {
        "row_temperature": float(data["row_tau"]),
        "column_temperature": float(data["col_tau"]),
        "epsilon": float(data["eps"]),
    }
    result = {}
    for count in (2, len(data["views"])):
        loss, gradients = value_and_grad(
            lambda *views: self_classifier_loss(*views, **options), *data["views"][:count]
        )
        result |= {f"loss{count}": loss, f"d{count}": stack(gradients)}
    return result


CASES = {
    "infonce_decoupled": infonce_decoupled,
    "moco": moco,
    "barlow": barlow,
    "vicreg": vicreg,
    "swav": swav,
    "dino": dino,
    "dino_head": dino_head_case,
    "self_classifier": self_classifier,
}
