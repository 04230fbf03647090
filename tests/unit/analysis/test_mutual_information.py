"""Bounds on mutual information: their order, their limits, and the closed form of Gaussians."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.analysis import critics, mutual_information
from keras_ssl.analysis.critics import best_temperature, cosine_scores, critic_bounds, train_critic
from keras_ssl.analysis.mutual_information import (
    ba_bound,
    ba_upper_bound,
    dv_bound,
    gaussian_mutual_information,
    infonce_bound,
    log_mean_exp,
    nwj_bound,
    tuba_bound,
    uba_bound,
)
from keras_ssl.core.errors import UserError
from tests.unit.support import random

OF_SCORES = [uba_bound, dv_bound, tuba_bound, nwj_bound, infonce_bound]
RHO, DIM = 0.6, 2


def gaussian_pairs(count, *, rho=RHO, dim=DIM, seed=0):
    """Pairs of which every coordinate of y has the correlation rho with that of x."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(count, dim))
    return x, rho * x + math.sqrt(1.0 - rho**2) * draw.normal(size=(count, dim))


def log_normal(squared, variance=1.0, dim=DIM):
    """Log of the density of an isotropic Gaussian at a squared distance from its mean."""
    return -0.5 * squared / variance - 0.5 * dim * math.log(2.0 * math.pi * variance)


def log_conditionals(x, y, rho=RHO):
    """log p(y_i|x_j), [i, j]."""
    squared = np.sum(np.square(y[:, None] - rho * x[None]), axis=-1)
    return log_normal(squared, 1.0 - rho**2, x.shape[1])


def log_marginal(y):
    return log_normal(np.sum(np.square(y), axis=-1), dim=y.shape[1])


def log_ratios(x, y, rho=RHO):
    """The best critic: log p(y_i|x_j) / p(y_i)."""
    return log_conditionals(x, y, rho) - log_marginal(y)[:, None]


def over_draws(bound, count=32, draws=120):
    """Mean and standard error of `bound(x, y)` over draws of a few pairs."""
    values = [float(bound(*gaussian_pairs(count, seed=seed))) for seed in range(draws)]
    return np.mean(values), np.std(values) / math.sqrt(draws)


def truth(rho=RHO, dim=DIM):
    return -0.5 * dim * math.log(1.0 - rho**2)


def test_closed_form_of_gaussians_agrees_with_determinants_of_covariances():
    np.testing.assert_allclose(gaussian_mutual_information(np.full(DIM, RHO)), truth())
    a = np.random.default_rng(0).normal(size=(5, 5))
    whole = a @ a.T + np.eye(5)
    parts = whole[:2, :2], whole[2:, 2:]
    wanted = 0.5 * np.log(np.prod([np.linalg.det(part) for part in parts]) / np.linalg.det(whole))
    inverse_roots = [np.linalg.inv(np.linalg.cholesky(part)) for part in parts]
    canonical = inverse_roots[0] @ whole[:2, 2:] @ inverse_roots[1].T
    correlations = np.linalg.svd(canonical, compute_uv=False)
    np.testing.assert_allclose(gaussian_mutual_information(correlations), wanted)


def test_ba_of_the_true_conditional_is_the_mutual_information_and_of_another_less():
    x, y = gaussian_pairs(20000)
    entropy = 0.5 * DIM * math.log(2.0 * math.pi * math.e)
    # For these Gaussians p(x|y) is p(y|x) with the roles exchanged.
    squared = np.sum(np.square(x - RHO * y), axis=-1)
    exact = ba_bound(log_normal(squared, 1 - RHO**2), entropy)
    np.testing.assert_allclose(exact, truth(), atol=0.03)
    wide = ba_bound(log_normal(squared, 1.0), entropy)
    divergence = 0.5 * DIM * (1 - RHO**2 - 1 - math.log(1 - RHO**2))
    np.testing.assert_allclose(wide, truth() - divergence, atol=0.03)


def test_ba_upper_bound_is_tight_for_the_true_marginal_and_above_for_another():
    x, y = gaussian_pairs(20000)
    log_conditional = log_normal(np.sum(np.square(y - RHO * x), axis=-1), 1 - RHO**2)
    exact = ba_upper_bound(log_conditional, log_marginal(y))
    np.testing.assert_allclose(exact, truth(), atol=0.03)
    wide = log_normal(np.sum(np.square(y), axis=-1), variance=2.0)
    divergence = 0.5 * DIM * (0.5 - 1.0 + math.log(2.0))
    loose = ba_upper_bound(log_conditional, wide)
    np.testing.assert_allclose(loose, truth() + divergence, atol=0.03)


