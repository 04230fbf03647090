"""Put Simplicial Embeddings on top of any encoder, and read an encoder at another temperature.

The simplices have no weights. So "the same encoder at temperature 0" is another functional model
over the same layers: nothing is copied, and training one trains the other.
"""

import keras

from keras_ssl.core.checks import UserError
from keras_ssl.layers.norm import BatchNormalization
from keras_ssl.layers.simplicial import BlockDiagonalDense, SimplicialCodes, SimplicialEmbedding


def sem_neck(
    encoder,
    *,
    num_simplices,
    simplex_size,
    temperature=1.0,
    target_temperature=None,
    num_blocks=1,
):
    """Extend `encoder` by an embedder (linear without bias, then BN) and simplices.

    Args:
        encoder: `keras.Model`, images -> (batch, features).
        num_simplices: int. L; the paper's CIFAR runs have 5000.
        simplex_size: int. V; the paper's CIFAR runs have 13.
        temperature: float > 0. tau_p.
        target_temperature: float > 0 or None. tau'_p, see `SimplicialEmbedding`.
        num_blocks: int. More than 1 makes the embedder block-diagonal (SEM/n).

    Returns:
        A functional `keras.Model`, images -> (batch, L * V) float32.

    Example:

    >>> backbone = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    >>> sem_neck(backbone, num_simplices=5, simplex_size=3).output_shape
    (None, 15)

    Reference: Lavoie et al., Simplicial Embeddings, sec. 3 and appendix D.1.
    """
    width = num_simplices * simplex_size
    if num_blocks > 1:
        embedder = BlockDiagonalDense(width, num_blocks, name="embedder")
    else:
        embedder = keras.layers.Dense(width, use_bias=False, name="embedder")
    simplices = SimplicialEmbedding(
        num_simplices, simplex_size, temperature, target_temperature, name="simplices"
    )
    images = keras.Input(encoder.input_shape[1:], name="images")
    embedding = BatchNormalization(name="embedder_norm")(embedder(encoder(images)))
    return keras.Model(images, simplices(embedding), name=f"sem_{encoder.name}")


def simplices_of(encoder):
    """The `SimplicialEmbedding` that ends `encoder`, or None."""
    last = encoder.layers[-1] if getattr(encoder, "layers", None) else None
    return last if isinstance(last, SimplicialEmbedding) else None


def projector_blocks(encoder):
    """Blocks of the first projector layer after `encoder`: those of its embedder, else 1."""
    embedders = [layer for layer in encoder.layers if isinstance(layer, BlockDiagonalDense)]
    return embedders[-1].num_blocks if embedders and simplices_of(encoder) else 1


def at_temperature(encoder, temperature):
    """The same layers, read at another SEM temperature: a model that shares every weight.

    Args:
        encoder: a model made by `sem_neck`.
        temperature: float >= 0. tau_d for a probe; 0 for one-hot codes.

    Raises:
        UserError: if `encoder` has no simplices.
    """
    simplices = _require_simplices(encoder)
    # Named after tau_d, so that one model can hold several readings.
    name = f"simplices_at_{temperature:g}"
    read = SimplicialEmbedding(
        simplices.num_simplices, simplices.simplex_size, temperature, name=name
    )
    return keras.Model(encoder.input, read(simplices.input), name=encoder.name)


def codes_of(encoder):
    """The same layers, read as discrete codes: images -> (batch, L) int32 in [0, V)."""
    simplices = _require_simplices(encoder)
    read = SimplicialCodes(simplices.num_simplices, simplices.simplex_size, name="codes")
    return keras.Model(encoder.input, read(simplices.input), name=f"{encoder.name}_codes")


def backbone_output(encoder):
    """The symbolic features below the neck, in the graph of `encoder` itself.

    For models of several outputs: calling `backbone_of(encoder)` there would run it twice.
    """
    if simplices_of(encoder) is None:
        return encoder.output
    return encoder.get_layer("embedder").input


def backbone_of(encoder):
    """The encoder below the neck; `encoder` itself where there is none."""
    if simplices_of(encoder) is None:
        return encoder
    return next(layer for layer in encoder.layers if isinstance(layer, keras.Model))


def _require_simplices(encoder):
    simplices = simplices_of(encoder)
    if simplices is None:
        raise UserError(f"Encoder '{encoder.name}' has no Simplicial Embedding to read.")
    return simplices
