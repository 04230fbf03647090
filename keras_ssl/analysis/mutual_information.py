"""Bounds on the mutual information of two variables, from samples of their pairs, in nats.

Most read a matrix of critic scores, `scores[i, j] = f(x_j, y_i)`: a row for each y, its own x on
the diagonal, so that the other columns are draws of x without regard to y. In expectation over
samples, for any critic that did not see them,

    I >= I_TUBA >= I_NWJ of the best constant,    I >= I_InfoNCE <= log n.

On the same scores, exactly,

    I_UBA >= I_DV >= I_TUBA with any constant baseline, I_NWJ among them,

but UBA and DV take the logarithm of a mean over the samples at hand, which is too small in
expectation: as estimates they can exceed the mutual information, and do where it is above log n.
"""

import math

from keras import ops

from keras_ssl.ops.information import mutual_information_bound
from keras_ssl.ops.precision import Tensor, at_least_float32

_LARGEST = 60.0  # exponent; beyond it exp goes on as a straight line, finite in float32


def gaussian_mutual_information(correlations: Tensor) -> Tensor:
    """Of jointly Gaussian pairs of coordinates, each independent of the others: the closed form.

        -1/2 sum_i log(1 - rho_i^2)

    Args:
        correlations: (d,) in [-1, 1]; for Gaussians of any covariance the canonical correlations.

    Returns:
        A scalar >= 0 in at least float32, infinite where a correlation is 1 or -1.

    Example:

    >>> float(keras.ops.round(gaussian_mutual_information(np.full(4, 0.6)), 3))
    0.893

    Reference: Cover and Thomas, Elements of information theory, 2006, example 8.5.1.
    """
    rho = at_least_float32(correlations)
    return -0.5 * ops.sum(ops.log1p(-ops.square(rho)))


def ba_bound(log_conditional: Tensor, entropy: Tensor | float) -> Tensor:
    """Barber and Agakov's lower bound, from a model q(x|y) of the conditional.

        I_BA = E_p(x,y) log q(x|y) + h(X) <= I

    The gap is the mean divergence of q from the true p(x|y).

    Args:
        log_conditional: (n,). log q(x_i|y_i) of drawn pairs.
        entropy: h(X) in nats, such as minus the mean of log p(x_i) where p is known.

    Returns:
        A scalar in at least float32.

    Example:

    >>> log_conditional = np.log([0.5, 0.5])  # of two x for each y, among four that are alike
    >>> float(keras.ops.round(ba_bound(log_conditional, np.log(4.0)) / np.log(2.0), 6))  # in bits
    1.0

    Reference: Barber and Agakov, The IM algorithm, 2003; Poole et al., 2019, sec. 2.1.
    """
    return ops.mean(at_least_float32(log_conditional)) + entropy


def ba_upper_bound(log_conditional: Tensor, log_marginal: Tensor) -> Tensor:
    """The upper bound beside `ba_bound`, from a model r(y) of the marginal and the true p(y|x).

        I <= E_p(x,y) log p(y|x) / r(y)

    What a variational autoencoder calls the rate.

    Args:
        log_conditional: (n,). log p(y_i|x_i) of drawn pairs.
        log_marginal: (n,). log r(y_i).

    Returns:
        A scalar in at least float32.

    Example:

    >>> round(float(ba_upper_bound(np.log([1.0, 1.0]), np.log([0.5, 0.5]))), 3)
    0.693

    Reference: Poole et al., On variational bounds of mutual information, 2019, sec. 2.1.
    """
    return ops.mean(at_least_float32(log_conditional) - at_least_float32(log_marginal))


def uba_bound(scores: Tensor) -> Tensor:
    """`ba_bound` of the energy-based q(x|y) = p(x) e^f(x,y) / Z(y): unnormalized Barber-Agakov.

        I_UBA = E_p(x,y) f(x, y) - E_p(y) log Z(y),    Z(y) = E_p(x) e^f(x,y)

    Unchanged by adding any function of y to the critic. Z(y) is estimated by the mean over the
    other x, so that the result exceeds the bound in expectation: with f = log p(y|x) it is an upper
    bound of the mutual information (leave one out).

    Args:
        scores: (n, n), n >= 2. f(x_j, y_i), pairs on the diagonal.

    Returns:
        A scalar in at least float32.

    Raises:
        ValueError: unless `scores` is a square of two rows or more.

    Example:

    >>> float(uba_bound(np.array([[3.0, 1.0], [1.0, 3.0]])))
    2.0

    Reference: Poole et al., On variational bounds of mutual information, 2019, secs. 2.1 and 2.2.
    """
    scores = _checked(scores)
    return ops.mean(ops.diagonal(scores) - _log_partition(scores))


def dv_bound(scores: Tensor) -> Tensor:
    """Donsker and Varadhan's bound: `uba_bound` with the logarithm outside of the mean over y.

        I_DV = E_p(x,y) f(x, y) - log E_p(x)p(y) e^f(x,y) <= I_UBA

    Unchanged by adding a constant to the critic. The logarithm of a mean over samples makes it too
    large in expectation (MINE trains with it).

    Args:
        scores: (n, n), n >= 2. f(x_j, y_i), pairs on the diagonal.

    Returns:
        A scalar in at least float32.

    Raises:
        ValueError: unless `scores` is a square of two rows or more.

    Example:

    >>> float(dv_bound(np.array([[3.0, 1.0], [1.0, 3.0]])))
    2.0

    Reference: Donsker and Varadhan, 1983; Belghazi et al., MINE, 2018, eq. 5; Poole et al., 2019,
    sec. 2.2.
    """
    scores = _checked(scores)
    return ops.mean(ops.diagonal(scores)) - _log_mean(_log_partition(scores))


