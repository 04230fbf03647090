"""The table that the contract tests loop over: a new entry is checked for free."""

import keras
from keras import ops

import keras_ssl
from keras_ssl.backbones.tokens import SelfAttention, Tokens
from keras_ssl.layers.bottlenecks import GumbelBottleneck, IdentityBottleneck
from keras_ssl.layers.centering import Centering
from keras_ssl.layers.hyperdimensional import HyperdimensionalProjection
from keras_ssl.layers.norm import BatchNormalization
from keras_ssl.layers.prototypes import (
    L2Normalization,
    Prototypes,
    WeightNormalizedPrototypes,
)
from keras_ssl.layers.quantizer import VectorQuantizer
from keras_ssl.layers.simplicial import BlockDiagonalDense, SimplicialCodes, SimplicialEmbedding
from keras_ssl.layers.sinkhorn import Sinkhorn
from keras_ssl.layers.whitening import DecorrelatedBatchNormalization
from keras_ssl.losses.barlow_twins import barlow_twins_loss
from keras_ssl.losses.byol import byol_loss
from keras_ssl.losses.cpc import infonce
from keras_ssl.losses.cplearn import cplearn_forward_loss, cplearn_loss, gedi_nogen_loss
from keras_ssl.losses.dbn import dbn_loss
from keras_ssl.losses.decoupled import decoupled_infonce
from keras_ssl.losses.simclr import nt_xent
from keras_ssl.losses.simmer import simmer_loss
from keras_ssl.losses.simsiam import simsiam_loss
from keras_ssl.losses.vicreg import vicreg_loss
from keras_ssl.losses.wmse import wmse_loss

INPUT_SHAPE = (8, 8, 3)
BATCH = 8
STEPS_PER_EPOCH = 3
NECK = {"num_simplices": 4, "simplex_size": 3, "temperature": 0.5, "target_temperature": 0.8}

