"""What the base class does for methods that freeze parameters or count epochs."""

import numpy as np
import pytest

import keras_ssl
from keras_ssl.core.errors import UserError
from tests.descriptors import METHODS, make_method, make_views


@pytest.mark.parametrize("name", ["swav", "dino"])
def test_the_optimizer_counts_the_gradients_of_parameters_that_it_may_not_move(name):
    held, free = make_method(name, optimizer="adamw"), make_method(name, optimizer="adamw")
    free.freeze_epochs = 0
    for method in (held, free):
        method.train_step(make_views(method))
    for a, b in zip(held.optimizer.variables, free.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    stays, moves = (method.frozen_parameters()[0][0] for method in (held, free))
    assert np.any(np.asarray(stays) != np.asarray(moves))
    np.testing.assert_array_equal(stays, make_method(name).frozen_parameters()[0][0])


@pytest.mark.parametrize("name", ["swav", "dino"])
def test_methods_that_count_epochs_ask_for_their_length(name):
    arguments = {**METHODS[name], "steps_per_epoch": None}
    method = keras_ssl.create(name, backbone="tiny", input_shape=(8, 8, 3), **arguments)
    with pytest.raises(UserError, match="steps_per_epoch"):
        method.frozen_parameters()


def test_no_step_and_no_epoch_has_passed_before_compile():
    arguments = {**METHODS["dino"], "steps_per_epoch": 4}
    method = keras_ssl.create("dino", backbone="tiny", input_shape=(8, 8, 3), **arguments)
    assert (int(method.step), int(method.epoch)) == (0, 0)
