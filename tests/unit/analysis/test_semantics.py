"""Graph of classes and features, coherence in all readings, CIFAR-100's superclasses."""

import numpy as np
import pytest

from keras_ssl.analysis.cifar100 import SUPERCLASSES, cifar100_classes, cifar100_superclasses
from keras_ssl.analysis.semantics import (
    chance_coherence,
    class_graph,
    coherence_readings,
    semantic_coherence,
    top_features,
)
from keras_ssl.core.errors import UserError

# Coarse labels of the fine labels 0 to 99, as the data set's files pair them.
COARSE = """4 1 14 8 0 6 7 7 18 3 3 14 9 18 7 11 3 9 7 11 6 11 5 10 7 6 13 15 3 15 0 11 1 10 12
14 16 9 11 5 5 19 8 8 15 13 14 17 18 10 16 4 17 4 2 0 17 4 18 17 10 3 2 12 12 16 12 1
9 19 2 10 0 1 16 12 9 13 15 13 16 19 2 4 6 19 5 5 8 19 18 1 2 15 6 0 17 8 14 13"""


def test_superclasses_are_those_of_the_data_set():
    assert cifar100_superclasses().tolist() == [int(each) for each in COARSE.split()]
    assert len(set(cifar100_classes())) == 100
    assert np.all(np.bincount(cifar100_superclasses()) == 5) and len(SUPERCLASSES) == 20


def test_readings_are_those_of_the_single_function():
    weights = np.random.default_rng(0).normal(size=(20, 6))
    superclasses, numbers = [0, 0, 1, 1, 2, 2], (1, 3, 20)
    readings = coherence_readings(weights, superclasses, numbers)
    for name, values in readings.items():
        ranking, pairs, isolated = name.split("_")
        options = {
            "by_magnitude": ranking == "magnitude",
            "count_each_feature": pairs == "multi",
            "skip_isolated": isolated == "skip",
        }
        single = [semantic_coherence(weights, superclasses, k, **options) for k in numbers]
        assert values == single
    assert readings["magnitude_set_zero"][-1] == pytest.approx(chance_coherence(superclasses))


def test_features_of_superclasses_are_coherent_and_their_graph_falls_apart():
    weights = 0.01 * np.random.default_rng(0).normal(size=(12, 6))
    superclasses = np.array([0, 0, 1, 1, 2, 2])
    for label, group in enumerate(superclasses):
        weights[2 * group : 2 * group + 2, label] += 1.0
    assert semantic_coherence(weights, superclasses, 2) == 1.0
    graph = class_graph(weights, 2)
    assert graph.groups == [[0, 1], [2, 3], [4, 5]] and graph.linked == 6 and graph.largest == 2
    assert sorted(set(graph.features.tolist())) == [0, 1, 2, 3, 4, 5]


def test_features_of_one_class_are_pruned():
    weights = np.array([[3.0, 0.0, 0.0], [0.0, 2.0, 1.0], [0.0, 0.0, 0.0]])
    graph = class_graph(weights, 1)
    assert graph.features.tolist() == [1, 1] and graph.classes.tolist() == [1, 2]
    assert graph.weights.tolist() == [2.0, 1.0] and graph.components.tolist() == [0, 1, 1]
    assert class_graph(np.eye(3), 1).groups == []


def test_one_feature_that_all_classes_keep_is_one_component():
    weights = np.ones((4, 5))
    assert class_graph(weights, 1).groups == [[0, 1, 2, 3, 4]]


def test_signed_ranking_leaves_negative_weights_out():
    weights = [[-9.0, -9.0], [1.0, 0.0], [0.0, 1.0]]
    assert class_graph(weights, 1).linked == 2
    assert class_graph(weights, 1, by_magnitude=False).linked == 0


def test_ranking_agrees_with_a_stable_sort_at_ties():
    scores = np.random.default_rng(0).integers(0, 4, (50, 7)).astype(float)
    expected = np.argsort(-scores, axis=0, kind="stable")[:9]
    assert np.array_equal(top_features(scores, 9), expected)


def test_a_number_of_features_that_are_not_there_is_refused():
    with pytest.raises(UserError, match="between 1 and 3"):
        class_graph(np.eye(3), 4)
