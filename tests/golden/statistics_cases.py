"""Golden cases of whitening, of information losses and of statistics of embeddings."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_ssl.analysis import entropy, semantics, spectrum
from keras_ssl.layers.bottlenecks import gumbel_softmax
from keras_ssl.layers.hyperdimensional import (
    ACTIVATIONS,
    HyperdimensionalProjection,
    code_temperature,
)
from keras_ssl.layers.norm import BatchNormalization
from keras_ssl.layers.quantizer import quantization_losses, straight_through, vector_quantize
from keras_ssl.layers.whitening import (
    DecorrelatedBatchNormalization,
    cholesky_whiten,
    iterative_whiten,
    shuffled_whiten,
    whiten_sub_batches,
    zca_whiten,
)
from keras_ssl.losses.cplearn import cplearn_forward_loss, cplearn_loss, gedi_nogen_loss
from keras_ssl.losses.simmer import (
    RANK_TERMS,
    entropy_loss,
    rank_loss,
    simmer_loss,
    total_variance,
    view_means,
)
from keras_ssl.losses.wmse import wmse_loss
from keras_ssl.ops.linalg import l2_normalize, singular_values
from keras_ssl.ops.pairs import nearest_distances
from tests.golden.support import kernel, stack, tensor, value_and_grad

# Largest error relative to the largest magnitude of the expected array, for float32 and float64.
TOLERANCE = {
    "wmse": (1e-3, 1e-8),
    "dbn": (1e-3, 1e-7),
    "cplearn": (1e-3, 1e-9),
    "simmer": (1e-4, 1e-8),
    "sem_gumbel": (1e-5, 1e-10),
    "sem_vq": (1e-5, 1e-10),
    "rank_spectrum": (1e-4, 1e-9),
    "kl_entropy": (1e-4, 1e-9),
    "sem_coherence": (1e-12, 1e-12),
}


def wmse(data):
    size, permutations = int(data["w_size"]), np.asarray(data["perms"])
    wgt = tensor(data["wgt"])

    def whiten(h, permutation):
        return whiten_sub_batches(h, permutation, size)

    def loss(h1, h2, slices, target=lambda z: z):
        losses = [wmse_loss(whiten(h1, p), target(whiten(h2, p))) for p in slices]
        return sum(losses) / len(losses)

    h1, h2 = data["h1"], data["h2"]
    one, (dh1, dh2) = value_and_grad(lambda a, b: loss(a, b, permutations[:1]), h1, h2)
    both, (dh1_iter2, dh2_iter2) = value_and_grad(lambda a, b: loss(a, b, permutations), h1, h2)
    _, (detached_1, detached_2) = value_and_grad(
        lambda a, b: loss(a, b, permutations[:1], ops.stop_gradient), h1, h2
    )
    assert detached_2 is None
    full, d_full = weighted(cholesky_whiten, h1, wgt)
    # Gradients of a gather come as slices.
    dh1, dh2, dh1_iter2, dh2_iter2, detached_1 = (
        tf.convert_to_tensor(g) for g in (dh1, dh2, dh1_iter2, dh2_iter2, detached_1)
    )
    return {
        "white_full": full,
        "white_full_eps": cholesky_whiten(tensor(h1), epsilon=0.01),
        "d_white_full": d_full,
        "loss": one,
        "dh1": dh1,
        "dh2": dh2,
        "z1": whiten(tensor(h1), permutations[0]),
        "z2": whiten(tensor(h2), permutations[0]),
        "loss_iter2": both,
        "dh1_iter2": dh1_iter2,
        "dh2_iter2": dh2_iter2,
        "dh1_stopgrad": detached_1,
        "dh2_stopgrad": np.zeros_like(h2),
    }


def dbn(data):
    x, wgt, groups = data["x"], tensor(data["wgt"]), int(data["n_groups"])
    variants = {
        "zca": lambda x: zca_whiten(x, groups),
        "zca_eps": lambda x: zca_whiten(x, groups, epsilon=1e-3),
        "zca_full": lambda x: zca_whiten(x, epsilon=1e-5),
        "shuffled": lambda x: shuffled_whiten(x, np.asarray(data["perm"]), groups),
    }
    result = {}
    for name, function in variants.items():
        result[name], result[f"d_{name}"] = weighted(function, x, wgt)
    outputs, gradients = zip(
        *(
            weighted(lambda x, t=int(t): iterative_whiten(x, groups, iterations=t), x, wgt)
            for t in data["iter_T"]
        ),
        strict=True,
    )
    result |= {"iternorm": stack(outputs), "d_iternorm": stack(gradients)}
    layer = DecorrelatedBatchNormalization(groups)
    for batch in (x, data["x2"]):
        layer(tensor(batch), training=True)
    result["running_mean"] = layer.moving_mean
    result["running_w"] = layer.moving_whitening
    result["infer"] = layer(tensor(x), training=False)
    return result


def cplearn(data):
    beta = float(data["beta"])
    rows, dim, codes = len(data["x1"]), *data["W"].shape
    epsilon = float(data["eps"])
    result = {
        "tau": code_temperature(dim, rows, codes, epsilon=epsilon),
        "tau_values": [
            code_temperature(int(f), int(n), int(c), epsilon=float(eps))
            for n, f, c, eps in np.asarray(data["tau_grid"])
        ],
    }

    def forward(a, b):
        return cplearn_forward_loss(a, b, beta=beta)

    losses = {
        "reverse_kl_sym": lambda a, b: cplearn_loss(a, b, beta=beta),
        "forward_ce": forward,
        "forward_ce_sym": lambda a, b: 0.5 * (forward(a, b) + forward(b, a)),
    }
    for activation, embed in ACTIVATIONS.items():
        dense, norm, head = cplearn_projector(data, activation, codes, epsilon)

        def project(x, dense=dense, norm=norm, head=head):
            return head(norm(dense(x), training=True))

        x1, x2 = tensor(data["x1"]), tensor(data["x2"])
        result[f"h1_{activation}"] = embed(norm(dense(x1), training=True), rows)
        result[f"logits1_{activation}"] = project(x1)
        result[f"logits2_{activation}"] = project(x2)
        for name, loss in losses.items():
            key = f"{name}_{activation}"
            result[f"loss_{key}"], (result[f"dx1_{key}"], result[f"dx2_{key}"]) = value_and_grad(
                lambda a, b, loss=loss, project=project: loss(project(a), project(b)), x1, x2
            )
    value, gradients = value_and_grad(
        lambda a, b: gedi_nogen_loss(a, b, beta=beta), data["gedi_z1"], data["gedi_z2"]
    )
    return result | {"gedi_loss": value, "gedi_dz1": gradients[0], "gedi_dz2": gradients[1]}


def cplearn_projector(data, activation, codes, epsilon):
    width, features = data["lin_w"].shape
    dense, norm = keras.layers.Dense(width), BatchNormalization()
    head = HyperdimensionalProjection(codes, activation, epsilon)
    dense.build((None, features))
    norm.build((None, width))
    head.build((None, width))
    dense.kernel.assign(kernel(data["lin_w"]))
    dense.bias.assign(data["lin_b"])
    norm.gamma.assign(data["bn_gamma"])
    norm.beta.assign(data["bn_beta"])
    head.codes.assign(data["W"])
    return dense, norm, head


def simmer(data):
    weights = {"alpha_entropy": float(data["alpha_H"]), "alpha_rank": float(data["alpha_R"])}
    result, case = {}, 0
    while f"case{case}_z" in data:
        z = data[f"case{case}_z"]
        views = z.shape[1]
        functions = {
            "tv": total_variance,
            "tv_sum_over_views": lambda z, views=views: views * total_variance(z),
            "entropy_loss": lambda z: entropy_loss(view_means(z)),
        }
        for term in RANK_TERMS:
            for suffix, bias in (("", False), ("_bias", True)):
                options = {"rank_term": term, "bias": bias}
                functions[term + suffix] = lambda z, o=options: rank_loss(view_means(z), **o)
                functions[f"total_{term}{suffix}"] = lambda z, o=options: simmer_loss(
                    z, **weights, **o
                )
        for name, function in functions.items():
            value, (gradient,) = value_and_grad(function, z)
            result[f"case{case}_{name}"], result[f"case{case}_d_{name}"] = value, gradient
        means = view_means(tensor(z))
        result[f"case{case}_nn_dist"] = nearest_distances(means)
        result[f"case{case}_singular_values"] = singular_values(means)
        case += 1
    return result


def sem_gumbel(data):
    noise = np.reshape(data["noise"], (-1, int(data["L"]), int(data["V"])))
    tau, w = float(data["tau"]), tensor(data["w"])
    soft, hard = gumbel_softmax(tensor(data["z"]), tensor(noise), temperature=tau)
    _, (dz,) = value_and_grad(
        lambda z: ops.sum(gumbel_softmax(z, tensor(noise), temperature=tau)[1] * w), data["z"]
    )
    return {"soft": soft, "hard": hard, "dz": dz}


def sem_vq(data):
    w = tensor(data["w"])
    parts = {}

    def total(z, codebook):
        parts["indices"], quantized = vector_quantize(z, codebook)
        parts["codebook_loss"], parts["commitment"] = quantization_losses(z, quantized)
        parts["quantised"] = straight_through(z, quantized)
        return ops.sum(parts["quantised"] * w) + parts["codebook_loss"] + 0.25 * parts["commitment"]

    value, (dz, dcodebook) = value_and_grad(total, data["z"], data["codebook"])
    return {**parts, "total": value, "dz": dz, "dcodebook": dcodebook}


def rank_spectrum(data):
    z, x, y = tensor(data["z"]), tensor(data["align_x"]), tensor(data["align_y"])
    return {
        "singular_values": spectrum.singular_values(z),
        "rankme": spectrum.rankme(z),
        "rankme_eps0": spectrum.rankme(z, epsilon=0.0),
        "rankme_eps1e5": spectrum.rankme(z, epsilon=1e-5),
        "rank_tau": stack([spectrum.rank_tau(z, float(tau)) for tau in data["thresholds"]]),
        "cov_spectrum": spectrum.covariance_spectrum(z),
        "row_normalised": l2_normalize(z),
        "alignment": spectrum.alignment(x, y),
        "uniformity": spectrum.uniformity(x),
    }


def kl_entropy(data):
    x = tensor(data["x"])
    eq4, (d_eq4,) = value_and_grad(entropy.kozachenko_leonenko_1d, x)
    koleo, (d_koleo,) = value_and_grad(entropy.koleo, x)
    return {
        "nn_dist": nearest_distances(x),
        "simmer_eq4": eq4,
        "d_simmer_eq4": d_eq4,
        "kl_full": entropy.kozachenko_leonenko(x),
        "kl_psi": entropy.kozachenko_leonenko_psi(x),
        "simmer_eq4_1d": entropy.kozachenko_leonenko_1d(tensor(data["x1d"])),
        "koleo": koleo,
        "d_koleo": d_koleo,
    }


def sem_coherence(data):
    def values(**reading):
        return [
            semantics.semantic_coherence(data["W"], data["superclass"], int(k), **reading)
            for k in data["K"]
        ]

    return {
        f"{by}_{pairs}_{isolated}": np.asarray(
            values(
                by_magnitude=by == "magnitude",
                count_each_feature=pairs == "multi",
                skip_isolated=isolated == "skip",
            )
        )
        for by in ("signed", "magnitude")
        for pairs in ("set", "multi")
        for isolated in ("zero", "skip")
    }


def weighted(function, x, weights):
    """`function(x)` and the gradient of its sum with `weights`."""
    x = tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
        total = ops.sum(y * weights)
    return y, tape.gradient(total, x)


CASES = {
    "wmse": wmse,
    "dbn": dbn,
    "cplearn": cplearn,
    "simmer": simmer,
    "sem_gumbel": sem_gumbel,
    "sem_vq": sem_vq,
    "rank_spectrum": rank_spectrum,
    "kl_entropy": kl_entropy,
    "sem_coherence": sem_coherence,
}
