"""Heads: the networks between an encoder and its loss, all weights in place."""

import math
from collections.abc import Sequence

import keras
from keras import ops

from keras_ssl.core.serialization import register
from keras_ssl.layers.norm import BatchNormalization
from keras_ssl.layers.prototypes import L2Normalization, WeightNormalizedPrototypes
from keras_ssl.layers.simplicial import BlockDiagonalDense
from keras_ssl.ops.precision import DType, Tensor


def mlp(
    input_dim: int,
    units: Sequence[int],
    *,
    name: str,
    hidden_bias: bool = True,
    output_bias: bool = True,
    hidden_norm: bool = True,
    output_norm: str | None = None,
    num_blocks: int = 1,
    dtype: DType = None,
) -> keras.Sequential:
    """Build `[Dense, BN, ReLU] x n, Dense` with every weight in place.

    Args:
        input_dim: int > 0. Width of the input.
        units: sequence of ints. Widths of the layers; the last one is the output's.
        name: str. Names the weights.
        hidden_bias, output_bias: bool. Whether the hidden layers and the last one have a bias.
        hidden_norm: bool. Batch normalization after the hidden layers.
        output_norm: None, "affine" or "plain" (no scale, no offset). Normalization of the output.
        num_blocks: int. Blocks of the first layer's weight matrix; more than 1 makes it
            block-diagonal and drops its bias (SEM, appendix D.1).
        dtype: dtype policy of the layers; None for the global one.

    Returns:
        A built `keras.Sequential`: (batch, input_dim) -> (batch, units[-1]).

    Example:

    >>> projector = mlp(8, (16, 4), name="projector")
    >>> [layer.name for layer in projector.layers], projector.output_shape
    (['dense0', 'norm0', 'relu0', 'dense1'], (None, 4))
    """
    layers = [keras.Input((input_dim,))]
    for index, width in enumerate(units):
        last = index == len(units) - 1
        if index == 0 and num_blocks > 1:
            layers.append(BlockDiagonalDense(width, num_blocks, name="dense0", dtype=dtype))
        else:
            bias = output_bias if last else hidden_bias
            layers.append(
                keras.layers.Dense(width, use_bias=bias, name=f"dense{index}", dtype=dtype)
            )
        if not last:
            if hidden_norm:
                layers.append(BatchNormalization(name=f"norm{index}", dtype=dtype))
            layers.append(keras.layers.ReLU(name=f"relu{index}", dtype=dtype))
    if output_norm:
        affine = output_norm == "affine"
        layers.append(BatchNormalization(center=affine, scale=affine, name="norm_out", dtype=dtype))
    return keras.Sequential(layers, name=name)


@register
def exact_gelu(x: Tensor) -> Tensor:
    """`x P(N(0, 1) < x)`, to full precision: TensorFlow rounds sqrt(2) to float32 in any type."""
    return 0.5 * x * (1.0 + ops.erf(x / math.sqrt(2.0)))


def dino_head(
    input_dim: int,
    *,
    hidden_dim: int = 2048,
    bottleneck_dim: int = 256,
    num_prototypes: int = 65536,
    num_blocks: int = 1,
    name: str = "projector",
    dtype: DType = None,
) -> keras.Sequential:
    """DINO's head: three Dense layers with exact GELUs between, then weight-normalized prototypes.

    Args:
        input_dim: int > 0. Width of the input.
        hidden_dim: int > 0. Width of the two hidden layers.
        bottleneck_dim: int > 0. Width of what is normalized and compared with the prototypes.
        num_prototypes: int > 0.
        num_blocks: int > 0. Blocks of the first layer's matrix; see `mlp`.
        name: str.
        dtype: dtype policy of the layers; None for the global one.

    Returns:
        A built `keras.Sequential` with layers `dense0`, `gelu0`, `dense1`, `gelu1`, `dense2`,
        `norm` (of length) and `prototypes`: (batch, input_dim) -> (batch, num_prototypes).

    Example:

    >>> head = dino_head(8, hidden_dim=16, bottleneck_dim=4, num_prototypes=5)
    >>> head.output_shape
    (None, 5)

    Reference: Caron et al., Emerging properties in self-supervised vision transformers, 2021,
    appendix C; facebookresearch/dino, without batch normalization.
    """
    layers = [keras.Input((input_dim,))]
    for index, width in enumerate((hidden_dim, hidden_dim, bottleneck_dim)):
        layers.append(_dense(index, width, num_blocks, dtype))
        if index < 2:
            layers.append(keras.layers.Activation(exact_gelu, name=f"gelu{index}", dtype=dtype))
    layers.append(L2Normalization(name="norm", dtype=dtype))
    layers.append(WeightNormalizedPrototypes(num_prototypes, name="prototypes", dtype=dtype))
    return keras.Sequential(layers, name=name)


def self_classifier_head(
    input_dim: int,
    *,
    hidden_dim: int = 4096,
    embedding_dim: int = 128,
    num_blocks: int = 1,
    name: str = "projector",
    dtype: DType = None,
) -> keras.Sequential:
    """Self-Classifier's head below the classifiers: Dense, BN, LeakyReLU, Dense, unit rows.

    Args:
        input_dim: int > 0. Width of the input.
        hidden_dim: int > 0. Width of the hidden layer.
        embedding_dim: int > 0. Width of what the classifiers read.
        num_blocks: int > 0. Blocks of the first layer's matrix; see `mlp`.
        name: str.
        dtype: dtype policy of the layers; None for the global one.

    Returns:
        A built `keras.Sequential`: (batch, input_dim) -> (batch, embedding_dim).

    Example:

    >>> head = self_classifier_head(8, hidden_dim=16, embedding_dim=4)
    >>> rows = head(keras.random.normal((2, 8), seed=1))
    >>> keras.ops.norm(rows, axis=1).numpy().round(3).tolist()
    [1.0, 1.0]

    Reference: Amrani et al., Self-supervised classification network, 2022, as in the authors' code.
    """
    layers = [
        keras.Input((input_dim,)),
        _dense(0, hidden_dim, num_blocks, dtype),
        BatchNormalization(name="norm0", dtype=dtype),
        keras.layers.LeakyReLU(negative_slope=0.01, name="relu0", dtype=dtype),
        _dense(1, embedding_dim, num_blocks, dtype),
        L2Normalization(name="norm", dtype=dtype),
    ]
    return keras.Sequential(layers, name=name)


def _dense(index, width, num_blocks, dtype):
    name = f"dense{index}"
    if index == 0 and num_blocks > 1:
        return BlockDiagonalDense(width, num_blocks, name=name, dtype=dtype)
    draw = keras.initializers.TruncatedNormal(stddev=0.02)
    return keras.layers.Dense(width, kernel_initializer=draw, name=name, dtype=dtype)
