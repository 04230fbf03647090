"""What is said of the information of a run: of stand-ins that know much, little or nothing."""

import functools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from keras_ssl.analysis.critics import cosine_scores, train_critic
from keras_ssl.analysis.sections import section_to_plain
from keras_ssl.core.errors import UserError
from stages.analysis import information, transformed

COUNT = 80


def images(channels=3, *, height=8, width=8, count=COUNT):
    draw = np.random.default_rng(0)
    return draw.integers(256, size=(count, height, width, channels)).astype("uint8")


def subject(of=None, *, features_of=None, project=lambda x: x[:, :4], views=2, method=None, **own):
    """A run whose backbone reads the pixels, and whose projector keeps a part of them."""
    of = images() if of is None else of
    features_of = features_of or (lambda x: np.float32(x.reshape(len(x), -1)) / 255.0)
    features = features_of(of)
    noise = np.random.default_rng(1).normal(size=(views, *features.shape)).astype("float32")
    view_features = [features + 0.05 * each for each in noise]
    found = {
        "images": of,
        "features": features,
        "features_of": features_of,
        "projections_of": project,
        "view_features": view_features,
        "view_projections": [project(each) for each in view_features],
        "method": method or SimpleNamespace(diagnostic_names=()),
        "recipe": SimpleNamespace(name="simclr", analysis=SimpleNamespace(max_width=4096)),
    }
    return SimpleNamespace(**{**found, **own})


