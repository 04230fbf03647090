"""CPC: read the patches of an image from the top, and predict those below."""

import keras
from keras import layers, ops

from keras_ssl.core.bounds import Few, PixelsOrZero, Width
from keras_ssl.core.errors import UserError
from keras_ssl.core.replicas import all_gather, num_replicas
from keras_ssl.core.serialization import register
from keras_ssl.layers.patches import patch_grid, row_context
from keras_ssl.losses.cpc import row_prediction_loss
from keras_ssl.methods.base import Method
from keras_ssl.ops.information import mutual_information_bound


@register
class CPC(Method):
    """Contrastive predictive coding: guess the features of patches from those of the rows above.

    One view is cut into a grid of half-overlapping patches, and each goes through the encoder on
    its own. A context network reads the grid row by row; one linear map for every distance down
    predicts the features there, among all patches of the global batch. The encoder is used on
    whole images afterwards.

    Loss: -log(exp(z.W_k c) / sum_j exp(z_j.W_k c)), c the context k rows above the patch of z, the
    z_j all patches there (eq. 4).

    Args:
        patch_size: int >= 0. Pixels of a patch's side, even; 0 for about a quarter of the image's
            side, which makes a grid of 7x7.
        num_steps: int > 0. Rows below that are predicted; less than the grid has.
        context_dim: int > 0. Channels inside of the context network.
        context_blocks: int > 0. Blocks of the context network; each sees one row farther up.

    Raises:
        UserError: for an odd patch size.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (16, 16, 1))
    >>> method = CPC(encoder, patch_size=8, num_steps=2, context_dim=4, context_blocks=1)
    >>> views = {"global": keras.random.normal((4, 1, 32, 32, 1), seed=1)}
    >>> terms = method.loss_terms(method.embed(views, training=True))
    >>> bool(terms["cpc"] > 0)
    True

    Reference: van den Oord, Li and Vinyals, Representation learning with contrastive predictive
    coding, 2018, eq. 4 and sec. 3.3.
    """

    terms = ("cpc",)
    diagnostic_names = ("mutual_information_bound",)
    num_views = (1, 1)

    def __init__(
        self,
        encoder,
        *,
        patch_size: PixelsOrZero = 0,  # sec. 3.3: 64 of 256
        num_steps: Few = 5,  # sec. 3.3
        context_dim: Width = 256,  # Henaff et al., 2020, as the next one
        context_blocks: Few = 5,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.patch_size = patch_size
        self.num_steps = num_steps
        self.context_dim = context_dim
        self.context_blocks = context_blocks
        if patch_size % 2:
            raise UserError(
                f"Patches overlap by half, so their side is even. Received patch_size={patch_size}:"
                f" try {patch_size + 1}."
            )
        dim = encoder.output_shape[-1]
        self.context = row_context(
            dim, width=context_dim, num_blocks=context_blocks, dtype=self.dtype_policy
        )
        self.predictors = [
            layers.Dense(
                dim,
                use_bias=False,
                # All candidates equal at first: products of many features are far apart.
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.1 / dim),
                name=f"predictor{k}",
                dtype=self.dtype_policy,
            )
            for k in range(1, num_steps + 1)
        ]
        for predictor in self.predictors:
            predictor.build((None, None, None, dim))

    def embed(self, views, training):
        images = views["global"]
        patches = patch_grid(images[:, 0], self._patch_size(min(images.shape[2:4])))
        _, rows, columns, *shape = patches.shape
        self._check_rows(rows)
        features = self._run(self.encoder, ops.reshape(patches, (-1, *shape)), training)
        latents = ops.reshape(features, (-1, rows, columns, features.shape[-1]))
        context = self.context(latents, training=training)
        return {"latents": latents, "predictions": [each(context) for each in self.predictors]}

    def loss_terms(self, outputs):
        predictions = [all_gather(each) for each in outputs["predictions"]]
        return {"cpc": row_prediction_loss(predictions, all_gather(outputs["latents"]))}

    def diagnostics(self, outputs, terms=None):
        """`log N - L`, the mean over the distances down; N is the patches of the global batch."""
        batch, rows, columns, _ = ops.shape(outputs["latents"])
        candidates = batch * rows * columns * num_replicas()
        loss = (terms or self.loss_terms(outputs))["cpc"]
        bound = mutual_information_bound(loss, candidates)
        return {"mutual_information_bound": bound}

    def _patch_size(self, side):
        return self.patch_size or 2 * max(1, side // 8)

    def _check_rows(self, rows):
        if rows <= self.num_steps:
            raise UserError(
                f"num_steps={self.num_steps} needs {self.num_steps + 1} rows of patches; there are "
                f"{rows}. Set method.num_steps to {max(1, rows - 1)} or method.patch_size to less."
            )
