"""SimCLR: distinguish the views of one image from those of all others."""

from typing import Annotated, Literal

import keras
from keras import ops

from keras_ssl.core.bounds import Between, Temperature, Width, WidthOrZero
from keras_ssl.core.cures import LESS, MORE, WEAKER
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.core.replicas import all_gather, num_replicas
from keras_ssl.core.serialization import register
from keras_ssl.losses.decoupled import InfoNCEBound, symmetric_upper_bound
from keras_ssl.losses.simclr import decoupled_nt_xent, nt_xent
from keras_ssl.methods.branches import TwoBranches
from keras_ssl.ops.information import mutual_information_bound
from keras_ssl.ops.pairs import mean_over_pairs

LOSSES = {"nt_xent": nt_xent, "decoupled": decoupled_nt_xent}


@register
class SimCLR(TwoBranches):
    """Contrastive learning: two views of an image attract, views of different images repel.

    Every other image of the global batch is a negative, so a larger batch is a harder task. The
    projector is thrown away after training. Local crops count as further views.

    Loss: -log(exp(s_pos / T) / sum_j exp(s_j / T)), s the cosine similarities of a view with all
    other views of the batch (eq. 1).

    Args:
        objective: "nt_xent" or "decoupled". The second leaves the positive out of the denominator
            (Cosentino et al., eq. 1).
        temperature: float > 0. Of the loss; smaller weighs hard negatives more.
        hidden_dim: int >= 0. Width of the projector's hidden layers; 0 for a linear projector.
        num_layers: int >= 0. Layers of the projector: 0 to compare the features themselves, 1 for
            a linear one (as hidden_dim=0 makes it too), 3 in SimCLR v2 (fig. 8; Chen et al., Big
            self-supervised models, 2020).
        projection_dim: int > 0. Width of the space in which views are compared, if there is a
            projector.
        projection_bias: bool. Whether the projector's last layer has a bias. Cosentino et al.'s
            linear projector W^T h (proposition 3.1) has none.
        shared: "both", "projector" or "none". What the branches of view 1 and of the others have
            in common; "none" is DW in table 5 of VICReg. View 1's encoder is evaluated.
        second_encoder: built functional `keras.Model` or None. Of the second branch; by default
            like the first, with weights of its own.

    Raises:
        UserError: for several layers with hidden_dim=0; for a second encoder that does not fit
            `shared`.

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
    diagnostic_names = ("mutual_information_bound",)
    num_views = (2, None)
    cures = {
        "representation": (("method.temperature", LESS), ("training.batch_size", MORE)),
        "dimensional": (("method.temperature", LESS), ("augment.policy", WEAKER)),
        "undecided": (("optimizer.learning_rate", LESS), ("method.temperature", LESS)),
    }
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
        num_layers: Annotated[int, Between(0, 100)] = 2,  # sec. 4.2
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
        self.num_layers = num_layers
        if objective == "decoupled":
            self.add_diagnostics(*InfoNCEBound._fields)
        if hidden_dim == 0 and num_layers > 2:
            raise UserError(
                f"hidden_dim=0 is a linear projector. Received num_layers={num_layers}: give the "
                "hidden layers a width, or take num_layers=1."
            )
        if num_layers == 0:
            self.check_widths("num_layers=0 compares")
            # The features as they are, in float32 under any policy.
            self.projector = keras.layers.Identity(autocast=False, name="projector")
            self.second_projector = self.projector
            return
        hidden = (hidden_dim,) * (num_layers - 1) if hidden_dim else ()
        self.projector_head(
            (*hidden, projection_dim), hidden_norm=False, output_bias=projection_bias
        )

    def loss_terms(self, outputs):
        projections = [all_gather(projection) for projection in outputs]
        return {"contrastive": LOSSES[self.objective](*projections, temperature=self.temperature)}

    def diagnostics(self, outputs, terms=None):
        """`log N - L` of `nt_xent`, whichever the objective: the bound needs the positive in the
        denominator. N is the terms there for each positive, 2 batch - 1 with two views. Of more
        views the positives are added up inside of the logarithm: what is bounded is what a view
        tells of the others of its image together, not of one of them.

        Of the decoupled objective also its upper bound with its two terms (Cosentino et al., eqs.
        3 to 5), averaged over the pairs of views. Similarities are computed anew for both, which is
        cheap: of 256 images of 32 pixels and 128 projections 2 to 5 ms on two CPU cores, where the
        step of a resnet8 takes 6 s (0.1 %).
        """
        views, batch = len(outputs), ops.shape(outputs[0])[0] * num_replicas()
        candidates = (views * batch - 1) / (views - 1)
        if terms is not None and self.objective == "nt_xent":
            loss = terms["contrastive"]
            return {"mutual_information_bound": mutual_information_bound(loss, candidates)}
        projections = [all_gather(projection) for projection in outputs]
        loss = nt_xent(*projections, temperature=self.temperature)
        bound = {"mutual_information_bound": mutual_information_bound(loss, candidates)}
        return bound | (self._upper_bound(projections) if self.objective == "decoupled" else {})

    def _upper_bound(self, projections):
        def stacked(a, b):
            return ops.stack(symmetric_upper_bound(a, b, temperature=self.temperature))

        values = ops.unstack(mean_over_pairs(stacked, projections), num=len(InfoNCEBound._fields))
        return dict(zip(InfoNCEBound._fields, values, strict=True))
