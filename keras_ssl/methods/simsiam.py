"""SimSiam: BYOL without the moving average; the stop-gradient alone prevents collapse."""

from typing import Annotated, Literal

from keras_ssl.core.bounds import Between, Width
from keras_ssl.core.cures import MORE, OF_PREDICTOR
from keras_ssl.core.errors import lookup
from keras_ssl.core.serialization import register
from keras_ssl.core.telltales import ALIKE, Telltale
from keras_ssl.layers.target import freeze
from keras_ssl.losses.simsiam import multi_crop_simsiam_loss
from keras_ssl.methods.regularized import Regularized

# Whether there is batch normalization after (hidden layers, the projector's output, the
# predictor's output): Chen and He, 2021, table 3.
HEAD_NORMS = {
    "none": (False, False, False),
    "hidden": (True, False, False),
    "default": (True, True, False),
    "all": (True, True, True),
}


@register
class SimSiam(Regularized):
    """Siamese learning: a predictor maps one view's projection to the other's, held constant.

    It needs neither negatives nor a momentum copy nor large batches. Its recipes keep the
    predictor's learning rate constant (`optimizer.constant_lr_layers`). Local crops predict the
    projections of the global views.

    Loss: -(cos(p1, z2) + cos(p2, z1)) / 2, p the predictions, z held constant (eqs. 1 and 2).

    Args:
        projection_dim: int > 0. Width of the projector's output.
        hidden_dim: int > 0. Width of the projector's hidden layers.
        prediction_dim: int > 0. Width of the predictor's bottleneck.
        num_layers: int > 1. Layers of the projector; 3 on ImageNet, 2 on CIFAR.
        stop_gradient: bool. Whether the projections are held constant. False is the paper's
            ablation: the loss reaches its minimum by ignoring the images (fig. 2).
        predictor_kind: "mlp", "none" or "fixed". Without a predictor the projections themselves are
            compared; a fixed one keeps its random weights, though it normalizes by the batch.
            Neither learns anything (table 1, a and b).
        head_norm: "none", "hidden", "default" or "all". Where the heads normalize by the batch:
            nowhere; after hidden layers; after the projector's output too; after the predictor's
            output too (table 3, a to d).
        variance_weight: float >= 0. Of VICReg's variance term on the projections of the global
            views; 0 for none (VICReg, table 4).
        covariance_weight: float >= 0. Of VICReg's covariance term on the same.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> method = SimSiam(encoder, hidden_dim=16, projection_dim=8, prediction_dim=4)
    >>> views = {"global": keras.random.normal((4, 2, 8, 8, 1), seed=1)}
    >>> terms = method.loss_terms(method.embed(views, training=True))
    >>> -1 <= float(terms["simsiam"]) <= 1
    True

    Reference: Chen and He, Exploring simple Siamese representation learning, 2021, eqs. 1 and 2.
    """

    terms = ("simsiam",)
    cures = {
        "representation": (
            ("method.stop_gradient", True),  # sec. 4.1
            ("method.predictor_kind", "mlp"),  # sec. 4.2
            ("optimizer.constant_lr", OF_PREDICTOR),
            ("method.covariance_weight", MORE),  # the terms of Bardes et al., 2022, table 4
        ),
        "dimensional": (("method.stop_gradient", True), ("method.covariance_weight", MORE)),
    }
    multi_crop = True

    def __init__(
        self,
        encoder,
        *,
        projection_dim: Width = 2048,  # sec. 3
        hidden_dim: Width = 2048,  # sec. 3
        prediction_dim: Width = 512,  # sec. 3
        num_layers: Annotated[int, Between(2, 100)] = 3,  # sec. 3; 2 in appendix D for CIFAR
        stop_gradient: bool = True,  # sec. 3; False in sec. 4.1
        predictor_kind: Literal["mlp", "none", "fixed"] = "mlp",  # sec. 3; others in sec. 4.2
        head_norm: Literal["none", "hidden", "default", "all"] = "default",  # sec. 4.4
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.projection_dim = projection_dim
        self.hidden_dim = hidden_dim
        self.prediction_dim = prediction_dim
        self.num_layers = num_layers
        self.stop_gradient = stop_gradient
        self.predictor_kind = predictor_kind
        self.head_norm = head_norm
        hidden, projected, predicted = lookup(HEAD_NORMS, head_norm, "head_norm")
        layers = {"hidden_norm": hidden, "hidden_bias": not hidden}
        self.projector = self.head(
            (hidden_dim,) * (num_layers - 1) + (projection_dim,),
            name="projector",
            output_bias=not projected,
            output_norm="plain" if projected else None,
            **layers,
        )
        if predictor_kind != "none":
            self.predictor = self.head(
                (prediction_dim, projection_dim),
                name="predictor",
                input_dim=projection_dim,
                output_bias=not predicted,
                output_norm="plain" if predicted else None,
                **layers,
            )
        if predictor_kind == "fixed":
            freeze(self.predictor)

    def embed(self, views, training):
        features = self.encode(views, training=training)
        count = len(features)
        features += self.encode_local(views, training=training)
        projections = [self.projector(feature, training=training) for feature in features]
        predictions = projections
        if self.predictor_kind != "none":
            predictions = [self.predictor(z, training=training) for z in projections]
        return {"predictions": predictions, "projections": projections[:count]}

    def telltales(self):
        return [*super().telltales(), Telltale("simsiam", -1.0, ALIKE)]

    def loss_terms(self, outputs):
        loss = multi_crop_simsiam_loss(
            outputs["predictions"], outputs["projections"], stop_gradient=self.stop_gradient
        )
        return {"simsiam": loss, **self.regularize(outputs)}
