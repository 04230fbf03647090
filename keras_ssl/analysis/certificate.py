"""How near the loss of CPLearn is to its least, and which collapses that rules out.

Everything is said of predictions p (images, codes) of two views, in nats.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax, logsumexp

from keras_ssl.core.errors import UserError, lookup
from keras_ssl.ops.rows import blocks, rows_at_once

_BLOCK = 256  # rows of which probabilities are held
_NOISE = 0.01  # clusters above 1 that may be rounding
DIVERGENCES = ("reverse", "forward")


@dataclass(frozen=True)
class LossTerms:
    """The terms of the loss on two views of some images, each averaged over both orders.

    Attributes:
        invariance: `CE(p, p')`, without its weight.
        matching_prior: `KL(mean p || q)` ("reverse") or `-sum q log mean p` ("forward").
        image_entropy: mean entropy of the predictions of an image, the part of `invariance` that
            is 0 where all are sure; the rest is the disagreement of the views.
        code_entropy: entropy of the mean prediction; `log c` where all codes are used equally.
        images, codes: n and c.

    Example:

    >>> terms = LossTerms(0.5, 0.2, image_entropy=0.5, code_entropy=2.0, images=64, codes=8)
    >>> terms.information
    1.5
    """

    invariance: float
    matching_prior: float
    image_entropy: float
    code_entropy: float
    images: int
    codes: int

    @property
    def information(self) -> float:
        """`I(image; code) = code_entropy - image_entropy`, that tells images apart."""
        return max(self.code_entropy - self.image_entropy, 0.0)


def cplearn_statistics(
    first: ArrayLike,
    second: ArrayLike,
    codes: ArrayLike,
    temperature: float,
    *,
    divergence: str = "reverse",
    prior: ArrayLike | None = None,
) -> LossTerms:
    """The terms of CPLearn's loss of the embeddings of two views, as one batch.

    `keras_ssl.losses.cplearn_terms` without the matrix of images x codes: sums are over blocks.

    Args:
        first, second: (n, f). Embeddings of the two views of each image.
        codes: (f, c).
        temperature: float > 0. p is the softmax of `embeddings @ codes / temperature`.
        divergence: "reverse" or "forward", the prior's term.
        prior: (c,) of values > 0 up to a factor, or None for a uniform one.

    Returns:
        `LossTerms`.

    Raises:
        UserError: for an unknown divergence, or shapes that do not match.

    Example:

    >>> sure = 100.0 * np.eye(4)
    >>> found = cplearn_statistics(sure, sure, np.eye(4), 1.0)
    >>> abs(round(found.invariance, 6)), abs(round(found.matching_prior, 6))
    (0.0, 0.0)

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, eq. 2 and
    appendix N.
    """
    lookup(dict.fromkeys(DIVERGENCES), divergence, "divergence")
    first, second, codes = np.asarray(first), np.asarray(second), np.asarray(codes)
    if first.shape != second.shape or first.ndim != 2 or codes.shape[:1] != first.shape[1:]:
        raise UserError(
            "Two views (n, f) are compared with codes (f, c). Received the shapes "
            f"{first.shape}, {second.shape} and {codes.shape}."
        )
    crossed, entropy, log_means = 0.0, 0.0, np.full((2, codes.shape[1]), -np.inf)
    for pair in _log_probabilities(first, second, codes, temperature):
        p = [np.exp(each) for each in pair]
        crossed -= (p[0] * pair[1]).sum(dtype="float64") + (p[1] * pair[0]).sum(dtype="float64")
        entropy -= sum((x * log_x).sum(dtype="float64") for x, log_x in zip(p, pair, strict=True))
        log_means = np.logaddexp(log_means, [logsumexp(each, axis=0) for each in pair])
    log_means -= math.log(len(first))
    return LossTerms(
        invariance=float(crossed / (2 * len(first))),
        matching_prior=float(np.mean([_to_prior(m, divergence, prior) for m in log_means])),
        image_entropy=float(entropy / (2 * len(first))),
        code_entropy=float(np.mean([-(np.exp(m) * m).sum() for m in log_means])),
        images=len(first),
        codes=codes.shape[1],
    )


def _log_probabilities(first, second, codes, temperature) -> Iterator[list[np.ndarray]]:
    """Log-probabilities of both views, (rows, c) each, a block of images at a time."""
    block = rows_at_once(codes.shape[1], _BLOCK)
    for rows in blocks(len(first), block):
        yield [log_softmax(view[rows] @ codes / temperature, axis=1) for view in (first, second)]


def _to_prior(log_mean, divergence, prior):
    log_prior = _log_prior(len(log_mean), prior)
    if divergence == "forward":
        return -(np.exp(log_prior) * log_mean).sum()
    return (np.exp(log_mean) * (log_mean - log_prior)).sum()


def _log_prior(num_codes, prior):
    if prior is None or not len(prior):
        return np.full(num_codes, -math.log(num_codes))
    prior = np.asarray(prior, "float64")
    return np.log(prior / prior.sum())


@dataclass(frozen=True)
class LossBound:
    """The least that the two terms can be.

    Attributes:
        invariance, matching_prior: least values of the terms, the first without its weight.
        total: `beta invariance + matching_prior`, Lemma 1's bound.
        batch: the least loss that n images can have, at least `total`: fewer images than codes
            cannot use all codes and be sure. For a uniform prior and the reverse divergence.
        constant: the least loss of predictions that are the same for all images: a loss below it
            rules a representation collapse out. None for the forward divergence, where it has no
            closed form.
        undecided: `log c`, the invariance where nothing is decided.

    Example:

    >>> cplearn_bound(8, 1.0, epsilon=0.0).matching_prior
    0.0
    """

    invariance: float
    matching_prior: float
    total: float
    batch: float
    constant: float | None
    undecided: float


def cplearn_bound(
    num_codes: int,
    beta: float,
    *,
    images: int | None = None,
    epsilon: float = 1e-8,
    divergence: str = "reverse",
    prior: ArrayLike | None = None,
) -> LossBound:
    """Lemma 1's bound of CPLearn's loss, and what collapsed or few images can reach.

        beta [-(1 - e (c - 1)) log(1 - e (c - 1)) - e (c - 1) log e] + H(q)

    with e for epsilon; without H(q) for the reverse divergence. Predictions that are the same for
    all images have a loss of `min(beta, 1) log c` at least (reverse, uniform prior): that of no
    decision, or of one code for all. n images that are fewer than the codes have
    `min(beta, 1) log(c / n)` at least, as `H(mean p) <= mean H(p) + log n`; below beta = 1 it is
    reached by images that are each undecided among c / n codes of their own.

    Args:
        num_codes: int > 1. c.
        beta: float > 0. Weight of the invariance.
        images: int or None. n, of a batch; None for as many as one likes.
        epsilon: float in [0, 1 / c). The least probability of a code.
        divergence: "reverse" (appendix N) or "forward" (eq. 2).
        prior: (c,) of values > 0 up to a factor, or None for a uniform one.

    Returns:
        `LossBound`.

    Raises:
        UserError: for an unknown divergence, or an epsilon out of range.

    Example:

    >>> bound = cplearn_bound(128, 0.5, images=64, epsilon=0.0)
    >>> bound.total, round(bound.batch, 3), round(bound.constant, 3)
    (0.0, 0.347, 2.426)
    >>> round(cplearn_bound(128, 0.5, epsilon=0.0, divergence="forward").total, 3)  # log 128
    4.852

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, lemma 1 and
    appendix C.
    """
    lookup(dict.fromkeys(DIVERGENCES), divergence, "divergence")
    if not 0 <= epsilon * num_codes < 1:
        raise UserError(
            f"epsilon must be at least 0 and below 1 / num_codes. Received epsilon={epsilon} with "
            f"num_codes={num_codes}."
        )
    rest = epsilon * (num_codes - 1)
    invariance = -math.log1p(-rest) * (1 - rest) - (rest * math.log(epsilon) if rest else 0.0)
    log_prior = _log_prior(num_codes, prior)
    entropy = float(-(np.exp(log_prior) * log_prior).sum())
    least = entropy if divergence == "forward" else 0.0
    total = beta * invariance + least
    uniform = divergence == "reverse" and np.ptp(log_prior) < 1e-9
    short = max(math.log(num_codes / images), 0.0) if images and uniform else 0.0
    return LossBound(
        invariance=invariance,
        matching_prior=least,
        total=total,
        batch=max(total, min(beta, 1.0) * short),
        constant=_least_constant(log_prior, beta, divergence),
        undecided=math.log(num_codes),
    )


def _least_constant(log_prior, beta, divergence):
    """The least over all p of `beta H(p) + KL(p || q) = (beta - 1) H(p) + CE(p, q)`, or None."""
    if divergence == "forward":
        return None
    if beta >= 1:  # concave: a single code is cheapest
        return float(-log_prior.max())
    # Convex, with its minimum where p is proportional to q^(1 / (1 - beta)).
    return float(-(1 - beta) * logsumexp(log_prior / (1 - beta)))


@dataclass(frozen=True)
class Certificate:
    """What the terms of a loss prove of the predictions they were measured of.

    Attributes:
        loss: `beta invariance + matching_prior`.
        gap: `loss - bound.total`; 0 is Lemma 1's minimum.
        invariance_gap, prior_gap: of the terms, the first without its weight.
        clusters: images are told apart into at least as many clusters, in the sense of
            `exp(information)`: `exp(code_entropy - invariance)`, at least 1.
        codes_used: equally used codes that have the entropy of the mean prediction.
        terms, bound: what it follows from.

    Example:

    >>> terms = LossTerms(0.0, 1.4, image_entropy=0.0, code_entropy=0.7, images=64, codes=8)
    >>> found = certify(terms, 0.5)  # sure, but of two codes only
    >>> round(found.clusters, 1), found.attained()
    (2.0, False)
    """

    loss: float
    gap: float
    invariance_gap: float
    prior_gap: float
    clusters: float
    codes_used: float
    terms: LossTerms
    bound: LossBound

    @property
    def not_constant(self) -> bool:
        """Whether predictions differ between images, proven by the two terms."""
        return self.clusters > 1 + _NOISE

    def attained(self, tolerance: float = 0.01) -> bool:
        """Whether both terms are within `tolerance * log c` of their least: Lemma 1's minimum.

        Example:

        >>> sure = 100.0 * np.eye(4)
        >>> certify(cplearn_statistics(sure, sure, np.eye(4), 1.0), 1.0).attained()
        True
        """
        return max(self.invariance_gap, self.prior_gap) <= tolerance * self.bound.undecided


def certify(
    terms: LossTerms,
    beta: float,
    *,
    epsilon: float = 1e-8,
    divergence: str = "reverse",
    prior: ArrayLike | None = None,
) -> Certificate:
    """Compare the terms of a loss with their bounds.

    `clusters` holds wherever the loss is: `I(image; code) = H(mean p) - mean H(p)`, and the
    invariance is a cross-entropy, so at least `mean H(p)`. 1 tells nothing, and predictions that
    are the same for all images cannot have more; at Lemma 1's minimum it is the number of codes.

    Args:
        terms: `LossTerms`.
        beta, epsilon, divergence, prior: as for `cplearn_bound`.

    Returns:
        `Certificate`.

    Example:

    >>> same = np.zeros((8, 4))  # nothing is decided, the same for all images
    >>> found = certify(cplearn_statistics(same, same, np.eye(4), 1.0), 0.5)
    >>> round(found.clusters, 3), round(found.codes_used, 3), found.not_constant
    (1.0, 4.0, False)

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, lemma 1.
    """
    settings = {"epsilon": epsilon, "divergence": divergence, "prior": prior}
    bound = cplearn_bound(terms.codes, beta, images=terms.images, **settings)
    loss = beta * terms.invariance + terms.matching_prior
    return Certificate(
        loss=loss,
        gap=max(loss - bound.total, 0.0),
        invariance_gap=max(terms.invariance - bound.invariance, 0.0),
        prior_gap=max(terms.matching_prior - bound.matching_prior, 0.0),
        clusters=max(math.exp(terms.code_entropy - terms.invariance), 1.0),
        codes_used=math.exp(terms.code_entropy),
        terms=terms,
        bound=bound,
    )
