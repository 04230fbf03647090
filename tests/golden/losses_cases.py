"""Golden cases of losses and of whole methods on given features."""

import numpy as np
from keras import ops

from keras_ssl.layers.necks import at_temperature, sem_neck
from keras_ssl.layers.simplicial import simplicial_entropy
from keras_ssl.layers.target import parameter_pairs
from keras_ssl.losses.byol import byol_loss, regression_loss
from keras_ssl.losses.simclr import nt_xent
from keras_ssl.losses.simsiam import simsiam_loss
from keras_ssl.methods.byol import BYOL
from keras_ssl.methods.simsiam import SimSiam
from tests.golden.support import identity_encoder, kernel, stack, tensor, value_and_grad


def ntxent(data):
    losses, first, second = [], [], []
    for tau in data["tau"]:
        loss, (dz1, dz2) = value_and_grad(
            lambda a, b, tau=tau: nt_xent(a, b, temperature=float(tau)), data["z1"], data["z2"]
        )
        losses.append(loss)
        first.append(dz1)
        second.append(dz2)
    loss = stack(losses)
    # Google's TensorFlow code reports the sum of the two views' averages.
    return {
        "loss": loss,
        "dz1": stack(first),
        "dz2": stack(second),
        "loss_google_scale": 2 * loss,
    }


def byol(data):
    z1, z2 = tensor(data["z1"]), tensor(data["z2"])
    loss, (dp1, dp2) = value_and_grad(
        lambda p1, p2: byol_loss(p1, p2, z1, z2), data["p1"], data["p2"]
    )
    per_sample = regression_loss(tensor(data["p1"]), z2) + regression_loss(tensor(data["p2"]), z1)
    return {"loss": loss, "per_sample": per_sample, "dp1": dp1, "dp2": dp2}


def simsiam(data):
    loss, (dp1, dp2, dz1, dz2) = value_and_grad(
        simsiam_loss, data["p1"], data["p2"], data["z1"], data["z2"]
    )
    assert dz1 is None and dz2 is None
    return {"loss": loss, "dp1": dp1, "dp2": dp2}


def simsiam_heads(data):
    out_features, hidden = (
        data["w_predictor_0_weight"].shape[1],
        data["w_predictor_0_weight"].shape[0],
    )
    method = SimSiam(
        identity_encoder(data["x1"].shape[1]),
        projection_dim=out_features,
        prediction_dim=hidden,
        hidden_dim=data["w_encoder_fc_0_weight"].shape[0],
    )
    for index, (dense, norm) in enumerate([(0, 1), (3, 4)]):
        load_dense(method.projector, index, data, f"w_encoder_fc_{dense}", bias=False)
        load_norm(method.projector, index, data, f"w_encoder_fc_{norm}")
    # The bias of the last layer is frozen in the authors' code and removed by the BN behind it.
    load_dense(method.projector, 2, data, "w_encoder_fc_6", bias=False)
    load_dense(method.predictor, 0, data, "w_predictor_0", bias=False)
    load_norm(method.predictor, 0, data, "w_predictor_1")
    load_dense(method.predictor, 1, data, "w_predictor_3")
    outputs = {}

    def loss(x1, x2):
        views = {"global": ops.stack([x1, x2], axis=1)}
        outputs.update(method.embed(views, training=True))
        return method.loss_terms(outputs)["simsiam"]

    value, (dx1, dx2) = value_and_grad(loss, data["x1"], data["x2"])
    (p1, p2), (z1, z2) = outputs["predictions"], outputs["projections"]
    return {"p1": p1, "p2": p2, "z1": z1, "z2": z2, "loss": value, "dx1": dx1, "dx2": dx2}


def sem_byol_end_to_end(data):
    method = sem_byol_from(data)
    f1, f2, t1, t2 = (tensor(data[name]) for name in ("f1", "f2", "t1", "t2"))

    def loss(f1, f2):
        online = [method.projector(f, training=True) for f in encode(method.encoder, f1, f2)]
        targets = encode(method.target_encoder, t1, t2)
        outputs = {
            "predictions": [method.predictor(z, training=True) for z in online],
            "targets": [method.target_projector(f, training=True) for f in targets],
        }
        return method.loss_terms(outputs)["byol"]

    value, gradients = value_and_grad(loss, f1, f2)
    result = {"loss": value, "df1": gradients[0], "df2": gradients[1]}
    result.update(parameter_gradients(method, lambda: loss(f1, f2)))
    simplices = method.encoder.layers[-1]
    logits = embedding(method.encoder, f1)
    entropy = simplicial_entropy(
        logits, simplices.num_simplices, simplices.simplex_size, float(data["tau_online"])
    )
    result["sem_entropy_mean"] = ops.mean(ops.sum(entropy, axis=-1))
    result["probe_loss"] = stack(
        [probe_loss(method, f1, data, i, float(tau)) for i, tau in enumerate(data["probe_taus"])]
    )
    return result


