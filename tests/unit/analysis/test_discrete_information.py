"""Information of discrete variables: closed forms and laws."""

import math

import numpy as np
import pytest

from keras_ssl.analysis.discrete_information import (
    conditional_mutual_information,
    discrete_entropy,
    discrete_mutual_information,
    interaction_information,
    joint_table,
)
from keras_ssl.core.errors import UserError

LOG_2 = math.log(2.0)
BIT = np.array([0.5, 0.5])


def random_table(*shape, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(math.prod(shape))).reshape(shape)


def test_entropy_of_a_uniform_table_is_the_log_of_its_cells_and_of_one_cell_0():
    assert discrete_entropy(np.ones((3, 4))) == pytest.approx(math.log(12))
    assert discrete_entropy([0, 5, 0]) == 0.0


def test_independent_variables_share_nothing():
    joint = np.outer(random_table(3), random_table(4, seed=1))
    assert discrete_mutual_information(joint) == pytest.approx(0.0, abs=1e-12)


def test_a_function_shares_all_of_its_entropy():
    joint = np.array([[1, 0], [2, 0], [0, 3]])  # Y = f(X): I(X; Y) = H(Y)
    assert discrete_mutual_information(joint) == pytest.approx(discrete_entropy([3, 3]))


def test_a_noisy_bit_shares_one_minus_the_entropy_of_the_noise():
    noise = 0.1
    joint = 0.5 * np.array([[1 - noise, noise], [noise, 1 - noise]])
    wanted = LOG_2 - discrete_entropy([noise, 1 - noise])
    assert discrete_mutual_information(joint) == pytest.approx(wanted)


def test_mutual_information_is_a_symmetric_divergence():
    joint = random_table(3, 4)
    product = np.outer(joint.sum(1), joint.sum(0))
    wanted = np.sum(joint * np.log(joint / product))
    assert discrete_mutual_information(joint) == pytest.approx(wanted)
    assert discrete_mutual_information(joint.T) == pytest.approx(wanted)


def test_conditional_information_is_the_mean_over_what_is_known():
    joint = random_table(3, 4, 2)
    wanted = sum(joint[..., z].sum() * discrete_mutual_information(joint[..., z]) for z in range(2))
    assert conditional_mutual_information(joint) == pytest.approx(wanted)


def test_chain_rule():
    joint = random_table(3, 4, 2)
    both = joint.transpose(0, 2, 1).reshape(3, 8)  # X against (Z, Y)
    wanted = discrete_mutual_information(both) - discrete_mutual_information(joint.sum(1))
    assert conditional_mutual_information(joint) == pytest.approx(wanted)


def test_views_that_repeat_each_other_are_redundant():
    """I(Y; X1 | X2) = 0 where X1 = X2."""
    label_and_view = random_table(3, 4)
    joint = label_and_view[:, :, None] * np.eye(4)
    assert conditional_mutual_information(joint) == pytest.approx(0.0, abs=1e-12)


def test_interaction_of_three_copies_and_of_exclusive_or():
    copies = np.zeros((2, 2, 2))
    copies[0, 0, 0] = copies[1, 1, 1] = 0.5
    assert interaction_information(copies) == pytest.approx(LOG_2)
    exclusive_or = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]]])
    assert interaction_information(exclusive_or) == pytest.approx(-LOG_2)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
def test_interaction_is_the_same_in_any_order(order):
    joint = random_table(3, 4, 2)
    turned = joint.transpose(order)
    # I(Y; Z) - I(Y; Z | X), X first.
    wanted = discrete_mutual_information(turned.sum(0))
    wanted -= conditional_mutual_information(turned.transpose(1, 2, 0))
    assert interaction_information(joint) == pytest.approx(wanted)


def test_tables_count_values_of_any_kind():
    table = joint_table(np.array([5, 5, -1]), ["b", "a", "b"], [True, True, False])
    assert table.shape == (2, 2, 2) and table.sum() == 3
    assert table[1, 0, 1] == table[1, 1, 1] == table[0, 1, 0] == 1


def test_what_is_no_table_is_refused():
    with pytest.raises(UserError, match="2, 3"):
        joint_table([1, 2], [1, 2, 3])
    for wrong in ([0, 0], [-1, 2], [float("nan"), 1]):
        with pytest.raises(UserError, match=">= 0"):
            discrete_entropy(wrong)
    with pytest.raises(UserError, match="each of 3"):
        interaction_information(np.eye(2))
    with pytest.raises(UserError, match="each of 2"):
        discrete_mutual_information([1, 2])
