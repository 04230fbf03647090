"""CPLearn and GEDI without its generative term: agree on codes, and use all codes equally.

All logits are those of the global batch, (batch, codes); nothing is detached.
"""

from keras import ops

from keras_ssl.ops.precision import Tensor, at_least_float32


def cplearn_loss(
    logits_1: Tensor, logits_2: Tensor, *, beta: float = 1.0, prior: Tensor | None = None
) -> Tensor:
    """What the authors train: reverse KL to the prior, and agreement, in both directions.

        1/2 sum over both orders of [ KL(mean_i p_i || q) + beta CE(p, p') ]

    Args:
        logits_1, logits_2: (batch, codes). Of the two views of the global batch.
        beta: float > 0. Weight of the agreement.
        prior: (codes,) of values > 0, or None. Prior probabilities of the codes, up to a common
            factor; None for a uniform prior, as the authors use.

    Returns:
        A scalar >= 0 in at least float32.

    Example:

    >>> p = keras.random.normal((4, 8), seed=1)
    >>> q = keras.random.normal((4, 8), seed=2)
    >>> bool(keras.ops.isclose(cplearn_loss(p, q), cplearn_loss(q, p)))
    True

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, appendix N
    and the released code.
    """
    return _weighted(cplearn_terms(logits_1, logits_2, prior=prior), beta)


