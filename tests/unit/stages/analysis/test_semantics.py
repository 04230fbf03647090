"""What the analysis says of the features that classes share."""

import pytest

from keras_ssl.analysis import cifar100_classes, cifar100_superclasses
from keras_ssl.core.errors import UserError
from stages.analysis import semantics
from tests.unit.stages.analysis.test_simplices import seen
from tests.unit.stages.analysis.test_subject import subject


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
