"""SimCLR: tell the views of one image from those of all others."""

from keras_ssl.core.replicas import all_gather
from keras_ssl.core.serialization import register
from keras_ssl.losses.simclr import nt_xent
from keras_ssl.methods.base import Method


@register
class SimCLR(Method):
    """Contrastive learning: two views of an image attract, views of different images repel.

    Every other image of the global batch is a negative, so a larger batch is a harder task. The
    projector is thrown away after training.

    Args:
        temperature: float > 0. Of NT-Xent; smaller weighs hard negatives more.
        hidden_dim: int > 0. Width of the projector's hidden layer.
        projection_dim: int > 0. Width of the space in which views are compared.

    Reference: Chen et al., A simple framework for contrastive learning of visual representations,
    2020, eq. 1; projector as in sec. 4.2, without batch normalisation.
    """

    terms = ("nt_xent",)
    num_views = (2, None)
    joint_batch = True
    second_view_temperature = True

    def __init__(
        self,
        encoder,
        *,
        temperature: float = 0.5,  # table 5's best for long training; CIFAR: appendix B.9
        hidden_dim: int = 2048,
        projection_dim: int = 128,  # sec. 2.1
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.temperature = temperature
        self.hidden_dim = hidden_dim
        self.projection_dim = projection_dim
        self.projector = self.head(
            (hidden_dim, projection_dim), name="projector", hidden_norm=False
        )

    def embed(self, views, training):
        features = self.encode(views, training=training)
        return [self.projector(feature, training=training) for feature in features]

    def loss_terms(self, outputs):
        projections = [all_gather(projection) for projection in outputs]
        return {"nt_xent": nt_xent(*projections, temperature=self.temperature)}
