"""DBN and Shuffled-DBN: views are equal after decorrelating normalization of the projections."""

from typing import Literal

from keras_ssl.core.bounds import Count, Width
from keras_ssl.core.cures import LESS, MORE
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.core.replicas import all_gather, known_rows
from keras_ssl.core.serialization import register
from keras_ssl.core.telltales import ALIKE, Telltale
from keras_ssl.layers.norm import BatchNormalization
from keras_ssl.layers.whitening import (
    DecorrelatedBatchNormalization,
    groups_for,
    shuffled_whiten,
)
from keras_ssl.losses.dbn import dbn_loss
from keras_ssl.methods.base import Method
from keras_ssl.ops.random import permutation

# In float32: what is decorrelated to half precision is not decorrelated.
_OPTIONS = {"name": "norm_out", "dtype": "float32"}
# Groups and the name of a whitening -> the layer.
VARIANTS = {
    "plain": lambda *_: BatchNormalization(center=False, scale=False, **_OPTIONS),
    "zca": lambda groups, _: DecorrelatedBatchNormalization(groups, **_OPTIONS),
    "fixed": lambda groups, whitening: DecorrelatedBatchNormalization(
        groups, whitening=whitening, **_OPTIONS
    ),
    "shuffled": lambda *_: None,  # keeps nothing from step to step, see `DBN._shuffled`
    "iterative": lambda groups, _: DecorrelatedBatchNormalization(groups, iterations=5, **_OPTIONS),
}
_CHOOSES_WHITENING = ("fixed", "shuffled")


@register
class DBN(Method):
    """Feature decorrelation: normalized projections of two views differ as little as possible.

    The normalization is all that prevents collapse: standard deviations of 1 prevent a constant,
    and no correlations prevent a few dimensions that all features repeat.

    Loss: mean |n(z) - n(z')|^2, n the normalization (sec. 4).

    Args:
        variant: "plain", "zca", "fixed", "shuffled" or "iterative". Batch normalization; ZCA of
            fixed groups of features (DBN); `whitening` of fixed groups; of groups that are drawn
            anew for every view at every step (Shuffled-DBN); ZCA of fixed groups by Newton's
            iteration (IterNorm).
        whitening: "cholesky", "pca", "pca_cor", "zca" or "zca_cor" (Kessy et al., 2018, table 1),
            for the variants "fixed" and "shuffled". By principal components ("pca", "pca_cor") the
            entries of the two views change places, and gradients grow near equal eigenvalues
            (Huang et al., 2018, sec. 3.1): for comparison alone.
        num_groups: int > 0. Groups of features; must divide `projection_dim`. A group should have
            at most half as many features as the batch has images. "plain" has none.
        hidden_dim: int > 0. Width of the projector's hidden layer.
        projection_dim: int > 0. Width of the space that is decorrelated.

    Raises:
        UserError: for an unknown variant, a whitening that the variant does not choose, or groups
            that do not divide the features or are too large for the batch.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> method = DBN(encoder, variant="zca", num_groups=2, hidden_dim=16, projection_dim=4)
    >>> views = {"global": keras.random.normal((4, 2, 8, 8, 1), seed=1)}
    >>> [z.shape for z in method.embed(views, training=True)]
    [TensorShape([4, 4]), TensorShape([4, 4])]

    Reference: Hua et al., On feature decorrelation in self-supervised learning, 2021, sec. 4.
    """

    terms = ("dbn",)
    cures = {
        "representation": (("method.variant", "shuffled"), ("optimizer.learning_rate", LESS)),
        "dimensional": (("method.variant", "shuffled"), ("training.batch_size", MORE)),  # sec. 4.3
    }
    takes_eigenvalues = True

    def __init__(
        self,
        encoder,
        *,
        variant: Literal["plain", "zca", "fixed", "shuffled", "iterative"] = "shuffled",  # sec. 4.3
        whitening: Literal["cholesky", "pca", "pca_cor", "zca", "zca_cor"] = "zca",  # sec. 4
        num_groups: Count = 16,  # authors' code, for CIFAR with a batch of 64
        hidden_dim: Width = 1024,  # authors' code
        projection_dim: Width = 512,  # authors' code
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.variant = variant
        self.whitening = whitening
        self.num_groups = num_groups
        self.hidden_dim = hidden_dim
        self.projection_dim = projection_dim
        self.projector = self.head((hidden_dim, projection_dim), name="projector")
        self.norm = lookup(VARIANTS, variant, "DBN variant")(num_groups, whitening)
        if whitening != "zca" and variant not in _CHOOSES_WHITENING:
            raise UserError(
                f"variant='{variant}' has a whitening of its own. Received "
                f"whitening='{whitening}': take variant='fixed' or 'shuffled' for it."
            )
        if self.norm is not None:
            self.norm.build((None, projection_dim))

    def embed(self, views, training):
        projections = [all_gather(z) for z in super().embed(views, training)]
        self.check_batch(known_rows(projections[0]))
        if self.norm is None:
            return [self._shuffled(z, view) for view, z in enumerate(projections)]
        return [self.norm(z, training=training) for z in projections]

    def telltales(self):
        tolerance = 0.005 * self.projection_dim  # whitened features have the variance 1
        return [*super().telltales(), Telltale("dbn", 0.0, ALIKE, tolerance=tolerance)]

    def loss_terms(self, outputs):
        return {"dbn": dbn_loss(*outputs)}

    def _shuffled(self, projection, view):
        order = permutation(self.projection_dim, self.seed, 2 * self.step + view)
        return shuffled_whiten(projection, order, self.num_groups, whitening=self.whitening)

    def check_batch(self, size):
        dim, groups = self.projection_dim, self.num_groups
        if self.variant != "plain" and dim // groups >= size:
            raise UserError(
                f"A batch of {size} images cannot decorrelate groups of {dim // groups} features "
                f"(projection_dim={dim}, num_groups={groups}): take num_groups="
                f"{groups_for(dim, size)} or a larger batch."
            )