# Small sizes for each method; every other hyper-parameter stays at its default.
METHODS = {
    "byol": {"hidden_dim": 16, "prediction_dim": 16, "projection_dim": 8},
    "simclr": {"hidden_dim": 16, "projection_dim": 8},
    "moco": {"hidden_dim": 16, "projection_dim": 8, "queue_size": 16},
    "swav": {
        "hidden_dim": 16,
        "projection_dim": 8,
        "num_prototypes": 12,
        "queue_size": 16,
        "queue_start_epoch": 1,
    },
    "dino": {
        "hidden_dim": 16,
        "bottleneck_dim": 8,
        "num_prototypes": 12,
        # Sharper ones put all images into one class before the center has moved: the loss is 0.
        "warmup_teacher_temperature": 0.4,
        "teacher_temperature": 0.5,
        "warmup_teacher_epochs": 4,
    },
    "self_classifier": {
        "num_classes": (6, 10),
        "hidden_dim": 16,
        "embedding_dim": 8,
        "queue_size": 16,
    },
    "simsiam": {"hidden_dim": 16, "projection_dim": 16, "prediction_dim": 8},
    "barlow_twins": {"hidden_dim": 16, "projection_dim": 8},
    "vicreg": {  # the weights of the paper over 25: they are large for the optimizer below
        "hidden_dim": 16,
        "projection_dim": 8,
        "invariance_weight": 1.0,
        "variance_weight": 1.0,
        "covariance_weight": 0.04,
    },
    "wmse": {"hidden_dim": 16, "projection_dim": 3, "whitening_size": 8},
    "dbn": {"hidden_dim": 16, "projection_dim": 8, "num_groups": 4},
    "simmer": {"hidden_dim": 16, "projection_dim": 8},
    "deepcluster": {
        "num_images": BATCH,
        "num_prototypes": (4, 3),
        "hidden_dim": 16,
        "projection_dim": 8,
    },
    "cplearn": {"num_codes": 32, "hidden_dim": 16, "batch_size": BATCH},
    "gedi_nogen": {"num_clusters": 6, "hidden_dim": 16, "temperature": 1.0},
    "gedi": {
        "num_clusters": 6,
        "hidden_dim": 16,
        "temperature": 1.0,
        "generative_weight": 0.1,
        "image_size": INPUT_SHAPE[0],
        "buffer_size": 16,
        "num_langevin_steps": 3,
    },
    "cpc": {"patch_size": 4, "num_steps": 2, "context_dim": 8, "context_blocks": 2},
}
# Variants of methods, as "method+variant": what differs from the settings above.
VARIANTS = {
    "simsiam+fixed": {"predictor_kind": "fixed"},
    "simsiam+regularized": {
        "predictor_kind": "none",
        "head_norm": "none",
        "variance_weight": 1.0,
        "covariance_weight": 0.04,
    },
    "byol+regularized": {"variance_weight": 1.0, "covariance_weight": 0.04},
    "vicreg+predictor": {"predictor_kind": "mlp", "hidden_norm": False},
    "vicreg+unshared": {"shared": "none"},
    "simclr+unshared": {"shared": "projector"},
    "simclr+no_head": {"num_layers": 0},
    "simclr+deep": {"num_layers": 3},
    "barlow_twins+unshared": {"shared": "none"},
    "moco+memory_bank": {"dictionary": "memory_bank", "num_images": 12},
    # In a shorter epoch classifiers that begin anew with each have no time to learn.
    "deepcluster+kmeans": {
        "clustering": "kmeans",
        "num_prototypes": (4,),
        "steps_per_epoch": 20,
    },
    "moco+end_to_end": {"dictionary": "end_to_end", "symmetric": True},
}
# Methods that find clusters, and how many at these sizes.
CLUSTERS = {
    "swav": 12,
    "dino": 12,
    "barlow_twins": 8,
    "self_classifier": 6,
    "deepcluster": 4,
    "cplearn": 32,
    "gedi_nogen": 6,
    "gedi": 6,
}
# Arguments of `add_neck` for a backbone of 8 features.
_SIZES = {"num_simplices": 4, "simplex_size": 3}
NECKS = {
    "sem": {"kind": "sem", **NECK},
    "sem_blocks": {"kind": "sem", **_SIZES, "num_blocks": 2},
    "sem_mlp": {"kind": "sem", **_SIZES, "embedder": "mlp"},
    "sem_mlp_plain": {"kind": "sem", **_SIZES, "embedder": "mlp", "embedder_norm": False},
    "sem_identity": {"kind": "sem", "num_simplices": 4, "simplex_size": 2, "embedder": "identity"},
    "embed": {"kind": "embed", **_SIZES},
    "embed_plain": {"kind": "embed", **_SIZES, "embedder_norm": False},
    "gumbel": {"kind": "gumbel", **_SIZES},
    "vq": {"kind": "vq", **_SIZES, "code_dim": 2},
    "vq_blocks": {"kind": "vq", **_SIZES, "code_dim": 2, "num_blocks": 4},
    "vq_identity": {"kind": "vq", **_SIZES, "code_dim": 2, "embedder": "identity"},
}

METHOD_NAMES = [prefix + name for name in METHODS for prefix in ("", "sem_")] + list(VARIANTS)
SLOW_NAMES = {f"sem_{name}" for name in METHODS} - {"sem_byol", "sem_simclr"}
# By default, variants with a network or a state that no method has without them.
SLOW_NAMES |= set(VARIANTS) - {"vicreg+unshared", "moco+memory_bank", "deepcluster+kmeans"}

