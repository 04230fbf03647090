"""VICReg: agree between views, vary over the batch, decorrelate the features."""

from typing import Literal

from keras_ssl.core.bounds import Weight, Width
from keras_ssl.core.cures import MORE
from keras_ssl.core.errors import UserError
from keras_ssl.core.replicas import all_gather
from keras_ssl.core.serialization import register
from keras_ssl.core.telltales import ALIKE, Telltale
from keras_ssl.losses.vicreg import prediction_invariance, spread_terms, vicreg_terms
from keras_ssl.methods.branches import TwoBranches


@register
class VICReg(TwoBranches):
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
        predictor_kind: "none" or "mlp". With a predictor, of one hidden layer as wide as the
            expander's, the invariance is that of every projection and what the other view's
            predicts of it, with gradients to both (table 4; the predictor's widths are not
            printed). With shared="none" each branch has a predictor of its own.
        hidden_norm: bool. Batch normalization after hidden layers of expander and predictor (BN
            in table 4).
        shared: "both", "projector" or "none". What the branches of view 1 and of the others have
            in common; "none" is DW in table 5. View 1's encoder is the one that is evaluated.
        second_encoder: built functional `keras.Model` or None. Of the second branch, DA in
            table 5; by default like the first, with weights of its own.

    Raises:
        UserError: if all three weights are 0; for a second encoder that does not fit `shared`.

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
    compares = "values"
    cures = {
        "representation": (("method.variance_weight", MORE),),  # table 7
        "dimensional": (("method.covariance_weight", MORE),),
    }

    def __init__(
        self,
        encoder,
        *,
        invariance_weight: Weight = 25.0,  # sec. 4.2
        variance_weight: Weight = 25.0,  # sec. 4.2
        covariance_weight: Weight = 1.0,  # sec. 4.2
        hidden_dim: Width = 2048,  # solo-learn on CIFAR; sec. 4.2: 8192
        projection_dim: Width = 2048,  # likewise
        predictor_kind: Literal["none", "mlp"] = "none",  # sec. 5.2
        hidden_norm: bool = True,  # sec. 4.2
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
        self.predictor_kind = predictor_kind
        self.hidden_norm = hidden_norm
        self.projector_head(
            (hidden_dim, hidden_dim, projection_dim), output_bias=False, hidden_norm=hidden_norm
        )
        if predictor_kind == "mlp":
            self.predictor = self._predictor_head("predictor")
            if self.shared == "none":
                self.second_predictor = self._predictor_head("second_predictor")

    def _predictor_head(self, name):
        return self.head(
            (self.hidden_dim, self.projection_dim),
            name=name,
            input_dim=self.projection_dim,
            hidden_norm=self.hidden_norm,
        )

    def embed(self, views, training):
        projections = super().embed(views, training)
        if self.predictor_kind == "none":
            return projections
        second = self.second_predictor if self.shared == "none" else self.predictor
        predictors = [self.predictor] + [second] * (len(projections) - 1)
        predict = zip(predictors, projections, strict=True)
        return projections + [predictor(z, training=training) for predictor, z in predict]

    def telltales(self):
        constant = 0.99 * self.variance_weight  # `variance_hinge` of constant outputs
        no_variance = Telltale("variance", constant, ALIKE, tolerance=0.01 * constant)
        tolerance = 1e-3 * self.invariance_weight
        no_distance = Telltale("invariance", 0.0, ALIKE, tolerance=tolerance)
        return [*super().telltales(), no_distance, *([no_variance] if constant else [])]

    def loss_terms(self, outputs):
        outputs = [all_gather(output) for output in outputs]
        if self.predictor_kind == "none":
            invariance, variance, covariance = vicreg_terms(*outputs)
        else:
            views = len(outputs) // 2
            invariance = prediction_invariance(outputs[:views], outputs[views:])
            variance, covariance = spread_terms(*outputs[:views])
        return {
            "invariance": self.invariance_weight * invariance,
            "variance": self.variance_weight * variance,
            "covariance": self.covariance_weight * covariance,
        }
