"""What the analysis says of simplices, and of those that collapsed or have no labels."""

import numpy as np

from keras_ssl.analysis.sections import section_from_plain, section_to_plain
from stages.analysis import bound, semantics, simplices
from tests.unit.stages.analysis.test_subject import subject


def seen(name="sem_simclr", *more):
    return subject(name, "--set=neck.num_simplices=6", "--set=neck.simplex_size=4", *more)


def test_simplices_are_described():
    found = simplices.section(seen())
    values = found.values
    assert values["num_simplices"] == 6 and values["simplex_size"] == 4
    assert 0 < values["entropy"]["0.01"] < values["entropy"]["1"] <= np.log(4)
    assert 1 <= values["effective_vertices"] <= 4 and values["code_images"] == 20
    names = ["entropy", "information", "spectrum", "typical"]
    assert [plot.name for plot in found.plots] == names
    assert "6 simplices of 4 entries" in found.words[0]
    kept = section_from_plain(section_to_plain(found))
    assert [plot.name for plot in kept.plots] == names[:-1]


def test_there_is_nothing_to_say_of_simplices_without_any():
    of = subject("simclr")
    assert simplices.section(of) is None and bound.section(of) is None


def test_collapsed_and_unlabeled_simplices_are_described(monkeypatch):
    from stages.analysis.subject import Subject

    of = seen()
    changed = Subject(of.recipe, of.inputs, of.workdir, of.encoder, None)
    changed.__dict__.update(
        features=np.ones_like(of.features),
        train_features=np.ones_like(of.features),
        logits=np.ones_like(of.logits),
        labels=None,
    )
    found = simplices.section(changed)
    assert found.values["constant_simplices"] == 6 and found.values["distinct_codes"] == 1
    assert any("most simplices say nothing" in words for words in found.words)
    assert "class_information" not in found.values
    assert semantics.section(changed) is None
    assert "expressivity" not in bound.section(changed).values["readings"]["logits"]
