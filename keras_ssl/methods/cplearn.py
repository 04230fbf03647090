"""CPLearn: agree on fixed random codes, and use all of them."""

import math
from typing import Annotated, Literal

from keras_ssl.core.bounds import Between, Count, PositiveWeight, TwoOrMore, Width
from keras_ssl.core.cures import MORE, OF_BETA
from keras_ssl.core.errors import UserError, lookup
from keras_ssl.core.replicas import all_gather
from keras_ssl.core.serialization import register
from keras_ssl.core.telltales import Telltale, undecided
from keras_ssl.layers.hyperdimensional import HyperdimensionalProjection
from keras_ssl.losses.cplearn import cplearn_terms, symmetric_cplearn_forward_terms
from keras_ssl.methods.base import Method

DIVERGENCES = {"reverse": cplearn_terms, "forward": symmetric_cplearn_forward_terms}


@register
class CPLearn(Method):
    """Clusters without prototypes to learn: two views agree on which random codes an image has.

    The projector compares an embedding with a large dictionary of random codes that is never
    trained. The loss asks for agreement of the views, and for all codes to be used; no negatives,
    stopped gradients or moving averages.

    Loss: KL(mean_i p_i || prior) + beta CE(p, p'), p = softmax(codes.h / tau), averaged over both
    orders of the views (appendix N). The terms are logged one by one, as they are added: both must
    come near their minima, 0 each ("forward": `log(num_codes)` for the prior), and beta is chosen
    by that (table 7).

    Args:
        num_codes: int > 1. Size of the dictionary.
        hidden_dim: int > 0. Width of the embedding that is compared with the codes.
        beta: float > 0. Weight of the agreement. Too large, and only a few codes are used; at
            `log(c / n) / log(c)` and below, with c codes and n images in a batch, it costs less
            to predict the same for all images than one code for each ("reverse" only; see
            `keras_ssl.analysis.cplearn_bound`). The paper's, on a ResNet-8: 0.5 for 10 and 128
            codes, 0.25 for 256 and 512, 0.1 for 1024 to 4096, 0.05 for 8192 and 16384 (table 7);
            1 on a ResNet-18 (appendix L), 0.25 on a ViT-S (appendix M).
        epsilon: float > 0. Probability that the best assignment leaves to each other code; with
            the sizes it sets the temperature.
        batch_size: int > 0. Images of a batch, over all replicas. The temperature is made for it;
            other batches are read at the same temperature.
        activation: "tanh" (what the authors train) or "l2" (eq. 1) of the embedding.
        divergence: "reverse" (appendix N, symmetric in the views) or "forward" (eq. 2, averaged
            over both orders of the views) from the prior.
        prior: prior probabilities of the codes, one for each; empty
            (`--set method.prior=`) for a uniform prior.

    Example:

    >>> encoder = keras_ssl.create_backbone("tiny", (8, 8, 1))
    >>> method = CPLearn(encoder, num_codes=16, hidden_dim=8, batch_size=4)
    >>> views = {"global": keras.random.normal((4, 2, 8, 8, 1), seed=1)}
    >>> terms = method.loss_terms(method.embed(views, training=True))
    >>> list(terms)
    ['invariance', 'matching_prior']

    Reference: Sansone, Lebailly and Tuytelaars, Collapse-proof non-contrastive self-supervised
    learning, 2025, eqs. 1 and 2 and appendix N.
    """

    terms = ("invariance", "matching_prior")
    run_facts = ("batch_size",)
    cluster_head = "random codes"
    cures = {
        **OF_BETA,
        "dimensional": (("method.num_codes", MORE),),  # theorem 1, fig. 13
        "intracluster": (("method.num_codes", MORE),),  # figs. 13b and 15
    }

    def __init__(
        self,
        encoder,
        *,
        batch_size: Count,
        num_codes: TwoOrMore = 16384,  # sec. 4
        hidden_dim: Width = 2048,  # released configuration for ResNet-18
        beta: PositiveWeight = 1.0,  # appendix L
        epsilon: Annotated[float, Between(1e-30, 0.5)] = 1e-8,  # footnote 2
        activation: Literal["tanh", "l2"] = "tanh",  # sec. 3.3
        divergence: Literal["reverse", "forward"] = "reverse",  # appendix N
        prior: tuple[PositiveWeight, ...] = (),
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.num_codes = num_codes
        self.hidden_dim = hidden_dim
        self.beta = beta
        self.epsilon = epsilon
        self.batch_size = batch_size
        self.activation = activation
        self.divergence = divergence
        self.prior = prior
        lookup(DIVERGENCES, divergence, "divergence")
        if prior and (len(prior) != num_codes or min(prior) <= 0):
            raise UserError(
                f"The prior takes a share above 0 for each of the {num_codes} codes. Received "
                f"{len(prior)} shares, the smallest {min(prior):g}."
            )
        self.embedder = self.head((hidden_dim,), name="embedder", output_norm="affine")
        self.codes = HyperdimensionalProjection(
            num_codes,
            activation,
            epsilon,
            batch_size,
            self.seed,
            name="codes",
            dtype=self.dtype_policy,
        )
        self.codes.build((None, hidden_dim))

    def embed(self, views, training):
        features = self.encode(views, training=training)
        return [self.codes(self.embedder(f, training=training)) for f in features]

    def loss_terms(self, outputs):
        logits = [all_gather(each) for each in outputs]
        terms_of = DIVERGENCES[self.divergence]
        invariance, matching_prior = terms_of(*logits, prior=self.prior or None)
        return {"invariance": self.beta * invariance, "matching_prior": matching_prior}

    def project(self, features, training=False):
        """The embedding that is compared with the codes."""
        return self.codes.embed(self.embedder(features, training=training))

    def telltales(self):
        options = {"scale": self.beta, "what": "codes"}
        found = [*super().telltales(), undecided("invariance", self.num_codes, **options)]
        if self.divergence == "reverse" and not self.prior:
            largest = math.log(self.num_codes)
            text = "few codes are used (cluster collapse)"
            options = {
                "written": f"ln {self.num_codes}",
                "tolerance": min(math.log(3), largest / 2),
            }
            found.append(Telltale("matching_prior", largest, text, "cluster", **options))
        return found

    def cluster_scores(self, images):
        features = self.encoder(images, training=False)
        return self.codes(self.embedder(features, training=False))