def untrained(x, y, *, validation, **settings):
    """In place of `train_critic`, which takes a second."""
    assert len(x) == len(y) == 2 * (2 * COUNT // 5) and len(validation[0]) == COUNT // 10
    np.testing.assert_array_equal(x[: len(x) // 2], y[len(y) // 2 :])  # both orders
    return lambda pair: cosine_scores(*pair, temperature=0.3)


@pytest.fixture(autouse=True)
def given_critic(monkeypatch):
    monkeypatch.setattr(information, "train_critic", untrained)


@functools.cache
def contrastive():
    method = SimpleNamespace(diagnostic_names=("mutual_information_bound",), temperature=0.1)
    return information.section(subject(method=method))


def test_section_has_bounds_transformations_and_the_sphere():
    found = contrastive()
    assert list(found.values) == ["mutual_information", "transformations", "views"]
    assert [table.title.split()[0] for table in found.tables] == [
        "Mutual", "Transformation", "Alignment",
    ]  # fmt: skip
    assert [plot.name for plot in found.plots] == ["mutual_information", "transformations"]
    json.dumps(section_to_plain(found), allow_nan=False)


def test_bounds_are_capped_and_ordered_for_every_critic():
    found = contrastive().values["mutual_information"]
    assert found["pairs"] == COUNT // 2
    for name in ("trained", "own", "cosine"):
        each = found[name]
        assert each["infonce"] <= math.log(COUNT // 2) + 1e-6
        assert each["tuba"] <= each["dv"] <= each["uba"] + 1e-6
        assert each["nwj"] <= each["uba"] + 1e-6  # DV is of the corrected critic
    assert f"at most log {COUNT // 2}" in contrastive().words[0]


@pytest.mark.slow
def test_the_critic_is_trained(monkeypatch):
    monkeypatch.setattr(information, "train_critic", train_critic)
    monkeypatch.setattr(information, "CRITIC", {**information.CRITIC, "learning_rate": 1e-2})
    found = information.section(subject(images(count=200)))
    assert found.values["mutual_information"]["trained"]["infonce"] > 0.3


def test_estimates_that_say_nothing_do_not_stretch_table_and_plot(monkeypatch):
    monkeypatch.setattr(
        information, "train_critic", lambda *x, **y: lambda z: cosine_scores(*z, temperature=1e-3)
    )
    found = information.section(subject())
    assert found.values["mutual_information"]["trained"]["tuba"] < 0
    assert found.tables[0].rows[0][2] == "below 0"
    drawn = found.plots[0].series["trained critic"]
    assert "TUBA" not in drawn["x"] and len(drawn["x"]) == len(drawn["y"]) and min(drawn["y"]) >= 0


def test_a_contrastive_method_has_its_own_critic_and_others_the_best_temperature():
    names = [row[0] for row in contrastive().tables[0].rows]
    assert names[1] == "the loss of simclr (cosines over 0.1)"
    other = information.section(subject(method=SimpleNamespace(diagnostic_names=(), temperature=1)))
    assert "own" not in other.values["mutual_information"]
    assert "best temperature" in other.tables[0].rows[1][0]


def test_pixels_know_every_transformation_and_a_projector_can_forget_it():
    found = information.section(subject(project=lambda x: 0.0 * x[:, :4] + 1.0))
    known = found.values["transformations"]
    assert known["rotation"]["chance"] == 0.25
    assert all(each["projections"] == each["chance"] for each in known.values())
    assert known["original or Sobel filtered"]["features"] > 0.7
    assert any("What the projector forgets most is" in words for words in found.words)
    assert "should know less" in _caption(found) and "they know more" not in _caption(found)
    assert any("cannot be told" in words for words in found.words)


def test_projections_that_know_as_much_as_features_are_named():
    found = information.section(subject(project=lambda x: 3.0 * x))
    assert "Here they know as much of: " in _caption(found) and "rotation" in _caption(found)


def _caption(found):
    return next(plot.note for plot in found.plots if plot.name == "transformations")


def test_gray_images_have_no_color_and_oblong_ones_no_rotation():
    gray = np.repeat(images(1), 3, axis=-1)
    for of in (images(1), gray):
        found = information.section(subject(of))
        assert "color or grayscale" not in found.values["transformations"]
        assert "color (the images are gray)" in found.tables[1].note
    found = information.section(subject(images(height=7)))
    tasks = list(found.values["transformations"])
    assert tasks == ["color or grayscale", "original or blurred", "original or Sobel filtered"]
    assert "not square" in found.tables[1].note and "noise (sides below" in found.tables[1].note


def test_without_a_method_features_alone_are_read():
    found = information.section(subject(view_projections=None, projections_of=lambda x: None))
    assert list(found.values) == ["transformations", "views"]
    assert found.tables[0].head == ("transformation", "chance", "features")
    assert list(found.values["views"]) == ["features"]


def test_a_single_view_or_a_few_images_leave_out_what_needs_more():
    found = information.section(subject(views=1))
    assert list(found.values) == ["transformations"]
    few = subject(images(count=10))
    assert list(information.section(few).values) == ["views"]
    few.view_features, few.view_projections = few.view_features[:1], few.view_projections[:1]
    assert information.section(few) is None


def test_wide_rows_are_narrowed_and_the_section_says_so():
    recipe = SimpleNamespace(name="byol", analysis=SimpleNamespace(max_width=100))
    found = information.section(subject(recipe=recipe))
    assert "Of features, wider than analysis.max_width, 1024 random" in found.words[-1]


def test_a_run_that_diverged_is_refused():
    with pytest.raises(UserError, match="projections .* diverged"):
        information.section(subject(project=lambda x: np.nan * x))


def test_transformations_are_what_they_are_called():
    of = images()
    tasks = {task: dict(versions) for task, versions in transformed._tasks(of)}
    gray = tasks["color or grayscale"]["grayscale"]
    assert np.all(gray == gray[..., :1])
    turned = tasks["rotation"]
    assert list(turned) == ["90 degrees", "180 degrees", "270 degrees"]
    np.testing.assert_array_equal(turned["90 degrees"], np.rot90(of, axes=(1, 2)))
    np.testing.assert_array_equal(turned["180 degrees"], of[:, ::-1, ::-1])
    rest = [tasks["original or Gaussian noise"]["noise"], tasks["original or blurred"]["blur"]]
    for each in (gray, *rest, tasks["original or Sobel filtered"]["sobel"]):
        assert each.dtype == "uint8" and each.shape == of.shape
        assert np.any(each != of)
