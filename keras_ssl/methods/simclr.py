"""SimCLR: distinguish the views of one image from those of all others."""

from typing import Literal

from keras_ssl.core.bounds import Temperature, Width, WidthOrZero
from keras_ssl.core.errors import lookup
from keras_ssl.core.replicas import all_gather
from keras_ssl.core.serialization import register
from keras_ssl.losses.simclr import decoupled_nt_xent, nt_xent
from keras_ssl.methods.base import Method

LOSSES = {"nt_xent": nt_xent, "decoupled": decoupled_nt_xent}


@register
class SimCLR(Method):
    """Contrastive learning: two views of an image attract, views of different images repel.

    Every other image of the global batch is a negative, so a larger batch is a harder task. The
    projector is thrown away after training. Local crops count as further views.

    Loss: -log(exp(s_pos / T) / sum_j exp(s_j / T)), s the cosine similarities of a view with all
    other views of the batch (eq. 1).

    Args:
        objective: "nt_xent" or "decoupled". The second leaves the positive out of the denominator
            (Cosentino et al., eq. 1).
        temperature: float > 0. Of the loss; smaller weighs hard negatives more.
        hidden_dim: int >= 0. Width of the projector's hidden layer; 0 for a linear projector.
        projection_dim: int > 0. Width of the space in which views are compared.
        projection_bias: bool. Whether the projector's last layer has a bias. Cosentino et al.'s
            linear projector W^T h (proposition 3.1) has none.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> method = SimCLR(encoder, hidden_dim=16, projection_dim=8)
    >>> views = {"global": keras.random.normal((4, 2, 8, 8, 1), seed=1)}
    >>> terms = method.loss_terms(method.embed(views, training=True))
    >>> list(terms), bool(terms["contrastive"] > 0)
    (['contrastive'], True)

    Reference: Chen et al., A simple framework for contrastive learning of visual representations,
    2020, eq. 1; projector as in sec. 4.2, without batch normalization.
    """

    terms = ("contrastive",)
    num_views = (2, None)
    joint_batch = True
    multi_crop = True
    second_view_temperature = True

    def __init__(
        self,
        encoder,
        *,
        objective: Literal["nt_xent", "decoupled"] = "nt_xent",
        temperature: Temperature = 0.5,  # table 5's best for long training; CIFAR: appendix B.9
        hidden_dim: WidthOrZero = 2048,
        projection_dim: Width = 128,  # sec. 2.1
        projection_bias: bool = True,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        lookup(LOSSES, objective, "objective")
        self.objective = objective
        self.temperature = temperature
        self.hidden_dim = hidden_dim
        self.projection_dim = projection_dim
        self.projection_bias = projection_bias
        units = (hidden_dim, projection_dim) if hidden_dim else (projection_dim,)
        self.projector = self.head(
            units, name="projector", hidden_norm=False, output_bias=projection_bias
        )

    def loss_terms(self, outputs):
        projections = [all_gather(projection) for projection in outputs]
        return {"contrastive": LOSSES[self.objective](*projections, temperature=self.temperature)}
