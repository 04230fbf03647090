"""Permutations of a step."""

import itertools

import numpy as np
import tensorflow as tf

from keras_ssl.ops.random import permutation


def test_a_permutation_depends_on_the_seed_and_the_index_alone():
    one = permutation(16, seed=3, index=5)
    assert sorted(np.asarray(one)) == list(range(16))
    compiled = tf.function(lambda index: permutation(16, 3, index), jit_compile=True)
    np.testing.assert_array_equal(compiled(tf.constant(5, "int64")), one)
    for other in (permutation(16, 4, 5), permutation(16, 3, 6)):
        assert np.any(other != one)
    assert sorted(np.asarray(permutation(16, 2**31 - 1, 2**31 - 1))) == list(range(16))


def test_permutations_of_successive_indices_are_uniform_and_independent():
    draw = tf.function(lambda index: permutation(3, 7, index))
    drawn = [tuple(draw(tf.constant(index)).numpy()) for index in range(720)]
    single = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(single) == 6 and np.all(np.abs(single - 120) < 40)
    pairs = [a + b for a, b in itertools.pairwise(drawn)]
    counts = np.unique(pairs, axis=0, return_counts=True)[1]
    assert len(counts) == 36 and np.all(counts < 45)  # 20 each on average
