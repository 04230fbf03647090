"""Critics: what scores pairs for the bounds on their mutual information, given or trained."""

from collections.abc import Callable

import keras
import numpy as np
from keras import layers, ops

from keras_ssl.analysis.mutual_information import (
    dv_bound,
    infonce_bound,
    log_mean_exp,
    nwj_bound,
    tuba_bound,
    uba_bound,
)
from keras_ssl.analysis.transformations import standardization
from keras_ssl.core.errors import lookup
from keras_ssl.ops.linalg import l2_normalize
from keras_ssl.ops.precision import Tensor

_EVERY, _PATIENCE = 10, 60  # steps between two looks at the validation pairs, and without progress
BOUNDS = {"infonce": infonce_bound, "nwj": nwj_bound, "dv": dv_bound}


class Critic(keras.Model):
    """A network of two inputs, x and y (n, dim), to their scores (n, n); see `train_critic`.

    Args:
        inputs, outputs: as `keras.Model` takes them.
        bound: function of scores that training raises.

    Example:

    >>> critic = train_critic(np.eye(8), np.eye(8), steps=1)
    >>> critic([np.eye(3, 8), np.eye(5, 8)]).shape  # a row for each y, a column for each x
    TensorShape([5, 3])
    """

    def __init__(self, inputs, outputs, *, bound: Callable = infonce_bound, **kwargs):
        super().__init__(inputs, outputs, **kwargs)
        self.bound = bound

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return -self.bound(y_pred)


def train_critic(
    x: np.ndarray,
    y: np.ndarray,
    *,
    kind: str = "separable",
    bound: str = "infonce",
    steps: int = 300,
    batch_size: int = 128,
    hidden: int = 256,
    embedding: int = 32,
    learning_rate: float = 5e-4,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
) -> Critic:
    """Train a small critic to tell the pairs (x_i, y_i) from those of other rows.

    A separable critic is `g(x).h(y)`, two networks of two hidden layers each; a concatenated one is
    a network of two hidden layers of both, `f([x, y])`, and reads each of the batch^2 pairs. Inputs
    are centered, and scaled to a mean variance of 1 of the columns.

    The bounds hold for rows that the critic did not see: score others with it. A thousand pairs are
    few, and learned by heart in a hundred steps: give some of them as `validation`.

    Args:
        x: (n, dim) float.
        y: (n, dim of y) float.
        kind: "separable" or "concatenated".
        bound: "infonce" (the steadiest), "nwj" or "dv".
        steps: int > 0. Batches; Adam.
        batch_size: int > 1. At most n are taken.
        hidden: int > 0. Units of a hidden layer.
        embedding: int > 0. Of g(x) and h(y), of a separable critic.
        learning_rate: float > 0.
        validation: x and y of other pairs. Every ten steps their bound is taken; the weights of the
            largest are kept, and training ends when sixty steps have not raised it.
        seed: int >= 0. Of weights and batches.

    Returns:
        `Critic`, float32 whatever the policy is: `critic([x, y])` gives the scores, [i, j] of y_i
        with x_j.

    Raises:
        UserError: for an unknown kind or bound.
        ValueError: unless x and y have as many rows, two or more.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(512, 2))
    >>> critic = train_critic(x[:256], x[:256], steps=100)
    >>> bool(infonce_bound(critic([x[256:], x[256:]])) > 2.0)  # of at most log 256, 5.5
    True

    Reference: Poole et al., On variational bounds of mutual information, 2019, sec. 3 and appendix.
    """
    build = lookup(CRITICS, kind, "kind")
    bound = lookup(BOUNDS, bound, "bound")
    x, y = np.asarray(x, "float32"), np.asarray(y, "float32")
    if len(x) != len(y) or len(x) < 2:
        raise ValueError(f"Pairs are rows of x and of y, two or more. Got {len(x)} and {len(y)}.")
    inputs = [keras.Input(rows.shape[1:], dtype="float32") for rows in (x, y)]
    read = [_scaled(rows)(each) for rows, each in zip((x, y), inputs, strict=True)]
    critic = Critic(inputs, build(*read, hidden, embedding, _Layers(seed)), bound=bound)
    critic.compile(keras.optimizers.Adam(learning_rate), jit_compile=False)
    best = None if validation is None else _Best(critic, validation)
    draw = np.random.default_rng(seed)
    for step in range(1, steps + 1):
        rows = draw.choice(len(x), min(batch_size, len(x)), replace=False)
        critic.train_on_batch([x[rows], y[rows]])
        if best is not None and best.has_passed(step):
            break
    if best is not None:
        critic.set_weights(best.weights)
    return critic


