"""CPLearn: laws of its losses, codes and prior."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from keras_ssl.losses.cplearn import (
    cplearn_forward_loss,
    cplearn_forward_terms,
    cplearn_loss,
    cplearn_terms,
    cross_entropy,
    gedi_nogen_terms,
    log_probabilities,
    reverse_kl,
    symmetric_cplearn_forward_loss,
    symmetric_cplearn_forward_terms,
)
from keras_ssl.ops.linalg import l2_normalize
from tests.descriptors import BATCH, make_views
from tests.unit.support import changed, fit, normal, softmax

PRIOR = np.array([4.0, 2.0, 1.0, 1.0], "float32")


def test_codes_used_as_the_prior_says_cost_nothing():
    use = np.repeat(np.arange(4), PRIOR.astype(int))  # 8 rows, each sure of one code
    log_p = log_probabilities(1e3 * tf.one_hot(use, 4))
    np.testing.assert_allclose(reverse_kl(log_p, PRIOR), 0.0, atol=1e-6)
    assert reverse_kl(log_p) > 0.1
    collapsed = log_probabilities(1e3 * tf.one_hot([2] * 8, 4))
    np.testing.assert_allclose(reverse_kl(collapsed, PRIOR), np.log(8), rtol=1e-5)


@pytest.mark.parametrize("loss", [cplearn_loss, cplearn_forward_loss])
def test_a_prior_counts_up_to_a_factor_and_alike_codes_are_the_default(loss):
    a, b = normal(5, 4), normal(5, 4, seed=2)
    np.testing.assert_allclose(loss(a, b, prior=PRIOR), loss(a, b, prior=3 * PRIOR), rtol=1e-6)
    np.testing.assert_allclose(loss(a, b, prior=np.full(4, 0.7)), loss(a, b), rtol=1e-6)
    assert abs(loss(a, b, prior=PRIOR) - loss(a, b)) > 1e-3


def test_the_forward_prior_term_is_the_cross_entropy_of_the_prior():
    a, b, q = normal(5, 4), normal(5, 4, seed=2), PRIOR / PRIOR.sum()
    p, other = softmax(np.asarray(a)), softmax(np.asarray(b))
    wanted = -0.3 * np.mean((p * np.log(other)).sum(-1)) - (q * np.log(p.mean(0))).sum()
    found = cplearn_forward_loss(a, b, beta=0.3, prior=PRIOR)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "l2"])
@pytest.mark.parametrize(
    "divergence, loss", [("reverse", cplearn_loss), ("forward", symmetric_cplearn_forward_loss)]
)
def test_cplearn_compares_embeddings_with_its_codes(activation, divergence, loss):
    options = {"activation": activation, "divergence": divergence, "beta": 0.4}
    method = changed("cplearn", **options)
    outputs = method.embed(make_views(method), training=True)
    codes = np.asarray(method.codes.codes)
    assert set(np.unique(codes)) == {-1.0, 1.0} and not method.codes.trainable_variables
    features = method.encode(make_views(method), training=True)
    tau = 16 / (np.sqrt(BATCH) * np.log((1 - 1e-8 * 31) / 1e-8))
    for logits, feature in zip(outputs, features, strict=True):
        h = np.asarray(method.embedder(feature, training=True))
        h = (
            np.tanh(h)
            if activation == "tanh"
            else np.sqrt(16 / BATCH) * np.asarray(l2_normalize(h))
        )
        np.testing.assert_allclose(logits, h @ codes / tau, rtol=1e-4, atol=1e-5)
    terms = method.loss_terms(outputs)
    np.testing.assert_allclose(sum(terms.values()), loss(*outputs, beta=0.4), rtol=1e-6)
    agreed = 0.5 * (cross_entropy(*map(log_probabilities, outputs)))
    agreed += 0.5 * (cross_entropy(*map(log_probabilities, outputs[::-1])))
    np.testing.assert_allclose(terms["invariance"], 0.4 * agreed, rtol=1e-6)


SURE = 1e3 * np.eye(4, dtype="float32")  # every code used once, without doubt


@pytest.mark.parametrize(
    "terms_of, least, collapsed",
    [
        (cplearn_terms, 0.0, np.log(4)),
        (cplearn_forward_terms, np.log(4), np.inf),
        (symmetric_cplearn_forward_terms, np.log(4), np.inf),
        (gedi_nogen_terms, 2 * np.log(4), np.inf),
    ],
)
def test_the_terms_are_least_where_their_documentation_says(terms_of, least, collapsed):
    np.testing.assert_allclose(terms_of(SURE, SURE), [0.0, least], atol=1e-6)
    same_code = 1e3 * tf.one_hot([2] * 4, 4)  # collapse to one code: sure, and the prior missed
    invariance, matching_prior = terms_of(same_code, same_code)
    assert invariance == 0.0
    if np.isfinite(collapsed):
        np.testing.assert_allclose(matching_prior, collapsed, rtol=1e-6)
    else:
        assert matching_prior > 100
    undecided = np.zeros((4, 4), "float32")  # the same for all images: the prior is matched
    invariance, matching_prior = terms_of(undecided, undecided)
    np.testing.assert_allclose(matching_prior, least, atol=1e-6)
    assert invariance > 0.5


@pytest.mark.parametrize(
    "loss, terms_of",
    [
        (cplearn_loss, cplearn_terms),
        (cplearn_forward_loss, cplearn_forward_terms),
        (symmetric_cplearn_forward_loss, symmetric_cplearn_forward_terms),
    ],
)
def test_the_loss_is_beta_times_the_invariance_and_the_prior(loss, terms_of):
    a, b = normal(5, 4), normal(5, 4, seed=2)
    invariance, matching_prior = terms_of(a, b, prior=PRIOR)
    wanted = 0.3 * invariance + matching_prior
    np.testing.assert_allclose(loss(a, b, beta=0.3, prior=PRIOR), wanted, rtol=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "l2"])
def test_cplearn_reads_any_batch_at_the_temperature_of_its_own(activation):
    method = changed("cplearn", activation=activation)
    x = normal(BATCH, 16)
    np.testing.assert_allclose(method.codes(x[:2]), method.codes(x)[:2], rtol=1e-5, atol=1e-6)


def test_cplearn_takes_a_prior_of_the_right_length_only():
    with pytest.raises(UserError, match="each of the 32 codes. Received 3 shares"):
        changed("cplearn", prior=(1.0, 2.0, 3.0))
    with pytest.raises(UserError, match="each a number greater than 0"):
        changed("cplearn", prior=(0.0,) + 31 * (1.0,))
    with pytest.raises(UserError, match="Did you mean 'forward'"):
        changed("cplearn", divergence="forwrd")
    method = changed("cplearn", prior=tuple(range(1, 33)))
    assert np.isfinite(fit(method, make_views(method), 2).history["loss"][0])
