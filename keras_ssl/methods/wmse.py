"""W-MSE: views of an image agree after whitening, which alone keeps them from collapsing."""

from typing import Literal

from keras_ssl.core.bounds import Few, TwoOrMore, Width
from keras_ssl.core.cures import MORE, WEAKER
from keras_ssl.core.errors import UserError
from keras_ssl.core.replicas import all_gather, known_rows
from keras_ssl.core.serialization import register
from keras_ssl.core.telltales import Telltale
from keras_ssl.layers.whitening import whiten_sub_batches
from keras_ssl.losses.wmse import wmse_loss
from keras_ssl.methods.base import Method
from keras_ssl.ops.random import permutation


@register
class WMSE(Method):
    """Whitening mean squared error: compare views whose features are white over sub-batches.

    The global batch is split at random, anew at every step and in the same way for all views; each
    part of a view is whitened by its own covariance. Both views of a pair learn. Of more than two
    views the loss is averaged over the pairs.

    Loss: 2 - 2 cos(v, v'), v = L^-1 (z - mean) and L L^T the covariance of the sub-batch (eqs. 1 to
    5), or another whitening of z.

    Args:
        whitening_size: int > 1. Images of a sub-batch: more than `projection_dim`, better twice as
            many; it must divide the batch size.
        whitening: "cholesky", "pca", "pca_cor", "zca" or "zca_cor" (Kessy et al., 2018, table 1).
            By principal components ("pca", "pca_cor") the entries of the views change places, and
            gradients grow near equal eigenvalues: for comparison alone.
        num_splits: int > 0. Random splits of a batch over which the loss is averaged.
        hidden_dim: int > 0. Width of the projector's hidden layer.
        projection_dim: int > 0. Width of the space that is whitened.

    Raises:
        UserError: if a sub-batch has too few images, or they do not divide the batch.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> method = WMSE(encoder, whitening_size=4, hidden_dim=16, projection_dim=2)
    >>> views = {"global": keras.random.normal((4, 2, 8, 8, 1), seed=1)}
    >>> terms = method.loss_terms(method.embed(views, training=True))
    >>> 0 <= float(terms["wmse"]) <= 4
    True

    Reference: Ermolov et al., Whitening for self-supervised representation learning, 2021, eqs. 1
    to 5; `num_splits` is `w_iter` in the authors' code.
    """

    terms = ("wmse",)
    num_views = (2, None)
    cures = {
        # Of few images the covariance is a poor one: twice `projection_dim` at least.
        "dimensional": (("method.whitening_size", MORE), ("training.batch_size", MORE)),
        "undecided": (("augment.policy", WEAKER), ("method.whitening_size", MORE)),
    }

    def __init__(
        self,
        encoder,
        *,
        whitening_size: TwoOrMore = 128,  # sec. 4.1, for CIFAR
        whitening: Literal["cholesky", "pca", "pca_cor", "zca", "zca_cor"] = "cholesky",  # sec. 3
        num_splits: Few = 1,  # authors' code, for CIFAR
        hidden_dim: Width = 1024,  # sec. 4.1
        projection_dim: Width = 64,  # sec. 4.1, for CIFAR
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if whitening_size <= projection_dim:
            raise UserError(
                f"whitening_size={whitening_size} images cannot whiten projection_dim="
                f"{projection_dim} features: take {2 * projection_dim} images or fewer features."
            )
        self.whitening_size = whitening_size
        self.whitening = whitening
        self.num_splits = num_splits
        self.hidden_dim = hidden_dim
        self.projection_dim = projection_dim
        self.projector = self.head((hidden_dim, projection_dim), name="projector")

    def telltales(self):
        text = "what whitening leaves of two views of an image has nothing in common"
        return [*super().telltales(), Telltale("wmse", 2.0, text, "undecided", tolerance=0.02)]

    def loss_terms(self, outputs):
        views = [all_gather(projection) for projection in outputs]
        self.check_batch(known_rows(views[0]))
        splits = range(self.num_splits)
        return {"wmse": sum(self._loss(views, split) for split in splits) / self.num_splits}

    def _loss(self, views, split):
        order = permutation(views[0].shape[0], self.seed, self.step * self.num_splits + split)
        options = {"size": self.whitening_size, "whitening": self.whitening}
        return wmse_loss(*(whiten_sub_batches(z, order, **options) for z in views))

    @classmethod
    def takes_eigenvalues_with(cls, settings):
        return settings.get("whitening", "cholesky") != "cholesky"

    def check_batch(self, size):
        part = self.whitening_size
        if size % part:
            raise UserError(
                f"A batch of {size} images does not divide into sub-batches of whitening_size="
                f"{part}: take a batch size of {size - size % part or part}, or a whitening_size "
                f"above projection_dim={self.projection_dim} that divides {size}."
            )
