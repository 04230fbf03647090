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
        assert words[2].startswith(what) and "first term" not in " ".join(words)


def test_the_section_is_folded_names_its_paper_and_writes_numbers_plainly():
    found = bound.section(seen())
    assert found.folded and "Lavoie et al." in found.title and "Lavoie et al." in found.words[0]
    assert "guarantees nothing" in found.words[0] and "e+" not in " ".join(found.words)


def test_a_larger_term_of_smaller_cells_is_a_steeper_classifier():
    terms = {"test_loss": 0.3, "train_loss": 0.1, "log10_confidence": 12.0}
    base = {"tau": None, "phi": 2.0, "expressivity": 1000.4, **terms}
    for phi, count in ((1.0, 2), (3.0, 1)):
        read = {"tau": 1.0, "phi": phi, "expressivity": 1315.2, **terms}
        words = list(bound._said_of_terms([read, base], base))
        assert len(words) == count and "1,315 (tau = 1)" in words[0] and "1,000" in words[0]
