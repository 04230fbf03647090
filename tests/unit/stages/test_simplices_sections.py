"""What the analysis says of simplices, of features that classes share, and of theorem 1."""

import numpy as np
import pytest

from keras_ssl.analysis import cifar100_classes, cifar100_superclasses
from keras_ssl.analysis.sections import section_from_plain, section_to_plain
from keras_ssl.core.errors import UserError
from stages.analysis import bound, semantics, simplices
from tests.unit.stages.test_subject import subject


def seen(name="sem_simclr", *more):
    return subject(name, "--set=neck.num_simplices=6", "--set=neck.simplex_size=4", *more)


def test_simplices_are_described():
    found = simplices.section(seen())
    values = found.values
    assert values["num_simplices"] == 6 and values["simplex_size"] == 4
    assert 0 < values["entropy"]["0.01"] < values["entropy"]["1"] <= np.log(4)
    assert 1 <= values["effective_vertices"] <= 4 and values["code_images"] == 20
    names = ["entropy", "vertices", "information", "spectrum", "typical"]
    assert [plot.name for plot in found.plots] == names
    assert "6 simplices of 4 entries" in found.words[0]
    kept = section_from_plain(section_to_plain(found))
    assert [plot.name for plot in kept.plots] == names[:-1]


def test_there_is_nothing_to_say_of_simplices_without_any():
    of = subject("simclr")
    assert simplices.section(of) is None and bound.section(of) is None


def test_classes_share_features_with_and_without_simplices():
    found = semantics.section(seen())
    rows = ["simplices", "embedding", "backbone", "backbone, linear ICA"]
    assert [row[0] for row in found.tables[0].rows] == rows
    assert "Coherence is left out" in found.words[-1]
    plain = semantics.section(subject("simclr"))
    assert [row[0] for row in plain.tables[0].rows] == rows[2:]


def test_coherence_needs_superclasses_of_a_file(tmp_path):
    path = tmp_path / "groups.txt"
    path.write_text("\n".join(["round", "straight", "mixed"][i % 3] for i in range(10)))
    of = subject("simclr", f"--set=analysis.superclasses={path}")
    found = semantics.section(of)
    assert 0.0 <= found.values["backbone"]["coherence"]["magnitude_set_zero"]["5"] <= 1.0
    assert found.plots[0].name == "coherence" and found.values["chance"] == pytest.approx(24 / 90)


def test_a_file_of_another_number_of_classes_is_refused(tmp_path):
    path = tmp_path / "groups.txt"
    path.write_text("round\nstraight\n")
    with pytest.raises(UserError, match="each of the 10 classes"):
        semantics.section(subject("simclr", f"--set=analysis.superclasses={path}"))
    with pytest.raises(UserError, match="cannot be read"):
        semantics.section(subject("simclr", f"--set=analysis.superclasses={tmp_path / 'no'}"))


class Named:
    """As much of a `Subject` as superclasses are found by."""

    def __init__(self, classes, dataset="folder:images"):
        self.classes, self.recipe = classes, subject("simclr").recipe
        self.recipe = self.recipe.with_({"data.dataset": dataset}, "test")


def test_superclasses_of_cifar100_are_found_by_the_names_of_classes_or_of_the_data():
    backwards = cifar100_classes()[::-1]
    groups, missing = semantics.superclasses_of(Named(backwards))
    assert groups.tolist() == cifar100_superclasses()[::-1].tolist() and missing == ()
    numbers = tuple(map(str, range(100)))
    assert semantics.superclasses_of(Named(numbers, "npz:cifar100.npz"))[0] is not None
    assert semantics.superclasses_of(Named(numbers, "npz:other.npz"))[0] is None
    assert semantics.superclasses_of(Named(numbers[:20], "cifar100#coarse_label"))[0] is None


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
    assert "class_information" not in found.values
    assert semantics.section(changed) is None
    assert "expressivity" not in bound.section(changed).values["readings"]["logits"]
