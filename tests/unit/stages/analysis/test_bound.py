"""What the analysis says of theorem 1 of Simplicial Embeddings."""

import numpy as np

from stages.analysis import bound
from tests.unit.stages.analysis.test_simplices import seen


def test_terms_of_the_bound_are_smaller_for_simplices():
    found = bound.section(seen())
    readings = found.values["readings"]
    base = readings.pop("logits")
    for reading in readings.values():
        assert reading["phi"] < base["phi"] and reading["phi"] <= reading["phi_lemma4"] + 1e-9
        assert reading["phi_observed"] <= reading["phi"] + 1e-6
        assert 0 <= reading["train_loss"] <= 1 and 0 <= reading["test_loss"] <= 1
    assert base["phi_observed"] <= base["phi"]
    gap = next(plot for plot in found.plots if plot.name == "phi_gap")
    ours, theorem = (np.asarray(lines["y"]) for lines in gap.series.values())
    assert np.all(ours >= theorem)


def test_it_is_said_whether_simplices_lower_the_bound():
    logits = {"tau": None, "phi": 2.0}
    margin = {"least": 0.1, "median": 0.2}
    for phi, what in ((1.0, "That is good"), (2.5, "That is bad")):
        readings = [{"tau": 0.1, "phi": phi}, logits]
        words = list(bound._words(readings, 0.1, 4, margin, 3.0))
        assert words[1].startswith(what) and "expressivity" not in " ".join(words)
