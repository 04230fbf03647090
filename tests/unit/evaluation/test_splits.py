"""Subsets of labeled images."""

import numpy as np

from keras_ssl.evaluation.splits import stratified_parts


def test_a_fifth_of_each_class_is_held_out():
    parts = stratified_parts(np.repeat([0, 1], [20, 10]), seed=0)
    held = parts[0][1]
    assert len(parts) == 5 and (held < 20).sum() == 4 and (held >= 20).sum() == 2
    assert len(stratified_parts(np.repeat([0, 1], [20, 2]), seed=0)) == 2
