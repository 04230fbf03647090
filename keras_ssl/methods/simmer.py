"""SimMER: agreement of many views, with entropy and rank of their means against collapse."""

from typing import Annotated, Literal

from keras import ops

from keras_ssl.core.bounds import Between, Weight, Width
from keras_ssl.core.cures import MORE
from keras_ssl.core.replicas import all_gather, known_rows
from keras_ssl.core.serialization import register
from keras_ssl.core.telltales import ALIKE, Telltale
from keras_ssl.losses.simmer import entropy_loss, rank_loss, total_variance, view_means
from keras_ssl.methods.base import Method


@register
class SimMER(Method):
    """Simple maximization of entropy and rank, for any number of views of an image.

    The views of an image come close to their mean, the means of a batch away from their nearest
    neighbors and, as the rows of a matrix, to full rank. Nothing else prevents collapse: with both
    weights 0 the representations become constant. The projector's last layer has no bias: the
    nuclear norm would grow with a shift of all rows, without end.

    Loss: mean |z - m|^2 - alpha_H mean log |m - nearest other m| - alpha_R |M|_*, m the mean of an
    image's views, M all of them, |M|_* its nuclear norm (eqs. 2, 5 and 8 to 15).

    Args:
        alpha_entropy: float >= 0. Weight of the entropy of the means. In balance the total variance
            is about half of it: the weight sets the scale of the representations.
        alpha_rank: float >= 0. Weight of the rank term; the paper takes ten times this with the
            terms other than "r2".
        rank: "r1", "r2", "r3" or "r4". The smallest singular value; the nuclear norm, which grows
            with the batch size; the nuclear norm by the spectral or by the Frobenius norm.
        rank_bias: bool. Whether a column of ones belongs to the matrix.
        hidden_dim: int > 0. Width of the projector's hidden layers.
        projection_dim: int > 0. Width of the representations that are compared.
        num_layers: int > 1. Layers of the projector; the paper has 2 for a ResNet-18, 3 for a
            ResNet-50.
        output_norm: "none" or "plain". Whether the projector ends in batch normalization without
            scale and offset. Sec. 3.1 has it either way: the projector "follows the implementation
            of SimSiam", which ends in one, and "we do not apply any normalization".

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> method = SimMER(encoder, hidden_dim=16, projection_dim=8)
    >>> views = {"global": keras.random.normal((4, 2, 8, 8, 1), seed=1)}
    >>> terms = method.loss_terms(method.embed(views, training=True))
    >>> list(terms)
    ['total_variance', 'entropy', 'rank']

    Reference: SimMER: simple maximization of entropy and rank, anonymous, eqs. 2, 5 and 8 to 15.
    """

    terms = ("total_variance", "entropy", "rank")
    num_views = (2, None)
    compares = "values"
    cures = {
        "representation": (("method.alpha_entropy", MORE), ("method.alpha_rank", MORE)),  # table 4
        "dimensional": (("method.alpha_rank", MORE),),
    }
    takes_eigenvalues = True

    def __init__(
        self,
        encoder,
        *,
        alpha_entropy: Weight = 0.1,  # sec. 3.1
        alpha_rank: Weight = 2e-4,  # sec. 3.1
        rank: Literal["r1", "r2", "r3", "r4"] = "r2",  # sec. 2.3
        rank_bias: bool = False,  # sec. 3.5.2
        hidden_dim: Width = 2048,  # SimSiam's, sec. 3.1
        projection_dim: Width = 2048,  # SimSiam's, sec. 3.1
        num_layers: Annotated[int, Between(2, 100)] = 3,  # sec. 3.1
        output_norm: Literal["none", "plain"] = "none",  # sec. 3.1, one reading
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.alpha_entropy = alpha_entropy
        self.alpha_rank = alpha_rank
        self.rank = rank
        self.rank_bias = rank_bias
        self.hidden_dim = hidden_dim
        self.projection_dim = projection_dim
        self.num_layers = num_layers
        self.output_norm = output_norm
        self.projector = self.head(
            (hidden_dim,) * (num_layers - 1) + (projection_dim,),
            name="projector",
            hidden_bias=False,
            output_bias=False,
            output_norm=None if output_norm == "none" else output_norm,
        )

    def embed(self, views, training):
        return ops.stack(super().embed(views, training), axis=1)

    def telltales(self):
        tolerance = 5e-4 * self.projection_dim
        alike = Telltale("total_variance", 0.0, ALIKE, tolerance=tolerance)
        return [*super().telltales(), alike]

    def loss_terms(self, outputs):
        known_rows(outputs)  # the number of singular values follows from it
        views = all_gather(outputs)  # (global batch, views, dim)
        means = view_means(views)
        rank = rank_loss(means, rank_term=self.rank, bias=self.rank_bias)
        return {
            "total_variance": total_variance(views),
            "entropy": self.alpha_entropy * entropy_loss(means),
            "rank": self.alpha_rank * rank,
        }
