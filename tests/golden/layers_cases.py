"""Golden cases of layers."""

import numpy as np
import tensorflow as tf
from keras import ops

from keras_ssl.layers.simplicial import (
    BlockDiagonalDense,
    simplicial_embedding,
    simplicial_entropy,
)
from tests.golden.support import tensor, value_and_grad


def sem(data):
    result = {}
    for i, (num_simplices, simplex_size, tau) in enumerate(np.asarray(data["cfg"])):
        sizes = int(num_simplices), int(simplex_size)
        z, weights = data[f"z{i}"], tensor(data[f"w{i}"])
        result[f"out{i}"] = simplicial_embedding(tensor(z), *sizes, float(tau))
        _, (result[f"dz{i}"],) = value_and_grad(
            lambda z, s=sizes, t=float(tau), w=weights: ops.sum(simplicial_embedding(z, *s, t) * w),
            z,
        )
        result[f"entropy{i}"] = simplicial_entropy(tensor(z), *sizes, float(tau))
        result[f"hard{i}"] = simplicial_embedding(tensor(z), *sizes, 0)
    return result


def sem_blockdiag(data):
    weight = np.asarray(data["weight"])
    blocks, chunk, units = weight.shape
    layer = BlockDiagonalDense(blocks * units, blocks)
    layer.build((None, blocks * chunk))
    layer.kernel.assign(weight)
    x, w = tensor(data["x"]), tensor(data["w"])
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = ops.sum(layer(x) * w)
    dx, dweight = tape.gradient(total, [x, layer.kernel.value])
    dense = layer(tensor(np.eye(blocks * chunk)))  # its rows are the images of the unit vectors
    return {"y": layer(x), "dx": dx, "dweight": dweight, "dense": dense}


CASES = {"sem": sem, "sem_blockdiag": sem_blockdiag}
