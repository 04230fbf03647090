"""GEDI: cluster images and model their density with the same logits."""

from typing import Annotated

from keras import ops

from keras_ssl.core.bounds import (
    Above,
    Between,
    Count,
    Pixels,
    PositiveWeight,
    Share,
    Temperature,
    TwoOrMore,
    Weight,
    Width,
)
from keras_ssl.core.cures import LESS, MORE, OF_BETA
from keras_ssl.core.replicas import all_gather
from keras_ssl.core.serialization import register
from keras_ssl.core.telltales import undecided
from keras_ssl.layers.langevin import LangevinSampler
from keras_ssl.losses.cplearn import gedi_nogen_terms
from keras_ssl.methods.base import Method
from keras_ssl.ops.precision import at_least_float32


@register
class GEDI(Method):
    """Generative and discriminative: `gedi_nogen`, and an energy model in its logits.

    The energy of an image is `-log sum_k exp(logit_k)`. Training lowers that of real
    images under that of samples, which Langevin dynamics draws before every update. It reads batch
    normalization in inference mode, while sampling and in the loss, so that it is a function of
    the image alone, and so that samples stay out of the running statistics.

    Loss: that of `gedi_nogen` + w (mean E(images) - mean E(samples)), E = -log sum_k exp(logit_k).

    Args:
        num_clusters: int > 1. Width of the projector's output.
        hidden_dim: int > 0. Width of the projector's hidden layer.
        temperature: float > 0. That the logits are divided by; smaller is sharper.
        beta: float > 0. Weight of the agreement, relative to the use of the clusters.
        generative_weight: float >= 0. Weight of the energy's term.
        image_size: int > 0. Pixels of a view's side, which the samples have too.
        buffer_size: int > 0. Samples that are kept and improved; the batch size at least.
        num_langevin_steps: int > 0. Steps that the samples of a batch take before an update.
        langevin_step_size: float > 0. Of the gradient, in units of the normalized images.
        langevin_noise: float >= 0. Standard deviation added at each step, in the same units.
        reinit: float in [0, 1]. Probability that a sample starts anew from uniform noise.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> sizes = {"num_clusters": 3, "hidden_dim": 16, "image_size": 8, "buffer_size": 8}
    >>> method = GEDI(encoder, **sizes)
    >>> images = keras.random.normal((4, 8, 8, 1), seed=1)
    >>> method.energy(images).shape
    TensorShape([4])

    Reference: Sansone and Manhaeve, A Bayesian unification of self-supervised clustering and
    energy-based models, 2024; the energy and the sampler are those of Grathwohl et al., Your
    classifier is secretly an energy based model, 2020, sec. 3.
    """

    terms = ("invariance", "matching_prior", "generative")
    run_facts = ("image_size",)
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
        image_size: Pixels,
        num_clusters: TwoOrMore = 2048,  # released configuration of gedi_nogen, as the next three
        hidden_dim: Width = 2048,
        temperature: Temperature = 0.1,
        beta: PositiveWeight = 0.1,
        generative_weight: Weight = 1.0,
        buffer_size: Count = 10000,  # Grathwohl et al., released code, as the next four
        num_langevin_steps: Annotated[int, Between(1, 10**4)] = 20,
        langevin_step_size: Annotated[float, Above(0, 10**3)] = 1.0,
        langevin_noise: Annotated[float, Between(0, 10**3)] = 0.01,
        reinit: Share = 0.05,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.num_clusters = num_clusters
        self.hidden_dim = hidden_dim
        self.temperature = temperature
        self.beta = beta
        self.generative_weight = generative_weight
        self.image_size = image_size
        self.buffer_size = buffer_size
        self.num_langevin_steps = num_langevin_steps
        self.langevin_step_size = langevin_step_size
        self.langevin_noise = langevin_noise
        self.reinit = reinit
        self.projector = self.head((hidden_dim, num_clusters), name="projector")
        self.sampler = LangevinSampler(
            (image_size, image_size, encoder.input_shape[-1]),
            buffer_size,
            num_langevin_steps,
            langevin_step_size,
            langevin_noise,
            reinit,
            self.seed,
            name="sampler",
        )

    def energy(self, images):
        """`-log sum_k exp(logit_k)` of images in inference mode: -> (batch,) float32."""
        return -ops.logsumexp(self.cluster_scores(images), axis=-1)

    def cluster_scores(self, images):
        return self._logits(self.encoder(images, training=False), False)

    def telltales(self):
        options = {"scale": self.beta / 2, "what": "clusters"}
        return [*super().telltales(), undecided("invariance", self.num_clusters, **options)]

    def check_batch(self, size):
        self.sampler.check_batch(size)

    def prepare(self, views):
        return {**views, "samples": self.sampler.sample(self.energy, views["global"][:, 0])}

    def embed(self, views, training):
        features = self.encode(views, training=training)
        return {
            "logits": [self._logits(feature, training) for feature in features],
            "real": self.energy(views["global"][:, 0]),
            "samples": self.energy(views["samples"]),
        }

    def loss_terms(self, outputs):
        logits = [all_gather(each) for each in outputs["logits"]]
        invariance, matching_prior = gedi_nogen_terms(*logits)
        gap = ops.mean(outputs["real"]) - ops.mean(outputs["samples"])
        return {
            "invariance": self.beta * invariance,
            "matching_prior": matching_prior,
            "generative": self.generative_weight * gap,
        }

    def _logits(self, features, training):
        return at_least_float32(self.projector(features, training=training)) / self.temperature