def test_best_critic_of_gaussians_reaches_the_closed_form():
    x, y = gaussian_pairs(1000)
    scores = log_ratios(x, y)
    found = [uba_bound(scores), dv_bound(scores), tuba_bound(scores), nwj_bound(1.0 + scores)]
    np.testing.assert_allclose([*found, infonce_bound(scores)], truth(), atol=0.06)


@pytest.mark.parametrize("rho, dim", [(0.2, 1), (0.7, 1), (0.5, 4)])
def test_best_critic_reaches_the_closed_form_of_weak_and_strong_relations(rho, dim):
    x, y = gaussian_pairs(1000, rho=rho, dim=dim, seed=1)
    scores = log_ratios(x, y, rho)
    np.testing.assert_allclose(nwj_bound(1.0 + scores), truth(rho, dim), atol=0.12)
    np.testing.assert_allclose(infonce_bound(scores), truth(rho, dim), atol=0.12)


@pytest.mark.parametrize("seed, scale", [(0, 0.1), (1, 1.0), (2, 5.0)])
def test_bounds_of_the_same_scores_are_ordered(scale, seed):
    """NWJ <= DV <= UBA, and TUBA with any constant <= DV, with any function of y <= UBA."""
    scores = scale * random(16, 16, seed=seed, dtype="float64")
    dv, uba = dv_bound(scores), uba_bound(scores)
    assert nwj_bound(scores) <= dv <= uba
    for baseline in (-1.0, 0.0, 3.0):
        assert tuba_bound(scores, baseline) <= dv + 1e-12
        assert tuba_bound(scores, baseline + random(16, seed=seed, dtype="float64")) <= uba
    assert infonce_bound(scores) <= math.log(16)


def test_best_constant_makes_tuba_dv_and_the_best_function_makes_it_uba():
    scores = random(8, 8, dtype="float64").numpy()
    others = np.exp(scores)[~np.eye(8, dtype=bool)].reshape(8, 7).mean(axis=1)
    best = tuba_bound(scores, np.log(others.mean()))
    np.testing.assert_allclose(best, dv_bound(scores), rtol=1e-10)
    np.testing.assert_allclose(tuba_bound(scores, np.log(others)), uba_bound(scores), rtol=1e-10)


def test_nwj_is_tuba_with_e_and_both_are_their_sums():
    scores = random(8, 8, dtype="float64").numpy()
    off = ~np.eye(8, dtype=bool)
    wanted = np.mean(np.diag(scores)) - np.mean(np.exp(scores[off])) / math.e
    np.testing.assert_allclose(nwj_bound(scores), wanted, rtol=1e-10)
    a = np.linspace(-1.0, 1.0, 8)
    ratio = np.exp(scores - a[:, None])[off].mean()
    wanted = np.mean(np.diag(scores)) - ratio - a.mean() + 1.0
    np.testing.assert_allclose(tuba_bound(scores, a), wanted, rtol=1e-10)


def test_functions_of_y_and_constants_that_bounds_do_not_see():
    scores, of_y = random(8, 8, dtype="float64"), random(8, 1, seed=1, dtype="float64")
    for bound in (uba_bound, infonce_bound):
        np.testing.assert_allclose(bound(scores + of_y), bound(scores), rtol=1e-10)
    np.testing.assert_allclose(dv_bound(scores + 3.0), dv_bound(scores), rtol=1e-10)
    np.testing.assert_allclose(
        tuba_bound(scores + of_y, of_y[:, 0]), tuba_bound(scores), rtol=1e-10
    )


def test_unbiased_estimates_lie_at_the_truth_and_infonce_below_in_expectation():
    mean, error = over_draws(lambda x, y: tuba_bound(log_ratios(x, y)))
    assert abs(mean - truth()) < 4 * error
    mean, error = over_draws(lambda x, y: nwj_bound(log_ratios(x, y)))  # 1 is missing: not best
    assert mean < truth() - 4 * error


