"""Necks: put Simplicial Embeddings, or what they are compared with, on top of any encoder.

The simplices have no weights. So "the same encoder at temperature 0" is another functional model
over the same layers: nothing is copied, and training one trains the other.
"""

import inspect
from typing import Any

import keras

from keras_ssl.core.bounds import (
    Count,
    Temperature,
    TemperatureOrZero,
    TwoOrMore,
    Weight,
    Width,
    check,
)
from keras_ssl.core.constants import (
    CODE_DIM,
    CODEBOOK_SIZE,
    COMMITMENT,
    GUMBEL_TEMPERATURE,
    NUM_CODEBOOKS,
    NUM_SIMPLICES,
    SIMPLEX_SIZE,
)
from keras_ssl.core.errors import UserError, did_you_mean, lookup
from keras_ssl.layers.bottlenecks import GumbelBottleneck, IdentityBottleneck
from keras_ssl.layers.embedders import EMBEDDERS
from keras_ssl.layers.quantizer import QuantizerCodes, VectorQuantizer
from keras_ssl.layers.simplicial import BlockDiagonalDense, SimplicialCodes, SimplicialEmbedding


def add_neck(
    encoder: keras.Model,
    *,
    kind: str = "sem",
    embedder: str = "linear",
    embedder_norm: bool = True,
    num_blocks: int = 1,
    **options: Any,
) -> keras.Model:
    """Extend `encoder` by an embedder and a bottleneck, between it and the heads.

    Args:
        encoder: `keras.Model`, images -> (batch, features).
        kind: str. "sem" for Simplicial Embeddings; "embed" for the embedder alone, without a
            softmax; "gumbel" for one-hot samples trained straight through; "vq" for vectors of
            learned codebooks.
        embedder: str. "linear" for a linear map without bias; "mlp" for one with a hidden layer;
            "identity" for none, where the features themselves have the neck's width.
        embedder_norm: bool. Batch normalization after every linear map of the embedder.
        num_blocks: int > 0. More than 1 makes a linear embedder block-diagonal (SEM/n).
        **options: of the kind.
            num_simplices: int > 0. L, simplices or codebooks; by default 5000, with "vq" 512.
            simplex_size: int > 1. V, entries of a simplex or of a codebook; by default 13, with
                "vq" 128.
            temperature: float > 0. Of the softmax (tau_p); by default 1, with "gumbel" 2.
            target_temperature: "sem" only. float > 0 or None. tau'_p, see `SimplicialEmbedding`.
            code_dim: "vq" only. int > 0. Length of the codebooks' vectors; by default 32.
            commitment: "vq" only. float >= 0. See `VectorQuantizer`; by default 0.25.

    Returns:
        A functional `keras.Model`, images -> (batch, L * V) float32; with "vq" (batch,
        L * code_dim).

    Raises:
        UserError: for an unknown kind, embedder or option, sizes that do not fit, or an encoder
            that is not built or not pooled.

    Example:

    >>> backbone = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    >>> add_neck(backbone, kind="vq", num_simplices=5, code_dim=3).output_shape
    (None, 15)

    Reference: Lavoie et al., Simplicial Embeddings, sec. 3, tables 2 and 17 to 19, fig. 3.
    """
    check_encoder(encoder)
    make = lookup(NECKS, kind, "neck")
    known = inspect.signature(make).parameters
    for name in options:
        if name not in known:
            raise UserError(
                f"Neck '{kind}' has no option '{name}'.{did_you_mean(name, known)} "
                f"It takes: {', '.join(known)}."
            )
        check(options[name], known[name].annotation, name)
    width, bottleneck = make(**options)
    check(width, Count, "the width of the neck")
    if kind == "embed" and embedder == "identity":
        raise UserError("Neck 'embed' without an embedder is the backbone itself: leave it out.")
    images = keras.Input(encoder.input_shape[1:], name="images")
    embed = lookup(EMBEDDERS, embedder, "embedder")
    embedding = embed(encoder(images), width, norm=embedder_norm, num_blocks=num_blocks)
    return keras.Model(images, bottleneck(embedding), name=f"{kind}_{encoder.name}")


