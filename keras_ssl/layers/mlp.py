"""The multi-layer perceptrons that serve as projectors and predictors."""

import keras

from keras_ssl.layers.norm import BatchNormalization
from keras_ssl.layers.simplicial import BlockDiagonalDense


def mlp(
    input_dim,
    units,
    *,
    name,
    hidden_bias=True,
    output_bias=True,
    hidden_norm=True,
    output_norm=None,
    num_blocks=1,
    dtype=None,
):
    """Build `[Dense, BN, ReLU] x n, Dense` with every weight in place.

    Args:
        input_dim: int > 0. Width of the input.
        units: sequence of ints. Widths of the layers; the last one is the output's.
        name: str. Names the weights.
        hidden_bias, output_bias: bool. Whether the hidden layers and the last one have a bias.
        hidden_norm: bool. Batch normalisation after the hidden layers.
        output_norm: None, "affine" or "plain" (no scale, no offset). Normalisation of the output.
        num_blocks: int. Blocks of the first layer's weight matrix; more than 1 makes it
            block-diagonal and drops its bias (SEM, appendix D.1).
        dtype: dtype policy of the layers; None for the global one.

    Returns:
        A built `keras.Sequential`: (batch, input_dim) -> (batch, units[-1]).
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
