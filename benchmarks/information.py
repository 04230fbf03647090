"""Bounds on the mutual information of correlated Gaussians, whose true value is known.

    python -m benchmarks.information

X and Y have 20 dimensions, each pair of coordinates the same correlation: `I = -10 log(1 - rho^2)`.
The best critic is the density ratio in closed form. The others are trained, by InfoNCE on 20,000
pairs, and score other pairs; TUBA's baseline is taken from the pairs of training. Every bound is
computed on n pairs at once: its mean over the draws, and its standard deviation.
"""

import argparse
import math

from benchmarks.common import table

DIM = 20
CRITICS = {
    "separable": {"kind": "separable", "hidden": 256},
    "concatenated": {"kind": "concatenated", "hidden": 64},
}
BOUNDS = {"infonce": "InfoNCE", "tuba": "TUBA", "dv": "DV", "uba": "UBA"}


def pairs(count, rho, seed):
    """x and y of `count` pairs."""
    import numpy as np

    draw = np.random.default_rng(seed)
    x, noise = draw.normal(size=(2, count, DIM)).astype("float32")
    return x, rho * x + math.sqrt(1.0 - rho**2) * noise


def best_critic(rho):
    """log p(y_i|x_j) / p(y_i)."""

    def score(x, y):
        squares = (y**2).sum(1)[:, None] + rho**2 * (x**2).sum(1) - 2.0 * rho * y @ x.T
        far = 0.5 * squares / (1.0 - rho**2)
        return 0.5 * (y**2).sum(1)[:, None] - far - 0.5 * DIM * math.log(1.0 - rho**2)

    return score


def measure(score, rho, other, options):
    """{bound: "mean ± standard deviation"} over draws of n pairs."""
    import numpy as np

    from keras_ssl.analysis import critic_bounds

    draws = [pairs(options.pairs, rho, 1 + draw) for draw in range(options.draws)]
    found = [critic_bounds(score, draw, other[: options.pairs]) for draw in draws]
    values = {key: [each[key] for each in found] for key in BOUNDS}
    return {key: f"{np.mean(each):.2f} ±{np.std(each):.2f}" for key, each in values.items()}


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--information", type=float, nargs="+", default=[2, 6, 10])
    parser.add_argument("--pairs", type=int, default=500, help="n, that are scored at once")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--steps", type=int, default=500, help="of training; 0: the best alone")
    options = parser.parse_args(argv)
    from keras_ssl.analysis import train_critic

    rows = []
    for true in options.information:
        rho = math.sqrt(1.0 - math.exp(-2.0 * true / DIM))
        train = pairs(20000, rho, 0)
        critics = {"best": best_critic(rho)}
        for name, settings in CRITICS.items() if options.steps else ():
            critic = train_critic(*train, steps=options.steps, learning_rate=1e-3, **settings)
            critics[name] = lambda x, y, critic=critic: critic([x, y]).numpy()
        for name, score in critics.items():
            found = measure(score, rho, train[0], options)
            rows.append([name, f"{true:g}", *found.values()])
    print(f"Nats, {options.pairs} pairs: log n = {math.log(options.pairs):.2f}\n")
    print(table(["critic", "I", *BOUNDS.values()], rows))


if __name__ == "__main__":
    main()