def check_encoder(encoder: keras.Model) -> None:
    """Refuse a network that is not a built functional model, images -> (batch, features).

    Raises:
        UserError: with what to do.
    """
    if not isinstance(encoder, keras.Model) or not getattr(encoder, "inputs", None):
        raise UserError(
            "An encoder is a functional or Sequential keras.Model that begins with a keras.Input. "
            f"Received {type(encoder).__name__}: call it on one, keras.Model(images, net(images))."
        )
    output = getattr(encoder, "output", encoder.outputs[0])  # a Sequential may have none yet
    single = len(encoder.inputs) == 1 and isinstance(output, keras.KerasTensor)
    if not single or encoder.output_shape[-1] is None:
        raise UserError(
            "An encoder takes one tensor of images and gives one of features, of known width. "
            f"Encoder '{encoder.name}' takes {encoder.input_shape} and gives {output}: "
            "wrap it in a keras.Model that picks them."
        )
    if len(encoder.output_shape) != 2:
        raise UserError(
            f"An encoder gives (batch, features). Encoder '{encoder.name}' gives "
            f'{encoder.output_shape}: build it with pooling="avg", or end it in '
            "GlobalAveragePooling2D (maps), GlobalAveragePooling1D or the class token (tokens)."
        )


def sem_neck(encoder: keras.Model, **options: Any) -> keras.Model:
    """`add_neck` with `kind="sem"`: an embedder and simplices.

    Example:

    >>> backbone = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    >>> sem_neck(backbone, num_simplices=5, simplex_size=3).output_shape
    (None, 15)
    """
    return add_neck(encoder, kind="sem", **options)


def _sem(
    num_simplices: Count = NUM_SIMPLICES,
    simplex_size: TwoOrMore = SIMPLEX_SIZE,
    temperature: TemperatureOrZero = 1.0,
    target_temperature: TemperatureOrZero | None = None,
):
    layer = SimplicialEmbedding(
        num_simplices, simplex_size, temperature, target_temperature, name="simplices"
    )
    return num_simplices * simplex_size, layer


def _embed(num_simplices: Count = NUM_SIMPLICES, simplex_size: TwoOrMore = SIMPLEX_SIZE):
    width = num_simplices * simplex_size
    return width, IdentityBottleneck(num_simplices, simplex_size, name="embedding")


def _gumbel(
    num_simplices: Count = NUM_SIMPLICES,
    simplex_size: TwoOrMore = SIMPLEX_SIZE,
    temperature: Temperature = GUMBEL_TEMPERATURE,
):
    layer = GumbelBottleneck(num_simplices, simplex_size, temperature, seed=None, name="gumbel")
    return num_simplices * simplex_size, layer


def _vq(
    num_simplices: Count = NUM_CODEBOOKS,
    simplex_size: TwoOrMore = CODEBOOK_SIZE,
    code_dim: Width = CODE_DIM,
    commitment: Weight = COMMITMENT,
):
    layer = VectorQuantizer(num_simplices, simplex_size, commitment, name="quantizer")
    return num_simplices * code_dim, layer


# What makes the layer that ends a neck of each kind: options -> (width of its input, layer).
NECKS = {"sem": _sem, "embed": _embed, "gumbel": _gumbel, "vq": _vq}

_BOTTLENECKS = (SimplicialEmbedding, IdentityBottleneck, GumbelBottleneck, VectorQuantizer)


def bottleneck_of(encoder: keras.Model) -> keras.layers.Layer | None:
    """The layer that ends the neck of `encoder`, or None where there is no neck."""
    last = encoder.layers[-1] if getattr(encoder, "layers", None) else None
    return last if isinstance(last, _BOTTLENECKS) else None


def simplices_of(encoder: keras.Model) -> SimplicialEmbedding | None:
    """The `SimplicialEmbedding` that ends `encoder`, or None."""
    last = bottleneck_of(encoder)
    return last if isinstance(last, SimplicialEmbedding) else None


def projector_blocks(encoder: keras.Model) -> int:
    """Blocks of the first projector layer after `encoder`: those of its embedder, else 1."""
    embedders = [layer for layer in encoder.layers if isinstance(layer, BlockDiagonalDense)]
    return embedders[-1].num_blocks if embedders and bottleneck_of(encoder) else 1


