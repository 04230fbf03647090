"""GEDI without its generative term: clusters that two views agree on and that are all used."""

from keras_ssl.core.bounds import PositiveWeight, Temperature, TwoOrMore, Width
from keras_ssl.core.cures import LESS, MORE, OF_BETA
from keras_ssl.core.replicas import all_gather
from keras_ssl.core.serialization import register
from keras_ssl.core.telltales import undecided
from keras_ssl.losses.cplearn import gedi_nogen_terms
from keras_ssl.methods.base import Method
from keras_ssl.ops.precision import at_least_float32


@register
class GEDINoGen(Method):
    """Self-supervised clustering by a plain projector whose outputs are the clusters' logits.

    Both views are drawn to the same cluster, and a batch to using all clusters equally. CPLearn
    is this with fixed codes in the place of the projector's last layer.

    Loss: (beta CE(p', p) - sum_k log mean_i p_ik) / 2, p = softmax(logits) (eq. 2 of CPLearn, with
    a sum in the place of the mean over k). The terms are logged one by one, as they are added: the
    first has its minimum at 0, the second at `num_clusters log(num_clusters) / 2`.

    Args:
        num_clusters: int > 1. Width of the projector's output.
        hidden_dim: int > 0. Width of the projector's hidden layer.
        temperature: float > 0. That the logits are divided by; smaller is sharper.
        beta: float > 0. Weight of the agreement, relative to the use of the clusters.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> method = GEDINoGen(encoder, num_clusters=3, hidden_dim=16)
    >>> views = {"global": keras.random.normal((4, 2, 8, 8, 1), seed=1)}
    >>> method.cluster_scores(views["global"][:, 0]).shape
    TensorShape([4, 3])

    Reference: Sansone and Manhaeve, A Bayesian unification of self-supervised clustering and
    energy-based models, 2024; loss and settings are those of the code of Sansone et al.,
    Collapse-proof non-contrastive self-supervised learning, 2025 (eq. 2, table 2).
    """

    terms = ("invariance", "matching_prior")
    cluster_head = "logits"
    compares = "scores"
    cures = {
        **OF_BETA,
        "undecided": (("method.beta", MORE), ("method.temperature", LESS)),
        "intracluster": (("method.num_clusters", MORE),),
    }

    def __init__(
        self,
        encoder,
        *,
        num_clusters: TwoOrMore = 2048,  # released configuration, as the next three
        hidden_dim: Width = 2048,
        temperature: Temperature = 0.1,
        beta: PositiveWeight = 0.1,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.num_clusters = num_clusters
        self.hidden_dim = hidden_dim
        self.temperature = temperature
        self.beta = beta
        self.projector = self.head((hidden_dim, num_clusters), name="projector")

    def loss_terms(self, outputs):
        a, b = (all_gather(at_least_float32(z)) / self.temperature for z in outputs)
        invariance, matching_prior = gedi_nogen_terms(a, b)
        return {"invariance": self.beta * invariance, "matching_prior": matching_prior}

    def telltales(self):
        options = {"scale": self.beta / 2, "what": "clusters"}
        return [*super().telltales(), undecided("invariance", self.num_clusters, **options)]

    def cluster_scores(self, images):
        logits = self.projector(self.encoder(images, training=False), training=False)
        return at_least_float32(logits) / self.temperature
