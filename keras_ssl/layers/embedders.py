"""Embedders: the maps from a backbone's features to the width that a neck reads."""

import keras
from keras import layers

from keras_ssl.core.errors import UserError
from keras_ssl.layers.norm import BatchNormalization
from keras_ssl.layers.simplicial import BlockDiagonalDense


def linear_embedder(
    features: keras.KerasTensor, width: int, *, norm: bool, num_blocks: int
) -> keras.KerasTensor:
    """A linear map without bias, of `num_blocks` blocks: the paper's embedder.

    Args:
        features: symbolic (batch, features).
        width: int > 0.
        norm: bool. Batch normalization of the result.
        num_blocks: int > 0. More than 1 makes the map block-diagonal.

    Returns:
        Symbolic (batch, width).
    """
    if num_blocks != 1:
        embed = BlockDiagonalDense(width, num_blocks, name="embedder")
    else:
        embed = layers.Dense(width, use_bias=False, name="embedder")
    embedding = embed(features)
    return BatchNormalization(name="embedder_norm")(embedding) if norm else embedding


def mlp_embedder(
    features: keras.KerasTensor, width: int, *, norm: bool, num_blocks: int
) -> keras.KerasTensor:
    """A hidden layer as wide as the features, with ReLU, before the linear embedder.

    The paper does not print the width of its hidden layer. With `norm` both maps are normalized.
    """
    _check_dense(num_blocks, "mlp")
    hidden = layers.Dense(features.shape[-1], use_bias=not norm, name="embedder_hidden")(features)
    if norm:
        hidden = BatchNormalization(name="embedder_hidden_norm")(hidden)
    hidden = layers.ReLU(name="embedder_relu")(hidden)
    return linear_embedder(hidden, width, norm=norm, num_blocks=1)


def identity_embedder(
    features: keras.KerasTensor, width: int, *, norm: bool, num_blocks: int
) -> keras.KerasTensor:
    """The features themselves, which must have the width; nothing is normalized."""
    _check_dense(num_blocks, "identity")
    if features.shape[-1] != width:
        raise UserError(
            f"Without an embedder the {features.shape[-1]} features must be what the neck reads, "
            f"{width}: choose num_simplices so, or embedder='linear'."
        )
    return features


# Reference: Lavoie et al., Simplicial Embeddings, table 19.
EMBEDDERS = {"linear": linear_embedder, "mlp": mlp_embedder, "identity": identity_embedder}


def _check_dense(num_blocks, embedder):
    if num_blocks != 1:
        raise UserError(
            f"Only the linear embedder has blocks. Received num_blocks={num_blocks} with "
            f"embedder='{embedder}'."
        )