def sem_byol_from(data):
    encoder = sem_neck(
        identity_encoder(data["f1"].shape[1]),
        num_simplices=int(data["L"]),
        simplex_size=int(data["V"]),
        temperature=float(data["tau_online"]),
        target_temperature=float(data["tau_target"]),
    )
    hidden, out = data["w_projector_0_weight"].shape[0], data["w_projector_3_weight"].shape[0]
    method = BYOL(
        encoder,
        hidden_dim=hidden,
        projection_dim=out,
        prediction_dim=data["w_predictor_0_weight"].shape[0],
    )
    for network, prefix in ((method.encoder, "w_"), (method.target_encoder, "w_momentum_")):
        network.get_layer("embedder").kernel.assign(kernel(data[prefix + "embedder_0_weight"]))
        norm = network.get_layer("embedder_norm")
        norm.gamma.assign(data[prefix + "embedder_1_weight"])
        norm.beta.assign(data[prefix + "embedder_1_bias"])
    heads = {
        "w_projector": method.projector,
        "w_momentum_projector": method.target_projector,
        "w_predictor": method.predictor,
    }
    for prefix, head in heads.items():
        load_dense(head, 0, data, f"{prefix}_0")
        load_norm(head, 0, data, f"{prefix}_1")
        load_dense(head, 1, data, f"{prefix}_3")
    return method


def encode(encoder, *features):
    return [encoder(f, training=True) for f in features]


def embedding(encoder, features):
    """What the simplices read: the embedder's output under this batch's statistics."""
    x = encoder.get_layer("embedder")(features)
    return encoder.get_layer("embedder_norm")(x, training=True)


def probe_loss(method, features, data, index, tau):
    read = at_temperature(method.encoder, tau)(features, training=True)
    weight, bias = (tensor(data[f"w_linears_y_{index}_{part}"]) for part in ("weight", "bias"))
    log_p = ops.log_softmax(read @ ops.transpose(weight) + bias, axis=-1)
    labels = ops.convert_to_tensor(np.asarray(data["labels"]))
    return -ops.mean(ops.take_along_axis(log_p, labels[:, None], axis=-1))


def parameter_gradients(method, loss):
    import tensorflow as tf

    named = {
        "g_embedder_0_weight": method.encoder.get_layer("embedder").kernel,
        "g_embedder_1_weight": method.encoder.get_layer("embedder_norm").gamma,
        "g_embedder_1_bias": method.encoder.get_layer("embedder_norm").beta,
    }
    for name, head in (("projector", method.projector), ("predictor", method.predictor)):
        first, norm, last = (head.get_layer(part) for part in ("dense0", "norm0", "dense1"))
        named |= {
            f"g_{name}_0_weight": first.kernel,
            f"g_{name}_0_bias": first.bias,
            f"g_{name}_1_weight": norm.gamma,
            f"g_{name}_1_bias": norm.beta,
            f"g_{name}_3_weight": last.kernel,
            f"g_{name}_3_bias": last.bias,
        }
    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, [variable.value for variable in named.values()])
    targets = [copy for _, copy in parameter_pairs(method.encoder, method.target_encoder)]
    assert not any(copy.trainable for copy in targets)
    return {
        name: kernel(gradient) if len(gradient.shape) == 2 else gradient
        for name, gradient in zip(named, gradients, strict=True)
    }


def load_dense(head, index, data, prefix, bias=True):
    layer = head.get_layer(f"dense{index}")
    layer.kernel.assign(kernel(data[f"{prefix}_weight"]))
    if bias:
        layer.bias.assign(data[f"{prefix}_bias"])


def load_norm(head, index, data, prefix):
    layer = head.get_layer(f"norm{index}")
    layer.gamma.assign(data[f"{prefix}_weight"])
    layer.beta.assign(data[f"{prefix}_bias"])


CASES = {
    "ntxent": ntxent,
    "byol": byol,
    "simsiam": simsiam,
    "simsiam_heads": simsiam_heads,
    "sem_byol_end_to_end": sem_byol_end_to_end,
}
