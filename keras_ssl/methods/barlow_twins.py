"""Barlow Twins: features that agree between views and repeat nothing of one another."""

from keras_ssl.core.bounds import PositiveWeight, Weight, Width
from keras_ssl.core.cures import LESS, MORE
from keras_ssl.core.replicas import all_gather
from keras_ssl.core.serialization import register
from keras_ssl.core.telltales import ALIKE, Telltale
from keras_ssl.losses.barlow_twins import barlow_twins_terms
from keras_ssl.methods.branches import TwoBranches
from keras_ssl.ops.precision import at_least_float32


@register
class BarlowTwins(TwoBranches):
    """Redundancy reduction: the correlation of two views' features comes close to the identity.

    It needs neither negatives nor asymmetry, and gains from wide projections. Of more than two
    views the loss is averaged over the pairs.

    Loss: sum_i (1 - C_ii)^2 + lambda sum_{i != j} C_ij^2, C the correlations between the features
    of two views (eq. 1).

    Args:
        redundancy_weight: float >= 0. Weight of the correlations between different features,
            the paper's lambda.
        loss_scale: float > 0. Multiplies the loss, which grows with `projection_dim`.
        hidden_dim: int > 0. Width of the projector's two hidden layers.
        projection_dim: int > 0. Width of the projections; the paper's 8192 is in its ImageNet
            recipe.
        shared: "both", "projector" or "none". What the branches of view 1 and of the others have
            in common; "none" is DW in table 5 of VICReg. View 1's encoder is evaluated.
        second_encoder: built functional `keras.Model` or None. Of the second branch; by default
            like the first, with weights of its own.

    Raises:
        UserError: for a second encoder that does not fit `shared`.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> method = BarlowTwins(encoder, hidden_dim=16, projection_dim=8)
    >>> views = {"global": keras.random.normal((4, 2, 8, 8, 1), seed=1)}
    >>> terms = method.loss_terms(method.embed(views, training=True))
    >>> list(terms)
    ['invariance', 'redundancy']

    Reference: Zbontar et al., Barlow Twins, 2021, eqs. 1 and 2; the projector is that of the
    authors' code, without biases.
    """

    terms = ("invariance", "redundancy")
    num_views = (2, None)
    second_view_temperature = True
    cluster_head = "projection"
    asks_for_clusters = False
    cures = {
        "representation": (("method.redundancy_weight", LESS), ("optimizer.learning_rate", LESS)),
        "dimensional": (("method.redundancy_weight", MORE),),
    }

    def __init__(
        self,
        encoder,
        *,
        redundancy_weight: Weight = 0.0051,  # sec. 2.2; 5e-3 in the text
        loss_scale: PositiveWeight = 1.0,  # eq. 1
        hidden_dim: Width = 2048,  # solo-learn on CIFAR; sec. 2.2: 8192
        projection_dim: Width = 2048,  # likewise
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.redundancy_weight = redundancy_weight
        self.loss_scale = loss_scale
        self.hidden_dim = hidden_dim
        self.projection_dim = projection_dim
        self.projector_head(
            (hidden_dim, hidden_dim, projection_dim), hidden_bias=False, output_bias=False
        )

    def telltales(self):
        constant = self.loss_scale * self.projection_dim
        alike = Telltale("invariance", constant, ALIKE, tolerance=0.01 * constant)
        return [*super().telltales(), alike]

    def loss_terms(self, outputs):
        invariance, redundancy = barlow_twins_terms(*map(all_gather, outputs))
        return {
            "invariance": self.loss_scale * invariance,
            "redundancy": self.loss_scale * self.redundancy_weight * redundancy,
        }

    def cluster_scores(self, images):
        """The projection, of which CPLearn's tables take the largest entry for the cluster.

        The loss asks for no clusters, and `projection_dim` of them are many.
        """
        features = self.encoder(images, training=False)
        return at_least_float32(self.projector(features, training=False))