def test_known_conditional_gives_a_lower_and_an_upper_bound():
    """InfoNCE and leave-one-out of log p(y|x), with few samples so that the gap can be seen."""
    low, low_error = over_draws(lambda x, y: infonce_bound(log_conditionals(x, y)), 4, 400)
    high, high_error = over_draws(lambda x, y: uba_bound(log_conditionals(x, y)), 4, 400)
    assert low + 3 * low_error < truth() < high - 3 * high_error


def test_infonce_cannot_say_more_than_log_n():
    x, y = gaussian_pairs(16, rho=0.9999, dim=8)
    bound = infonce_bound(log_ratios(x, y, 0.9999))
    assert truth(0.9999, 8) > 30.0
    assert math.log(16) - 1e-6 < bound <= math.log(16)
    assert uba_bound(log_ratios(x, y, 0.9999)) > math.log(16)


@pytest.mark.parametrize("bound", OF_SCORES)
def test_equal_scores_say_nothing(bound):
    shift = 1.0 if bound is nwj_bound else 0.0
    scores = tf.fill((6, 6), shift)
    np.testing.assert_allclose(bound(scores), 0.0, atol=1e-6)


@pytest.mark.parametrize("bound", OF_SCORES)
@pytest.mark.parametrize("scores", ["zero", "equal", "sure", "wrong", "huge", "half"])
def test_bounds_and_gradients_are_finite(bound, scores):
    scores = {
        "zero": tf.zeros((4, 4)),
        "equal": tf.fill((4, 4), 7.0),
        "sure": 1e3 * tf.eye(4),
        "wrong": 1e3 * (1.0 - tf.eye(4)),
        "huge": tf.fill((4, 4), 1e6),
        "half": tf.cast(random(4, 4), "float16"),
    }[scores]
    with tf.GradientTape() as tape:
        tape.watch(scores)
        value = bound(scores)
    assert value.dtype == tf.float32
    gradient = tape.gradient(value, scores)
    assert np.isfinite(value) and np.all(np.isfinite(gradient))


@pytest.mark.parametrize("bound", OF_SCORES)
def test_bounds_compile_for_any_number_of_pairs(bound):
    compiled = tf.function(bound, input_signature=[tf.TensorSpec((None, None))])
    for count in (2, 5):
        scores = random(count, count)
        np.testing.assert_allclose(compiled(scores), bound(scores), rtol=1e-5)


@pytest.mark.parametrize("bound", OF_SCORES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (4,)])
def test_what_is_no_square_of_scores_is_refused(bound, shape):
    with pytest.raises(ValueError, match=r"\(n, n\)"):
        bound(tf.zeros(shape))


def test_infonce_bound_is_that_of_the_loss():
    from keras_ssl.losses import infonce, mutual_information_bound

    queries, keys = random(6, 3), random(6, 3, seed=1)
    wanted = mutual_information_bound(infonce(queries, keys), 6)
    np.testing.assert_allclose(infonce_bound(queries @ tf.transpose(keys)), wanted, rtol=1e-5)


def test_training_raises_the_bound_on_held_out_pairs():
    x, y = gaussian_pairs(1200, rho=0.9)
    options = {"hidden": 32, "batch_size": 64, "learning_rate": 1e-2}
    before, after = (train_critic(x[200:], y[200:], steps=n, **options) for n in (0, 40))
    bounds = [infonce_bound(critic([x[:200], y[:200]])) for critic in (before, after)]
    assert bounds[0] < 0.1 and 0.4 * truth(0.9) < bounds[1] < truth(0.9)


@pytest.mark.slow
@pytest.mark.parametrize("kind", critics.CRITICS)
def test_a_trained_critic_comes_near_and_stays_below_the_closed_form(kind):
    x, y = gaussian_pairs(3000, rho=0.8)
    options = {"steps": 150, "hidden": 64, "batch_size": 64, "learning_rate": 3e-3}
    critic = train_critic(x[1000:], y[1000:], kind=kind, **options)
    held_out = x[:500], y[:500]
    found = critic_bounds(lambda x, y: critic([x, y]), held_out, x[1000:1500])
    most = found["uba"], found["dv"], found["tuba"]
    assert most[0] >= most[1] >= most[2] > 0.75 * truth(0.8)
    assert 0.8 * truth(0.8) < found["infonce"] < truth(0.8) + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("bound", critics.BOUNDS)
