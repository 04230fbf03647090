"""The section on the geometry of a run."""

import json

import numpy as np
import pytest

from keras_ssl.analysis import unexplained_variance
from keras_ssl.analysis.projector import RELATIVE, linear_weights
from keras_ssl.analysis.sections import section_to_plain
from keras_ssl.core.errors import UserError
from stages.analysis import geometry, pairs
from tests.unit.stages.analysis.test_subject import subject

LINEAR = ("--set=method.num_layers=1", "--set=method.projection_dim=4")


IMAGES = 40  # of the views


@pytest.fixture
def untrained(monkeypatch):
    """Leave out what is measured before training."""
    monkeypatch.setattr(geometry, "initial_pair", lambda subject: None)


def test_a_linear_projector_is_described_by_its_weights():
    of = changed(subject("simclr", *LINEAR, "--set=method.objective=decoupled"))
    found = geometry.section(of)
    assert any("linear projector keeps 4 directions" in words for words in found.words)
    values, weights = found.values, linear_weights(of.method)
    first, second = of.view_features[:2]
    wanted = unexplained_variance(second - first, weights, relative=RELATIVE)
    assert values["motion_in_kernel"]["after training"] == pytest.approx(wanted)
    for when in ("before training", "after training"):
        assert values["decoupled_infonce"][when] <= values["upper_bound"][when]
        assert values["unexplained"][when] >= values["unexplained_at_best"][when]
    assert 0 <= values["generators"]["rotation"]["in_kernel"] <= 1
    json.dumps(section_to_plain(found))


def test_a_projector_with_relus_is_described_by_its_local_maps(untrained):
    found = geometry.section(changed(subject("simclr", "--set=method.hidden_dim=16")))
    assert any("Around an image" in words for words in found.words)
    assert found.values["local_rankme"]["after training"] >= 1
    assert "weight_rank" not in found.values


def test_before_training_means_the_weights_that_training_begins_with():
    of = changed(subject("simclr", *LINEAR))  # which has not been trained
    start, end = pairs.initial_pair(of), pairs.trained_pair(of)
    assert start.weights.shape == end.weights.shape
    same = of.encoder(of.views[0], training=True)
    np.testing.assert_allclose(start.features[0], same, rtol=1e-4, atol=1e-5)


def test_before_training_heads_too_are_normalized_by_the_batch():
    of = changed(subject("simsiam", "--set=method.hidden_dim=8", "--set=method.projection_dim=4"))
    kept = [np.array(each) for each in of.method.variables]
    start = pairs.initial_pair(of)
    for each in start.projections:  # the last layer has a normalization without scale and center
        np.testing.assert_allclose(each.mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(each.std(axis=0), 1, atol=0.05)
    for before, after in zip(kept, of.method.variables, strict=True):
        np.testing.assert_array_equal(before, after)


def test_span_and_kernel_have_the_threshold_of_the_ranks():
    weights = np.diag([1.0, 0.5, 0.05])  # the last is below a tenth
    draw = np.random.default_rng(0).normal(size=(4, 12, 3))
    pair = pairs.ViewPair(draw[:2], draw[2:], weights, None)
    found = pairs.measure(pair)
    assert found["weight_rank"] == 2 and found["random_in_kernel"] == pytest.approx(1 / 3)
    assert found["unexplained"] == pytest.approx(
        np.square(pair.tangents[:, 2]).sum() / np.square(pair.tangents).sum()
    )
    assert found["unexplained"] >= found["unexplained_at_best"] > 0


def test_without_a_method_or_a_second_view_there_is_no_section():
    of = subject("simclr", *LINEAR)
    assert geometry.section(changed(of, method=None)) is None
    alone = changed(of)
    alone.__dict__["views"] = of.views[:1]
    assert geometry.section(alone) is None


def test_features_that_are_not_finite_are_reported():
    broken = changed(subject("simclr", *LINEAR))
    broken.__dict__["view_features"] = [np.full((IMAGES, 8), np.nan, "float32")] * 2
    with pytest.raises(UserError, match="not finite"):
        geometry.section(broken)


def test_constant_features_give_numbers(untrained):
    of = changed(subject("simclr", *LINEAR))
    of.__dict__["view_features"] = [np.ones_like(each) for each in of.view_features]
    found = geometry.section(of)
    plain = section_to_plain(found)
    assert plain["values"]["negative_distance"]["after training"] == 0
    assert plain["values"]["motion_in_kernel"]["after training"] == 0
    assert None not in plain["values"]["unexplained"].values()


def test_curves_and_spectra_of_the_training_are_drawn(untrained):
    of = changed(subject("simclr", *LINEAR))
    epochs = range(1, 5)
    of.__dict__["log"] = [
        {"epoch": e, "projector_rank": 4, "knn": 50.0 if e == 4 else None} for e in epochs
    ]
    spectra = [{"epoch": e, "singular_values": [2.0, 1.0, 0.0]} for e in range(5)]
    of.__dict__["spectra"] = of.__dict__["projector_spectra"] = spectra
    plots = {plot.name: plot.series for plot in geometry.section(of).plots}
    assert plots["rank"]["rank"] == {"x": [1, 2, 3, 4], "y": [4] * 4}
    assert list(plots["rank"]) == ["rank"]  # k-NN is drawn with the training
    assert list(plots["spectra"]) == ["epoch 0", "epoch 2", "epoch 4"]
    assert len(plots["projector_spectrum"]["epoch 0"]["y"]) == 2  # what a log scale can show
    assert plots["negative_distances"]["after training"]["counts"].sum() == len(of.view_rows)


@pytest.mark.parametrize("ratio, what", [(0.5, "good:"), (1.01, "neither"), (2.0, "bad:")])
def test_it_is_said_whether_augmentations_are_dropped(ratio, what):
    assert geometry._said_of_ratio(ratio).startswith(f"That is {what}")


def test_neighbors_of_the_class_are_told_from_chance():
    assert "is good" in geometry._said_of_labels(0.5, 0.1, 40)
    assert "is bad" in geometry._said_of_labels(0.15, 0.1, 40)


def changed(of, **fields):
    """A subject like it, with some of its views."""
    names = ("recipe", "inputs", "workdir", "encoder", "method", "memory")
    new = type(of)(**{name: getattr(of, name) for name in names} | fields)
    new.__dict__["_batch"] = {name: value[:IMAGES] for name, value in of._batch.items()}
    return new
