"""The gradient probe of an evaluation: what is trained together, and what chooses tau_d."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_ssl.config.schema import Evaluation as Settings
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation import gradient_probe as module
from keras_ssl.evaluation.evaluators import Evaluation
from keras_ssl.evaluation.gradient_probe import gradient_probe, protocol_of
from keras_ssl.evaluation.representation import Features, Representation
from keras_ssl.evaluation.results import read_results, write_results
from keras_ssl.evaluation.tables import format_table
from tests.blobs import blobs

TRAIN, LABELS, TEST, TEST_LABELS = blobs(train=90, spread=3.0)
ABOVE = {"neck": keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)]), "sizes": (2, 4)}


def _simplices(*temperatures):
    features = Features()
    return [Representation(features, "pretrained", "simplices", t, **ABOVE) for t in temperatures]


def _found(representations, views=None, **settings):
    data = SimpleNamespace(name="blobs", train_labels=LABELS, test_labels=TEST_LABELS)
    settings = Settings(**{"probe": "sem_sgd", "probe_epochs": 3, **settings})
    evaluation = Evaluation(data, settings, augmented=lambda model: (views, {"view": "none"}))
    return list(gradient_probe(evaluation, representations, TRAIN, TEST))


def test_validation_images_choose_one_of_the_temperatures_in_a_row_of_its_own():
    results = _found(_simplices(0.0, 0.1), probe_temperatures=(0.1, 1.0))
    assert [(r.tau, r.metric) for r in results] == [
        (tau, metric) for tau in (0.0, 0.1, None) for metric in ("accuracy", "top5")
    ]
    chosen = results[-2]
    assert chosen.readout == "simplices" and chosen.task == "sem_sgd"
    assert chosen.protocol["temperatures"] == [0.1, 1.0] and chosen.protocol["epochs"] == 3
    assert set(chosen.chosen) == {
        *("tau", "learning_rate", "l1"),
        *("validation", "validation_images"),
    }
    alone = _found(_simplices(0.1, 1.0), probe_temperatures=())
    best = max(alone[::2], key=lambda one: one.chosen["validation"])
    assert (best.tau, best.value) == (chosen.chosen["tau"], chosen.value)
    assert np.array_equal(best.correct, chosen.correct)
    lines = format_table(results).splitlines()
    assert "pretrained, SEM tau_d chosen" in lines[-1]
    assert "linear, sem_sgd, tau_d in 0.1/1" in lines[0] and "[" not in lines[0]


def test_what_was_chosen_is_written_and_does_not_change_what_is_compared(tmp_path):
    results = _found(_simplices(0.1))
    write_results(tmp_path, results, {})
    read = read_results(tmp_path).results
    assert [one.chosen for one in read] == [one.chosen for one in results]
    assert len({one.column for one in results if "temperatures" not in one.protocol}) == 2


def test_the_test_images_have_no_say_in_the_temperature(monkeypatch):
    before = [one.chosen for one in _found(_simplices(0.1))]
    monkeypatch.setattr(f"{__name__}.TEST_LABELS", (TEST_LABELS + 1) % 3)
    assert [one.chosen for one in _found(_simplices(0.1))] == before


@pytest.mark.parametrize("settings", [{"probe": "adam"}, {"probe_temperatures": ()}])
def test_without_a_search_no_temperature_is_chosen(settings):
    assert [one.tau for one in _found(_simplices(0.1), **settings)] == [0.1, 0.1]


def test_features_without_simplices_have_no_temperature():
    results = _found([Representation(Features(), "pretrained", "backbone")])
    assert [one.tau for one in results] == [None, None]


def test_codes_at_temperature_0_give_what_dense_simplices_do():
    views = lambda epoch, seed: TRAIN  # noqa: E731
    (codes, _), (dense, _) = (
        _found(_simplices(0.0), views, probe="adam", probe_views=kind)
        for kind in ("cached", "augmented")
    )
    assert np.array_equal(codes.correct, dense.correct)
    assert dense.protocol["view"] == "none"


def test_the_embedding_is_computed_once_for_all_temperatures():
    read = module._reading(_simplices(0.1, 1.0))
    calls = []
    first = _simplices(0.1, 1.0)
    counted = SimpleNamespace(
        embedding=lambda x: calls.append(1) or first[0].embedding(x), above=first[0].above
    )
    found = module._reading([counted, first[1]])(TRAIN[:4])
    assert len(calls) == 1
    for a, b in zip(found, read(TRAIN[:4]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_nesterov_is_of_sgd():
    assert protocol_of(Settings(probe="sem_sgd", probe_nesterov=True)).optimizer == "nesterov"
    with pytest.raises(UserError, match="Received probe=lars.*sem_sgd"):
        protocol_of(Settings(probe="lars", probe_nesterov=True))


def test_a_temperature_is_chosen_above_the_embedding_where_no_simplices_are_evaluated():
    embedding = Representation(Features(), "pretrained", "embedding", **ABOVE)
    results = _found([embedding], probe_temperatures=(0.1, 1.0))
    assert [(r.readout, r.tau) for r in results[::2]] == [("embedding", None), ("simplices", None)]
    both = _found(_simplices(0.1), probe_temperatures=(0.1, 1.0))
    assert results[-2].chosen == both[-2].chosen and results[-2].value == both[-2].value
