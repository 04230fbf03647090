"""The curves of a training."""

import numpy as np

from keras_ssl.report import training_section

LOG = [
    {"epoch": 1, "step": 5, "time": 1.0, "loss": 3.0, "a": 1.0, "b": 2.0, "rank": None},
    {"epoch": 2, "step": 9, "time": 2.0, "loss": None, "a": 0.5, "b": 1.0, "knn": 90.0},
    {"epoch": 3, "step": 13, "time": 3.0, "loss": 2.0, "a": 0.5, "b": 1.0, "knn": 91.0},
]


def test_terms_are_drawn_with_the_loss_and_the_rest_alone():
    section = training_section(LOG, ["a", "b"])
    assert [(p.name, list(p.series)) for p in section.plots] == [
        ("loss", ["loss", "a", "b"]),
        ("accuracy", ["k-NN"]),
    ]


def test_a_loss_that_was_not_finite_is_a_gap_and_a_sentence():
    section = training_section(LOG)
    assert np.isnan(section.plots[0].series["loss"]["y"][1])
    assert any("not finite in 1 of 3" in words for words in section.words)


def test_an_only_term_is_not_drawn_twice():
    section = training_section([{"epoch": e, "loss": 1.0, "byol": 1.0} for e in (1, 2)], ["byol"])
    assert [list(plot.series) for plot in section.plots] == [["loss"]]


def test_what_was_measured_once_is_a_row_and_no_curve():
    section = training_section([*LOG, {"epoch": 4, "largest_cluster": 0.25}])
    assert "largest_cluster" not in {plot.name for plot in section.plots}
    assert section.tables[0].rows == (("largest cluster", 4, 0.25),)
    alone = training_section([{"epoch": 1, "loss": 1.0, "byol": 1.0}], ["byol"])
    assert not alone.plots and alone.tables[0].rows == (("loss", 1, 1.0),)


def test_what_other_sections_draw_is_left_out():
    section = training_section(LOG, ["a", "b"], elsewhere={"a", "b"})
    assert [list(plot.series) for plot in section.plots] == [["loss"], ["k-NN"]]


def test_what_a_training_looked_like_is_said():
    row = {"epoch": 4, "metric": "simsiam", "value": -0.9996, "target": "-1"}
    row |= {"description": "all is one"}
    words = training_section(LOG, warnings=[{**row, "cure": "a predictor"}, {"value": None}]).words
    assert "In epoch 4 'simsiam' was -0.9996, near -1: it looked as if all is one." in words[-2]
    assert words[-2].endswith("Usual cure: a predictor.")
    assert "not finite" in words[-1]


def test_no_log_no_section():
    assert training_section([]) is None and training_section([{"other": 1}]) is None