def test_every_bound_trains_a_critic(bound):
    x, y = gaussian_pairs(1200, rho=0.9)
    options = {"hidden": 32, "batch_size": 64, "learning_rate": 1e-2}
    critic = train_critic(x[200:], y[200:], bound=bound, steps=40, **options)
    assert infonce_bound(critic([x[:200], y[:200]])) > 0.3 * truth(0.9)


def test_the_same_seed_trains_the_same_critic():
    x, y = gaussian_pairs(64)
    scores = [train_critic(x, y, steps=2, seed=seed)([x, y]) for seed in (1, 1)]
    np.testing.assert_array_equal(scores[0], scores[1])


def test_critic_is_float32_under_any_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    x, y = gaussian_pairs(32)
    critic = train_critic(x, y, steps=0)
    assert critic([x, y]).dtype == tf.float32
    assert {weight.dtype for weight in critic.weights} == {"float32"}


@pytest.mark.parametrize("kind", critics.CRITICS)
def test_collapsed_rows_give_a_critic_that_knows_nothing(kind):
    x = np.full((64, 4), 0.3, "float32")
    critic = train_critic(x, x, kind=kind, steps=2, hidden=16)
    found = critic_bounds(lambda x, y: critic([x, y]), (x[:32], x[:32]), x[32:])
    np.testing.assert_allclose(
        [found[name] for name in ("infonce", "tuba", "nwj", "dv")], 0.0, atol=1e-5
    )


@pytest.mark.slow
def test_validation_pairs_keep_a_critic_from_learning_by_heart():
    x, y = gaussian_pairs(460, rho=0.8, dim=8)
    train, validation, test = ((x[a:b], y[a:b]) for a, b in ((0, 60), (60, 260), (260, 460)))
    options = {"steps": 200, "hidden": 64, "learning_rate": 3e-3}
    free, kept = (train_critic(*train, validation=v, **options) for v in (None, validation))
    bounds = [float(infonce_bound(critic(list(test)))) for critic in (free, kept)]
    assert bounds[0] < bounds[1] - 0.5 and bounds[1] > 0.0


def test_unknown_critics_and_rows_without_a_partner_are_refused():
    x, y = gaussian_pairs(8)
    with pytest.raises(UserError, match="separable"):
        train_critic(x, y, kind="seperable")
    with pytest.raises(UserError, match="infonce"):
        train_critic(x, y, bound="info")
    with pytest.raises(ValueError, match="8 and 7"):
        train_critic(x, y[:7])


def test_cosine_scores_have_a_row_for_each_y_and_stay_finite_at_zero():
    x, y = random(3, 4), random(2, 4, seed=1)
    scores = cosine_scores(x, y, temperature=0.2)
    assert scores.shape == (2, 3)
    np.testing.assert_allclose(scores, cosine_scores(7.0 * x, y, temperature=0.1) / 2.0, rtol=1e-5)
    assert np.all(cosine_scores(tf.zeros((3, 4)), y, temperature=0.2) == 0)


def test_nwj_of_a_critic_forgives_a_constant_and_no_function_of_y():
    x, y = gaussian_pairs(400)
    found = [
        critic_bounds(lambda x, y, s=s: log_ratios(x, y) + s(y), (x[:200], y[:200]), x[200:])
        for s in (lambda y: 0.0, lambda y: 5.0, lambda y: 2.0 * y[:, :1])
    ]
    plain, constant, of_y = (each["nwj"] for each in found)
    np.testing.assert_allclose(constant, plain, atol=1e-4)
    assert of_y < plain - 0.1 and found[2]["tuba"] == pytest.approx(found[0]["tuba"], abs=1e-4)


def test_best_temperature_is_best_of_those_tried():
    x, y = gaussian_pairs(200, rho=0.9, dim=8)
    best = infonce_bound(cosine_scores(x, y, temperature=best_temperature(x, y)))
    for temperature in (0.01, 0.1, 1.0, 10.0):
        assert best >= infonce_bound(cosine_scores(x, y, temperature=temperature)) - 0.05


def test_log_mean_exp_of_scores_of_other_x_is_a_baseline_near_the_best():
    x, y = gaussian_pairs(1000)
    other = log_mean_exp(log_ratios(gaussian_pairs(500, seed=5)[0], y) + 3.0)
    np.testing.assert_allclose(np.median(other), 3.0, atol=0.1)  # log Z of the best critic is 0
    found = mutual_information.tuba_bound(log_ratios(x, y) + 3.0, other)
    np.testing.assert_allclose(found, truth(), atol=0.1)