def tuba_bound(scores: Tensor, log_baseline: Tensor | float = 0.0) -> Tensor:
    """The tractable unnormalized bound: `log Z(y) <= Z(y) / a(y) + log a(y) - 1` for any a > 0.

        I_TUBA = E_p(x,y) f(x, y) - E_p(y) [ Z(y) / a(y) + log a(y) - 1 ] <= I_UBA

    Tight for a(y) = Z(y). Its estimate is unbiased, so that in expectation it is a lower bound for
    any critic and baseline that did not see the samples; the variance grows with e^I.

    Args:
        scores: (n, n), n >= 2. f(x_j, y_i), pairs on the diagonal.
        log_baseline: log a(y_i): (n,), or a number for all.

    Returns:
        A scalar in at least float32. Where an exponent is above 60, which no bound worth having
        needs, its exponential is replaced by the tangent there, so that result and gradient are
        finite.

    Raises:
        ValueError: unless `scores` is a square of two rows or more.

    Example:

    >>> scores = np.array([[3.0, 1.0], [1.0, 3.0]])
    >>> [float(tuba_bound(scores, log_baseline=a)) for a in (1.0, [1.0, 1.0])]  # the best one
    [2.0, 2.0]

    Reference: Poole et al., On variational bounds of mutual information, 2019, sec. 2.2.
    """
    scores = _checked(scores)
    log_baseline = ops.cast(log_baseline, scores.dtype)
    joint = ops.mean(ops.diagonal(scores) - log_baseline)
    return 1.0 + joint - ops.mean(_exp(_log_partition(scores) - log_baseline))


def nwj_bound(scores: Tensor) -> Tensor:
    """Nguyen, Wainwright and Jordan's bound: `tuba_bound` with the baseline e; f-GAN's for KL.

        I_NWJ = E_p(x,y) f(x, y) - e^-1 E_p(y) Z(y)

    Its best critic is `1 + log p(x|y) / p(x)`: a critic that was trained for another bound has to
    be shifted first, by `log_baseline` of `tuba_bound` for instance.

    Args:
        scores: (n, n), n >= 2. f(x_j, y_i), pairs on the diagonal.

    Returns:
        A scalar in at least float32.

    Raises:
        ValueError: unless `scores` is a square of two rows or more.

    Example:

    >>> float(nwj_bound(np.ones((3, 3))))  # the best critic of variables without a relation
    0.0

    Reference: Nguyen et al., Estimating divergence functionals, 2010; Poole et al., 2019, sec. 2.2.
    """
    return tuba_bound(scores, 1.0)


def infonce_bound(scores: Tensor) -> Tensor:
    """The multi-sample bound: how much better than by chance each y finds its x among n.

        I_InfoNCE = E 1/n sum_i log( e^f(x_i,y_i) / (1/n sum_j e^f(x_j,y_i)) ) <= min(I, log n)

    `tuba_bound` with the mean over all x, the pair among them, as baseline of each y: little
    variance, and for that a cap. With f = log p(y|x) it is the lower side of `uba_bound`.

    Args:
        scores: (n, n), n >= 2. f(x_j, y_i), pairs on the diagonal.

    Returns:
        A scalar in at least float32, at most log n.

    Raises:
        ValueError: unless `scores` is a square of two rows or more.

    Example:

    >>> bool(infonce_bound(100.0 * np.eye(8)) == np.log(8.0)), float(infonce_bound(np.ones((8, 8))))
    (True, 0.0)

    Reference: van den Oord et al., Representation learning with contrastive predictive coding,
    2018; Poole et al., 2019, eq. 10.
    """
    scores = _checked(scores)
    loss = ops.mean(ops.logsumexp(scores, axis=1) - ops.diagonal(scores))
    return mutual_information_bound(loss, scores.shape[0] or ops.shape(scores)[0])


def log_mean_exp(scores: Tensor) -> Tensor:
    """`log mean_j exp(scores[i, j])` of every row: log Z(y) for scores with draws of x alone.

    Of the scores of other x, such as those that a critic was trained with, it is a baseline of
    `tuba_bound` that leaves the estimate unbiased.

    Args:
        scores: (n, m), no pair among them.

    Returns:
        (n,) in at least float32.

    Example:

    >>> log_mean_exp(np.log([[1.0, 3.0], [2.0, 2.0]])).numpy().round(3).tolist()  # log 2
    [0.693, 0.693]
    """
    scores = at_least_float32(scores)
    return ops.logsumexp(scores, axis=1) - ops.log(_number(ops.shape(scores)[1], scores))


def _checked(scores):
    scores = at_least_float32(scores)
    rows, columns = scores.shape if len(scores.shape) == 2 else (0, 0)
    # A side that is not known yet, inside of a compiled step, is taken as it comes.
    if rows != columns or rows in (0, 1):
        raise ValueError(
            "scores are (n, n), a row for each y and a column for each x, with two pairs or more. "
            f"Received {tuple(scores.shape)}."
        )
    return scores


def _log_partition(scores):
    """log Z(y_i), by the mean over the x of the other pairs: (n,)."""
    row = ops.arange(ops.shape(scores)[0])
    own = ops.equal(row[:, None], row[None, :])
    others = ops.logsumexp(ops.where(own, -math.inf, scores), axis=1)
    return others - ops.log(_number(ops.shape(scores)[0] - 1, scores))


def _log_mean(values):
    return ops.logsumexp(values) - ops.log(_number(ops.shape(values)[0], values))


def _number(count, like):
    return ops.cast(count, like.dtype)


def _exp(x):
    return ops.exp(ops.minimum(x, _LARGEST)) * (1.0 + ops.maximum(x - _LARGEST, 0.0))