def at_temperature(encoder: keras.Model, temperature: float) -> keras.Model:
    """The same layers, read at another SEM temperature: a model that shares every weight.

    Args:
        encoder: a model made by `add_neck`, of any kind but "vq": all others have simplices of
            logits to read.
        temperature: float >= 0. tau_d for a probe; 0 for one-hot codes.

    Raises:
        UserError: if `encoder` has no simplices.

    Example:

    >>> backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> encoder = sem_neck(backbone, num_simplices=2, simplex_size=3)
    >>> one_hot = at_temperature(encoder, 0)(keras.random.normal((4, 8, 8, 1), seed=1))
    >>> keras.ops.sum(one_hot, axis=1).numpy().tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    logits, sizes = _simplex_logits(encoder)
    # Named after tau_d, so that one model can hold several readings.
    read = SimplicialEmbedding(*sizes, temperature, name=f"simplices_at_{temperature:g}")
    return keras.Model(encoder.input, read(logits), name=encoder.name)


def embedding_of(encoder: keras.Model) -> tuple[keras.Model, tuple[int, int]]:
    """The same layers, read before the softmax, and the sizes of the simplices that it makes.

    Returns:
        Model (images -> (batch, L * V), whatever the kind of the neck but "vq"), and (L, V).

    Raises:
        UserError: if `encoder` has no simplices.

    Example:

    >>> backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> encoder = sem_neck(backbone, num_simplices=2, simplex_size=3)
    >>> model, sizes = embedding_of(encoder)
    >>> model.output_shape, sizes
    ((None, 6), (2, 3))
    """
    logits, sizes = _simplex_logits(encoder)
    return keras.Model(encoder.input, logits, name=f"{encoder.name}_embedding"), sizes


def codes_of(encoder: keras.Model) -> keras.Model:
    """The same layers, read as discrete codes: images -> (batch, L) int32 in [0, V).

    Raises:
        UserError: if `encoder` has no neck.

    Example:

    >>> backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> encoder = sem_neck(backbone, num_simplices=2, simplex_size=3)
    >>> codes_of(encoder)(keras.random.normal((4, 8, 8, 1), seed=1)).shape
    TensorShape([4, 2])
    """
    bottleneck = bottleneck_of(encoder)
    if isinstance(bottleneck, VectorQuantizer):
        codes = QuantizerCodes(bottleneck, name="codes")(bottleneck.input)
    else:
        logits, sizes = _simplex_logits(encoder)
        codes = SimplicialCodes(*sizes, name="codes")(logits)
    return keras.Model(encoder.input, codes, name=f"{encoder.name}_codes")


def backbone_output(encoder: keras.Model) -> keras.KerasTensor:
    """The symbolic features below the neck, in the graph of `encoder` itself.

    For models of several outputs: calling `backbone_of(encoder)` there would run it twice.
    """
    if bottleneck_of(encoder) is None:
        return encoder.output
    return encoder.layers[encoder.layers.index(backbone_of(encoder)) + 1].input


def backbone_of(encoder: keras.Model) -> keras.Model:
    """The encoder below the neck; `encoder` itself where there is none.

    Example:

    >>> backbone = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> backbone_of(sem_neck(backbone, num_simplices=2, simplex_size=3)) is backbone
    True
    """
    if bottleneck_of(encoder) is None:
        return encoder
    return next(layer for layer in encoder.layers if isinstance(layer, keras.Model))


def _simplex_logits(encoder):
    """What the simplices of `encoder` read, and their sizes (L, V)."""
    bottleneck = bottleneck_of(encoder)
    if bottleneck is None or isinstance(bottleneck, VectorQuantizer):
        raise UserError(f"Encoder '{encoder.name}' has no Simplicial Embedding to read.")
    return bottleneck.input, (bottleneck.num_simplices, bottleneck.simplex_size)


def code_sizes(encoder):
    """L and V of an encoder with a neck: simplices, or codebooks, and entries of each.

    Example:

    >>> backbone = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    >>> code_sizes(sem_neck(backbone, num_simplices=4, simplex_size=3))
    (4, 3)
    """
    bottleneck = bottleneck_of(encoder)
    if isinstance(bottleneck, VectorQuantizer):
        return bottleneck.num_codebooks, bottleneck.codebook_size
    return bottleneck.num_simplices, bottleneck.simplex_size
