"""Bounds of CPLearn's loss, and what they prove."""

import keras
import numpy as np
import pytest

from keras_ssl.analysis import certificate
from keras_ssl.analysis.certificate import certify, cplearn_bound, cplearn_statistics
from keras_ssl.core.errors import UserError
from keras_ssl.losses.cplearn import cplearn_terms, symmetric_cplearn_forward_terms

CODES = 8


def statistics(first, second=None, **settings):
    """Of logits instead of embeddings."""
    second = first if second is None else second
    return cplearn_statistics(first, second, np.eye(first.shape[1]), 1.0, **settings)


def least_loss(p, beta):
    """The reverse loss of predictions (n, c) that both views have."""
    logits = np.log(np.maximum(p, 1e-300))
    terms = statistics(logits)
    return beta * terms.invariance + terms.matching_prior


@pytest.mark.parametrize("prior", [None, np.arange(1.0, 6.0)])
@pytest.mark.parametrize(
    "divergence, terms_of",
    [("reverse", cplearn_terms), ("forward", symmetric_cplearn_forward_terms)],
)
def test_statistics_in_blocks_are_the_terms_that_are_trained(
    divergence, terms_of, prior, monkeypatch
):
    draw = np.random.default_rng(0)
    first, second, codes = (
        draw.normal(size=(7, 3)),
        draw.normal(size=(7, 3)),
        draw.normal(size=(3, 5)),
    )
    monkeypatch.setattr(certificate, "_BLOCK", 3)
    found = cplearn_statistics(first, second, codes, 0.5, divergence=divergence, prior=prior)
    logits = [keras.ops.convert_to_tensor(2 * x @ codes) for x in (first, second)]
    expected = [float(term) for term in terms_of(*logits, prior=prior)]
    np.testing.assert_allclose((found.invariance, found.matching_prior), expected, rtol=1e-6)


@pytest.mark.parametrize("divergence", ["reverse", "forward"])
def test_the_minimum_of_lemma_1_attains_the_bound(divergence):
    epsilon = 1e-3
    p = np.full((CODES, CODES), epsilon)
    np.fill_diagonal(p, 1 - epsilon * (CODES - 1))
    p = np.tile(p, (3, 1))
    found = certify(
        statistics(np.log(p), divergence=divergence), 0.5, epsilon=epsilon, divergence=divergence
    )
    assert found.loss == pytest.approx(found.bound.total)
    assert found.gap == pytest.approx(0.0, abs=1e-9)
    assert found.attained() and found.not_constant
    assert found.codes_used == pytest.approx(CODES)


def test_without_epsilon_the_bound_is_the_entropy_of_the_prior():
    prior = np.arange(1.0, 5.0)
    q = prior / prior.sum()
    found = cplearn_bound(4, 2.0, epsilon=0.0, divergence="forward", prior=prior)
    assert found.total == pytest.approx(-(q * np.log(q)).sum())
    assert cplearn_bound(4, 2.0, epsilon=0.0, prior=prior).total == 0.0


@pytest.mark.parametrize("beta", [0.05, 0.5, 1.0, 3.0])
def test_no_predictions_are_below_the_bound_of_their_batch(beta):
    draw = np.random.default_rng(1)
    bound = cplearn_bound(CODES, beta, images=3, epsilon=0.0)
    for scale in np.geomspace(0.1, 100.0, 40):
        terms = statistics(scale * draw.normal(size=(3, CODES)))
        assert beta * terms.invariance + terms.matching_prior >= bound.batch - 1e-9


@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_few_images_attain_the_bound_of_their_batch(beta):
    groups = np.kron(np.eye(2), np.full((1, 4), 0.25))  # 2 images, each undecided among 4 of 8
    p = groups if beta < 1 else np.eye(2, CODES)
    bound = cplearn_bound(CODES, beta, images=2, epsilon=0.0)
    assert least_loss(p, beta) == pytest.approx(bound.batch)


@pytest.mark.parametrize("beta", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("prior", [None, np.arange(1.0, CODES + 1)])
def test_constant_predictions_are_not_below_their_bound(beta, prior):
    draw = np.random.default_rng(2)
    bound = cplearn_bound(CODES, beta, epsilon=0.0, prior=prior).constant
    for scale in np.geomspace(0.01, 30.0, 60):
        terms = statistics(np.tile(scale * draw.normal(size=CODES), (4, 1)), prior=prior)
        assert beta * terms.invariance + terms.matching_prior >= bound - 1e-9
        assert not certify(terms, beta, prior=prior).not_constant


def test_a_loss_below_that_of_constants_tells_images_apart():
    draw = np.random.default_rng(3)
    for scale in (0.3, 1.0, 10.0):
        first = scale * draw.normal(size=(50, CODES))
        found = certify(statistics(first, first + 0.1 * draw.normal(size=first.shape)), 0.5)
        assert found.not_constant or found.loss >= found.bound.constant


def test_clusters_are_at_most_the_information_in_the_predictions():
    draw = np.random.default_rng(4)
    first = 5 * draw.normal(size=(50, CODES))
    terms = statistics(first, first + draw.normal(size=first.shape))
    assert 1 < certify(terms, 1.0).clusters <= np.exp(terms.information)


@pytest.mark.parametrize("used", [1, 2, 4])
def test_a_cluster_collapse_certifies_as_many_clusters_as_there_are(used):
    logits = 100.0 * np.eye(CODES)[np.arange(24) % used]
    found = certify(statistics(logits), 1.0)
    assert found.clusters == pytest.approx(used)
    assert found.codes_used == pytest.approx(used)
    assert found.prior_gap == pytest.approx(np.log(CODES / used))
    assert not found.attained()


def test_statistics_stay_finite_where_probabilities_underflow():
    logits = 1e5 * np.eye(CODES)[np.zeros(4, int)]
    for divergence in ("reverse", "forward"):
        terms = statistics(logits, divergence=divergence)
        assert np.isfinite(terms.matching_prior) and np.isfinite(terms.code_entropy)


def test_an_epsilon_out_of_range_is_refused():
    with pytest.raises(UserError, match="epsilon"):
        cplearn_bound(10, 1.0, epsilon=0.2)


def test_an_unknown_divergence_is_refused():
    with pytest.raises(UserError, match="reverse"):
        cplearn_bound(10, 1.0, divergence="backward")