def cplearn_terms(
    logits_1: Tensor, logits_2: Tensor, *, prior: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The invariance and the matching prior loss that `cplearn_loss` weighs and adds.

    Collapse is avoided where both are small (Lemma 1), and beta is chosen by that (table 7). With
    few codes in use the first is small alone, at predictions that are the same for every image and
    undecided the second:

    - invariance `1/2 (CE(p, p') + CE(p', p))`: 0 where both views are sure of the same code,
      `log(codes)` where all probabilities are equal.
    - matching prior `1/2 sum over the views of KL(mean_i p_i || q)`: 0 where the codes are used as
      the prior q says, at most `-log min_j q_j`; for a uniform prior `log(codes / n)` with n codes
      used equally.

    Args:
        logits_1, logits_2: (batch, codes). Of the two views of the global batch.
        prior: (codes,) of values > 0, or None. q, as in `cplearn_loss`.

    Returns:
        Two scalars >= 0 in nats, in at least float32.

    Example:

    >>> logits = 100.0 * keras.ops.one_hot([0, 1, 0, 1], 4)  # two of four codes, for both views
    >>> invariance, matching_prior = cplearn_terms(logits, logits)
    >>> bool(invariance == 0), bool(keras.ops.isclose(matching_prior, np.log(2)))
    (True, True)

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, appendix N.
    """
    p, q = log_probabilities(logits_1), log_probabilities(logits_2)
    invariance = 0.5 * (cross_entropy(p, q) + cross_entropy(q, p))
    return invariance, 0.5 * (reverse_kl(p, prior) + reverse_kl(q, prior))


def cplearn_forward_loss(
    logits_1: Tensor, logits_2: Tensor, *, beta: float = 1.0, prior: Tensor | None = None
) -> Tensor:
    """Eq. 2 as printed, in one direction: `beta CE(p, p') - sum_j q_j log mean_i p_ij`.

    Args:
        logits_1, logits_2: (batch, codes). Of p and p'.
        beta: float > 0. Weight of the agreement.
        prior: (codes,) of values > 0, or None. q, as in `cplearn_loss`.

    Example:

    >>> logits = 100.0 * keras.ops.eye(4)  # each code used once, and both views agree
    >>> bool(keras.ops.isclose(cplearn_forward_loss(logits, logits), np.log(4)))
    True

    Reference: Sansone et al., Collapse-proof non-contrastive self-supervised learning, eq. 2.
    """
    return _weighted(cplearn_forward_terms(logits_1, logits_2, prior=prior), beta)


def cplearn_forward_terms(
    logits_1: Tensor, logits_2: Tensor, *, prior: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The invariance and the matching prior loss of eq. 2, as `cplearn_terms`.

    The second, `-sum_j q_j log mean_i p_ij`, is at least the entropy of the prior (`log(codes)` for
    a uniform one), where the codes are used as the prior says, and has no upper bound: it grows as
    codes go unused.

    Example:

    >>> _, matching_prior = cplearn_forward_terms(keras.ops.zeros((2, 8)), keras.ops.zeros((2, 8)))
    >>> bool(keras.ops.isclose(matching_prior, np.log(8)))
    True
    """
    p, q = log_probabilities(logits_1), log_probabilities(logits_2)
    use = ops.exp(log_prior(prior, p)) * log_mean_probability(p)
    return cross_entropy(p, q), -ops.sum(use)


def symmetric_cplearn_forward_loss(
    logits_1: Tensor, logits_2: Tensor, *, beta: float = 1.0, prior: Tensor | None = None
) -> Tensor:
    """`cplearn_forward_loss`, averaged over both orders of the views.

    Example:

    >>> a, b = keras.random.normal((2, 4, 8), seed=1)
    >>> forth, back = cplearn_forward_loss(a, b), cplearn_forward_loss(b, a)
    >>> mean = 0.5 * (forth + back)
    >>> bool(keras.ops.isclose(symmetric_cplearn_forward_loss(a, b), mean))
    True
    """
    return _weighted(symmetric_cplearn_forward_terms(logits_1, logits_2, prior=prior), beta)


def symmetric_cplearn_forward_terms(
    logits_1: Tensor, logits_2: Tensor, *, prior: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`cplearn_forward_terms`, each averaged over both orders of the views.

    Example:

    >>> a, b = keras.random.normal((2, 4, 8), seed=1)
    >>> terms = symmetric_cplearn_forward_terms(a, b)
    >>> [bool(x == y) for x, y in zip(terms, symmetric_cplearn_forward_terms(b, a))]
    [True, True]
    """
    forth = cplearn_forward_terms(logits_1, logits_2, prior=prior)
    back = cplearn_forward_terms(logits_2, logits_1, prior=prior)
    return 0.5 * (forth[0] + back[0]), 0.5 * (forth[1] + back[1])


def gedi_nogen_loss(logits_1: Tensor, logits_2: Tensor, *, beta: float = 1.0) -> Tensor:
    """`1/2 (-sum_j log mean_i p_ij) + beta/2 CE(p', p)`, the prior on the first view only.

    The prior term is a sum over the codes where CPLearn's is a mean.

    Args:
        logits_1, logits_2: (batch, codes). Of p and p'.
        beta: float > 0. Weight of the agreement.

    Example:

    >>> logits = keras.ops.zeros((4, 2))  # nothing is decided: entropy log 2, and means of 1/2
    >>> bool(keras.ops.isclose(gedi_nogen_loss(logits, logits), 1.5 * np.log(2)))
    True

    Reference: Sansone and Manhaeve, GEDI; the released code of CPLearn.
    """
    return _weighted(gedi_nogen_terms(logits_1, logits_2), beta)


def gedi_nogen_terms(logits_1: Tensor, logits_2: Tensor) -> tuple[Tensor, Tensor]:
    """The invariance and the matching prior loss that `gedi_nogen_loss` weighs and adds.

    The first is at least 0, and `log(codes) / 2` where nothing is decided. The second is at least
    `codes log(codes) / 2`, where all codes are used equally, without an upper bound.

    Args:
        logits_1, logits_2: (batch, codes). Of p and p'.

    Returns:
        Two scalars >= 0 in at least float32.

    Example:

    >>> logits = 100.0 * keras.ops.eye(4)  # each code used once, and both views agree
    >>> invariance, matching_prior = gedi_nogen_terms(logits, logits)
    >>> bool(invariance == 0), bool(keras.ops.isclose(matching_prior, 2 * np.log(4)))
    (True, True)
    """
    p, q = log_probabilities(logits_1), log_probabilities(logits_2)
    return 0.5 * cross_entropy(q, p), -0.5 * ops.sum(log_mean_probability(p))


def _weighted(terms, beta):
    invariance, matching_prior = terms
    return beta * invariance + matching_prior


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-softmax over the codes in at least float32."""
    return ops.log_softmax(at_least_float32(logits), axis=-1)


def cross_entropy(log_p: Tensor, log_q: Tensor) -> Tensor:
    """`-mean_i sum_j p_ij log q_ij` of log-probabilities (batch, codes): a scalar."""
    return -ops.mean(ops.sum(ops.exp(log_p) * log_q, axis=-1))


def log_mean_probability(log_p: Tensor) -> Tensor:
    """`log mean_i p_ij` per code, finite where the probabilities underflow: -> (codes,)."""
    count = ops.cast(ops.shape(log_p)[0], log_p.dtype)
    return ops.logsumexp(log_p, axis=0) - ops.log(count)


def reverse_kl(log_p: Tensor, prior: Tensor | None = None) -> Tensor:
    """`KL(mean_i p_i || q) = sum_j pbar_j log(pbar_j / q_j)`: (batch, codes) -> a scalar >= 0."""
    log_mean = log_mean_probability(log_p)
    return ops.sum(ops.exp(log_mean) * (log_mean - log_prior(prior, log_p)))


def log_prior(prior: Tensor | None, log_p: Tensor) -> Tensor:
    """Logarithm of `prior` scaled to the sum 1; None is uniform: -> (codes,)."""
    prior = ops.ones_like(log_p[0]) if prior is None else ops.cast(prior, log_p.dtype)
    return ops.log(prior / ops.sum(prior))
