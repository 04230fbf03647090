"""BYOL: predict what a slowly moving copy of the network says of the other view."""

from keras_ssl.core.bounds import Share, Width
from keras_ssl.core.cures import MORE, OF_PREDICTOR
from keras_ssl.core.serialization import register
from keras_ssl.core.telltales import ALIKE, Telltale
from keras_ssl.losses.byol import multi_crop_byol_loss
from keras_ssl.methods.regularized import Regularized


@register
class BYOL(Regularized):
    """Bootstrap: an online network predicts its own moving average's projection of another view.

    There are no negatives; the predictor and the slow target keep the representation from
    collapsing to a constant. The target starts as a copy of the online network. Local crops predict
    the targets of the global views.

    Loss: 2 - 2 cos(p, z'), p the prediction from one view and z' the target of another, summed over
    both orders (eq. 2).

    Args:
        momentum: float in [0, 1], or a schedule step -> momentum. Share of the target that stays
            at each update; larger is slower.
        hidden_dim: int > 0. Width of the projector's hidden layer.
        prediction_dim: int > 0. Width of the predictor's hidden layer, if there is one.
        projection_dim: int > 0. Width of projections and predictions.
        use_predictor: bool. Whether a predictor comes between projection and target. False is the
            paper's ablation: the projections themselves are compared with the targets, and the
            representation collapses (table 5b).
        variance_weight: float >= 0. Of VICReg's variance term on the online projections; 0 for
            none (VICReg, table 4).
        covariance_weight: float >= 0. Of VICReg's covariance term on the same.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> method = BYOL(encoder, hidden_dim=16, prediction_dim=16, projection_dim=8)
    >>> views = {"global": keras.random.normal((4, 2, 8, 8, 1), seed=1)}
    >>> terms = method.loss_terms(method.embed(views, training=True))
    >>> 0 <= float(terms["byol"]) <= 8
    True

    Reference: Grill et al., Bootstrap your own latent, 2020, eqs. 1 and 2.
    """

    terms = ("byol",)
    cures = {
        "representation": (
            ("method.use_predictor", True),  # table 5b
            ("optimizer.constant_lr", OF_PREDICTOR),
            ("method.momentum", MORE),  # table 5a
            ("method.variance_weight", MORE),
        ),
        "dimensional": (("method.use_predictor", True), ("method.covariance_weight", MORE)),
    }
    multi_crop = True

    def __init__(
        self,
        encoder,
        *,
        momentum: Share = 0.996,  # sec. 3.2
        hidden_dim: Width = 4096,  # sec. 3.2
        prediction_dim: Width = 4096,  # sec. 3.2
        projection_dim: Width = 256,  # sec. 3.2
        use_predictor: bool = True,  # sec. 3.1; False in table 5b
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.momentum = momentum
        self.hidden_dim = hidden_dim
        self.prediction_dim = prediction_dim
        self.projection_dim = projection_dim
        self.use_predictor = use_predictor
        self.projector = self.head((hidden_dim, projection_dim), name="projector")
        if use_predictor:
            self.predictor = self.head(
                (prediction_dim, projection_dim), name="predictor", input_dim=projection_dim
            )
        self.target_encoder = self.add_target(self.encoder)
        self.target_projector = self.add_target(self.projector)

    def embed(self, views, training):
        features = self.encode(views, training=training)
        features += self.encode_local(views, training=training)
        projections = [self.projector(f, training=training) for f in features]
        predictions = projections
        if self.use_predictor:
            predictions = [self.predictor(z, training=training) for z in projections]
        targets = self.encode(views, self.target_encoder, training=training)
        return {
            "projections": projections[: len(targets)],
            "predictions": predictions,
            "targets": [self.target_projector(f, training=training) for f in targets],
        }

    def telltales(self):
        return [*super().telltales(), Telltale("byol", 0.0, ALIKE, tolerance=0.02)]

    def loss_terms(self, outputs):
        loss = multi_crop_byol_loss(outputs["predictions"], outputs["targets"])
        return {"byol": loss, **self.regularize(outputs)}