def cosine_scores(x: Tensor, y: Tensor, *, temperature: float) -> Tensor:
    """The critic of SimCLR and MoCo: cosines over a temperature, [i, j] of y_i with x_j.

    Args:
        x: (n, dim).
        y: (m, dim).
        temperature: float > 0.

    Returns:
        (m, n) in at least float32.

    Example:

    >>> cosine_scores(np.eye(2), 3.0 * np.eye(2), temperature=0.5).numpy().tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    return ops.matmul(l2_normalize(y), ops.transpose(l2_normalize(x))) / temperature


def best_temperature(x: Tensor, y: Tensor) -> float:
    """The temperature whose cosine critic has the largest InfoNCE bound on these pairs.

    Args:
        x: (n, dim), two rows or more.
        y: (n, dim).

    Returns:
        One of eleven from 0.01 to 10, evenly apart in logarithm.

    Example:

    >>> best_temperature(np.eye(4), np.eye(4))  # nothing to be mistaken about
    0.01
    """
    cosines = cosine_scores(x, y, temperature=1.0)
    grid = [round(float(each), 4) for each in np.geomspace(0.01, 10.0, 11)]
    return max(grid, key=lambda temperature: float(infonce_bound(cosines / temperature)))


def critic_bounds(
    score: Callable[[np.ndarray, np.ndarray], Tensor],
    held_out: tuple[np.ndarray, np.ndarray],
    train: np.ndarray,
) -> dict[str, float]:
    """All bounds of a critic on held-out pairs, with a baseline from other x.

    InfoNCE leaves a critic free up to a function of y, which the others but UBA do not forgive. So
    the baseline `log_mean_exp` over the x of training is taken from the critic first, for TUBA and
    DV. NWJ, whose baseline is a constant, is that of the critic shifted by one: 1 minus the
    logarithm of the mean of e^f over the x of training and all y.

    Args:
        score: function of x (n, dim) and y (m, dim) to scores (m, n), such as
            `lambda x, y: critic([x, y])`.
        held_out: x and y, (n, dim) each.
        train: x that the critic was trained on, or others that are not held out, (m, dim).

    Returns:
        {"infonce", "tuba", "nwj", "dv", "uba": nats, "log_n": the cap of the first}. The first two
        are lower bounds in expectation, and NWJ is but for its constant, which has seen y; DV and
        UBA as estimated are not, see their functions.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(40, 2))
    >>> score = lambda x, y: cosine_scores(x, y, temperature=0.1)
    >>> found = critic_bounds(score, (x[:20], x[:20]), x[20:])
    >>> found["uba"] >= found["dv"] >= found["tuba"], found["infonce"] <= found["log_n"]
    (True, True)

    Reference: Poole et al., On variational bounds of mutual information, 2019, secs. 2.2 and 2.3.
    """
    scores = score(*held_out)
    by_y = log_mean_exp(score(train, held_out[1]))
    corrected, constant = scores - by_y[:, None], log_mean_exp(by_y[None])[0]
    found = {
        "infonce": infonce_bound(scores),
        "tuba": tuba_bound(corrected),
        "nwj": nwj_bound(scores - constant + 1.0),
        "dv": dv_bound(corrected),
        "uba": uba_bound(scores),
        "log_n": np.log(len(held_out[0])),
    }
    return {name: float(value) for name, value in found.items()}


class _Best:
    """The weights of a critic that were best on validation pairs."""

    def __init__(self, critic, pairs):
        self.critic, self.pairs, self.step = critic, pairs, 0
        self.weights, self.value = critic.get_weights(), self.value_now()

    def value_now(self):
        return float(self.critic.bound(self.critic(list(self.pairs))))

    def has_passed(self, step):
        """Whether it is long ago, at a step of training."""
        if step % _EVERY:
            return False
        value = self.value_now()
        if value > self.value:
            self.weights, self.value, self.step = self.critic.get_weights(), value, step
        return step - self.step >= _PATIENCE


class _Layers:
    """Dense layers in float32, each with a seed of its own."""

    def __init__(self, seed):
        self.next = 1000 * seed

    def __call__(self, units, activation=None):
        self.next += 1
        start = keras.initializers.GlorotUniform(self.next)
        return layers.Dense(units, activation, kernel_initializer=start, dtype="float32")


def _separable(x, y, hidden, embedding, dense):
    towers = []
    for each in (x, y):
        for _ in range(2):
            each = dense(hidden, "relu")(each)
        towers.append(dense(embedding)(each))
    return ops.matmul(towers[1], ops.transpose(towers[0]))


def _concatenated(x, y, hidden, embedding, dense):
    # The first layer of [x, y] is a sum: once for each x and each y, not for each pair.
    first = dense(hidden)(x)[None, :, :] + dense(hidden)(y)[:, None, :]
    second = dense(hidden, "relu")(ops.relu(first))
    return ops.squeeze(dense(1)(second), axis=-1)


CRITICS = {"separable": _separable, "concatenated": _concatenated}


def _scaled(rows):
    # One scale for all columns: each to its own would lift those that are mostly noise.
    mean, spread = standardization(rows)
    known = np.isfinite(spread)
    mean_square = np.mean(np.square(np.where(known, spread, 0.0)))
    variance = np.where(known, mean_square, np.inf)
    return layers.Normalization(mean=mean, variance=variance, dtype="float32")
