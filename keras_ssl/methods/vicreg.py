"""VICReg: agree between views, vary over the batch, decorrelate the features."""

from keras_ssl.core.bounds import Weight, Width
from keras_ssl.core.errors import UserError
from keras_ssl.core.replicas import all_gather
from keras_ssl.core.serialization import register
from keras_ssl.losses.vicreg import vicreg_terms
from keras_ssl.methods.base import Method


@register
class VICReg(Method):
    """Invariance, variance and covariance, each a term of its own.

    Every view is kept from collapsing by itself, without normalization of the projections. Of more
    than two views the loss is averaged over the pairs.

    Loss: lambda s(Z, Z') + mu (v(Z) + v(Z')) / 2 + nu (c(Z) + c(Z')), s the mean squared
    difference, v the mean of max(0, 1 - std), c the squared covariances (eqs. 1 to 6).

    Args:
        invariance_weight: float >= 0. Of the mean squared difference of two views, the paper's
            lambda.
        variance_weight: float >= 0. Of the hinge that keeps standard deviations at 1, averaged
            over two views; the paper's mu. solo-learn's weight is for the sum: twice this.
        covariance_weight: float >= 0. Of the covariances between different features, the paper's
            nu.
        hidden_dim: int > 0. Width of the expander's two hidden layers.
        projection_dim: int > 0. Width of the projections; the paper's 8192 is in its ImageNet
            recipe.

    Raises:
        UserError: if all three weights are 0.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> method = VICReg(encoder, hidden_dim=16, projection_dim=8)
    >>> views = {"global": keras.random.normal((4, 2, 8, 8, 1), seed=1)}
    >>> terms = method.loss_terms(method.embed(views, training=True))
    >>> list(terms)
    ['invariance', 'variance', 'covariance']

    Reference: Bardes et al., VICReg, 2022, eqs. 1 to 6, with the scales of the authors' code.
    """

    terms = ("invariance", "variance", "covariance")
    num_views = (2, None)

    def __init__(
        self,
        encoder,
        *,
        invariance_weight: Weight = 25.0,  # sec. 4.2
        variance_weight: Weight = 25.0,  # sec. 4.2
        covariance_weight: Weight = 1.0,  # sec. 4.2
        hidden_dim: Width = 2048,  # solo-learn on CIFAR; sec. 4.2: 8192
        projection_dim: Width = 2048,  # likewise
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        if not any((invariance_weight, variance_weight, covariance_weight)):
            raise UserError("VICReg learns nothing if all three weights are 0: set one above 0.")
        self.invariance_weight = invariance_weight
        self.variance_weight = variance_weight
        self.covariance_weight = covariance_weight
        self.hidden_dim = hidden_dim
        self.projection_dim = projection_dim
        self.projector = self.head(
            (hidden_dim, hidden_dim, projection_dim), name="projector", output_bias=False
        )

    def loss_terms(self, outputs):
        invariance, variance, covariance = vicreg_terms(*map(all_gather, outputs))
        return {
            "invariance": self.invariance_weight * invariance,
            "variance": self.variance_weight * variance,
            "covariance": self.covariance_weight * covariance,
        }