# Layer, and the shape of an input without the batch.
LAYERS = {
    "batch_normalization": (lambda: BatchNormalization(), (6,)),
    "batch_normalization_images": (lambda: BatchNormalization(), (4, 4, 3)),
    "block_diagonal_dense": (lambda: BlockDiagonalDense(8, 2), (6,)),
    "simplicial_embedding": (lambda: SimplicialEmbedding(2, 3, 0.1), (6,)),
    "simplicial_codes": (lambda: SimplicialCodes(2, 3), (6,)),
    "sinkhorn": (lambda: Sinkhorn(), (6,)),
    "prototypes": (lambda: Prototypes(5), (6,)),
    "weight_normalized_prototypes": (lambda: WeightNormalizedPrototypes(5, True), (6,)),
    "l2_normalization": (lambda: L2Normalization(), (6,)),
    "centering": (lambda: Centering(), (6,)),
    "gumbel_bottleneck": (lambda: GumbelBottleneck(2, 3), (6,)),
    "vector_quantizer": (lambda: VectorQuantizer(2, 4), (6,)),
    "identity_bottleneck": (lambda: IdentityBottleneck(2, 3), (6,)),
    "tokens": (lambda: Tokens(3, 5), (2, 4, 6)),
    "self_attention": (lambda: SelfAttention(2), (5, 6)),
    "hyperdimensional_projection": (lambda: HyperdimensionalProjection(16), (6,)),
    "decorrelated_batch_normalization": (lambda: DecorrelatedBatchNormalization(2), (6,)),
    "pca_normalization": (lambda: DecorrelatedBatchNormalization(2, whitening="pca_cor"), (6,)),
}

# Loss, and how many (batch, dim) tensors it takes.
LOSSES = {
    "nt_xent": (nt_xent, 2),
    "byol_loss": (byol_loss, 4),
    "simsiam_loss": (simsiam_loss, 4),
    "barlow_twins_loss": (barlow_twins_loss, 2),
    "vicreg_loss": (vicreg_loss, 2),
    "decoupled_infonce": (decoupled_infonce, 2),
    "wmse_loss": (wmse_loss, 2),
    "dbn_loss": (dbn_loss, 2),
    "cplearn_loss": (cplearn_loss, 2),
    "cplearn_forward_loss": (cplearn_forward_loss, 2),
    "gedi_nogen_loss": (gedi_nogen_loss, 2),
    "infonce": (infonce, 2),
    "simmer_loss": (lambda *views: simmer_loss(ops.stack(views, axis=1)), 3),
}

OPTIMIZERS = {
    "lars": {"learning_rate": 0.1, "weight_decay": 1e-4, "trust_coefficient": 0.02},
    "sgd": {"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4},
    "adam": {"learning_rate": 1e-3, "weight_decay": 1e-2},
    "adamw": {"learning_rate": 1e-3, "weight_decay": 1e-2},
}


def method_of(name):
    """The method of a variant, such as "simsiam" of "simsiam+fixed"; of a method, itself."""
    return name.partition("+")[0]


def make_method(name, *, seed=0, optimizer="sgd", **compile_options):
    """A small compiled method with fixed initial weights."""
    keras.utils.set_random_seed(seed)
    neck = NECK if name.startswith("sem_") else None
    base = method_of(name)
    settings = {**METHODS[base.removeprefix("sem_")], **VARIANTS.get(name, {})}
    arguments = {"steps_per_epoch": STEPS_PER_EPOCH, **settings}
    method = keras_ssl.create(
        base, backbone="tiny", input_shape=INPUT_SHAPE, neck=neck, **arguments
    )
    options = dict(OPTIMIZERS[optimizer])
    accumulate = compile_options.pop("gradient_accumulation_steps", None)
    method.compile(
        optimizer=keras_ssl.OPTIMIZERS[optimizer](
            gradient_accumulation_steps=accumulate, **options
        ),
        **{"jit_compile": False, **compile_options},
    )
    return method


def make_views(method, count=None, *, seed=1):
    """A fixed batch of views: by default as many as the method takes at least."""
    count = method.num_views[0] if count is None else count
    views = {"global": keras.random.uniform((BATCH, count, *INPUT_SHAPE), seed=seed)}
    if method.needs_index:
        views["index"] = ops.arange(BATCH, dtype="int64")
    return views
