"""SimSiam: BYOL without the moving average; the stop-gradient alone prevents collapse."""

from typing import Annotated

from keras_ssl.core.bounds import Between, Width
from keras_ssl.core.serialization import register
from keras_ssl.losses.simsiam import multi_crop_simsiam_loss
from keras_ssl.methods.base import Method


@register
class SimSiam(Method):
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
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.projection_dim = projection_dim
        self.hidden_dim = hidden_dim
        self.prediction_dim = prediction_dim
        self.num_layers = num_layers
        self.stop_gradient = stop_gradient
        self.projector = self.head(
            (hidden_dim,) * (num_layers - 1) + (projection_dim,),
            name="projector",
            hidden_bias=False,
            output_bias=False,
            output_norm="plain",
        )
        self.predictor = self.head(
            (prediction_dim, projection_dim),
            name="predictor",
            input_dim=projection_dim,
            hidden_bias=False,
        )

    def embed(self, views, training):
        features = self.encode(views, training=training)
        count = len(features)
        features += self.encode_local(views, training=training)
        projections = [self.projector(feature, training=training) for feature in features]
        predictions = [self.predictor(z, training=training) for z in projections]
        return {"predictions": predictions, "projections": projections[:count]}

    def loss_terms(self, outputs):
        loss = multi_crop_simsiam_loss(
            outputs["predictions"], outputs["projections"], stop_gradient=self.stop_gradient
        )
        return {"simsiam": loss}
