"""A verdict names the kind that collapsed, with a number, a bound and a setting."""

import numpy as np
import pytest

from keras_ssl.analysis.collapse import cluster_usage, measure_outputs
from keras_ssl.analysis.sections import Section, section_from_plain, section_to_plain
from keras_ssl.analysis.usage import code_usage
from keras_ssl.analysis.verdict import (
    BOUNDS,
    KINDS,
    diagnose_collapse,
    verdict_values,
    verdict_words,
)
from keras_ssl.config import resolve
from keras_ssl.core.cures import DEFAULTS, cure_of
from keras_ssl.core.errors import UserError
from keras_ssl.methods import METHODS
from stages.request import read_catalog

GENERATOR = np.random.default_rng(0)
SPREAD = GENERATOR.normal(size=(300, 16))
EVEN = cluster_usage(np.arange(300) % 20, 20)


def measured(z):
    return measure_outputs(z, components=())


def said_by(name):
    """What a method declares for the verdict."""
    names = ("compares", "asks_for_clusters", "cures")
    return {each: getattr(METHODS[name.removeprefix("sem_")], each) for each in names}


def states(projections=SPREAD, features=SPREAD, method="swav", **options):
    outputs = {"features": measured(features), "projections": measured(projections)}
    verdicts = diagnose_collapse(outputs, **said_by(method), **options)
    assert tuple(verdict.kind for verdict in verdicts) == KINDS
    return {verdict.kind: verdict.state for verdict in verdicts}


def test_even_outputs_and_clusters_are_healthy():
    found = states(clusters=EVEN, overlap=0.8)
    assert set(found.values()) == {"healthy"}


@pytest.mark.parametrize("constant", [np.ones((300, 16)), np.zeros((300, 16))])
def test_a_constant_is_a_representation_collapse_that_hides_dimensions(constant):
    found = states(constant)
    assert found["representation"] == "collapsed" and found["dimensional"] == "cannot tell"


def test_a_shrunken_output_has_collapsed_only_for_a_loss_that_has_a_scale():
    assert states(0.01 * SPREAD, method="vicreg")["representation"] == "collapsed"
    assert states(0.01 * SPREAD, method="sem_simmer")["representation"] == "collapsed"
    assert states(0.01 * SPREAD, method="byol")["representation"] == "healthy"


def test_few_directions_are_a_dimensional_collapse_alone():
    found = states(SPREAD[:, :2] @ SPREAD[:2])
    assert found["dimensional"] == "collapsed" and found["representation"] == "healthy"
    found = states(features=SPREAD[:, :2] @ SPREAD[:2])
    assert found["dimensional"] == "partly collapsed"


def test_dimensions_of_two_columns_cannot_be_told():
    assert states(SPREAD[:, :2], SPREAD[:, :2])["dimensional"] == "cannot tell"


def test_few_clusters_in_use_are_a_cluster_collapse_alone():
    found = states(clusters=cluster_usage(np.arange(300) % 2, 128), overlap=0.8)
    assert found["cluster"] == "collapsed" and found["dimensional"] == "healthy"
    assert states(clusters=cluster_usage(np.zeros(300, int), 8))["cluster"] == "collapsed"


def test_clusters_that_are_not_asked_for_are_not_judged():
    one = cluster_usage(np.zeros(300, int), 8)
    assert states(clusters=one, method="sem_barlow_twins")["cluster"] == "cannot tell"
    assert states(clusters=EVEN, overlap=0.1, method="dino")["intracluster"] == "cannot tell"


def test_projections_with_an_offset_that_the_loss_takes_off_are_not_judged():
    offset = 100.0 + SPREAD[:, :1] * np.ones(16)
    assert states(offset, method="byol")["representation"] == "collapsed"
    found = states(offset, method="sem_dino")
    assert found["representation"] == "healthy" and found["dimensional"] == "healthy"


def test_simplices_of_one_vertex_are_a_cluster_collapse():
    dead = code_usage(np.zeros((300, 4), int), 5)
    lively = code_usage(GENERATOR.integers(0, 5, (300, 4)), 5)
    assert states(codes=dead, method="sem_byol")["cluster"] == "collapsed"
    assert states(codes=lively, method="sem_byol")["cluster"] == "healthy"
    outputs = {"projections": measured(SPREAD)}
    verdict = diagnose_collapse(outputs, codes=dead, settings={"neck.temperature": 0.1})[2]
    assert "neck.temperature" in verdict.cure


def test_points_in_clusters_are_an_intracluster_collapse():
    assert states(clusters=EVEN, overlap=0.1)["intracluster"] == "collapsed"
    assert states(clusters=EVEN, overlap=None)["intracluster"] == "cannot tell"
    found = states(clusters=EVEN, overlap=0.1, method="sem_gedi")  # sure scores
    assert found["intracluster"] == "partly collapsed"
    few = cluster_usage(np.arange(300) % 4, 20)
    assert states(clusters=few, overlap=0.1)["intracluster"] == "cannot tell"
    many = cluster_usage(np.arange(300) % 100, 100)
    assert states(clusters=many, overlap=0.1)["intracluster"] == "partly collapsed"


def test_words_put_the_collapse_first_and_survive_a_file():
    outputs = {"projections": measured(np.ones((300, 4)))}
    settings = {"method.stop_gradient": False}
    found = diagnose_collapse(outputs, cures=METHODS["simsiam"].cures, settings=settings)
    section = Section("collapse", "Collapse", values={"verdict": verdict_values(found)})
    words = verdict_words(section)
    assert words[0] == "This run has collapsed: representation collapse."
    assert "collapsed below" in words[1] and "method.stop_gradient=true" in words[1]
    assert verdict_words(section_from_plain(section_to_plain(section))) == words
    assert verdict_words({}) == []


def test_bounds_of_a_collapse_lie_below_those_of_a_part():
    for bound in BOUNDS.values():
        least, most = bound.collapsed, bound.partly
        assert (most < least if bound.grows else least < most) > 0
        assert [bound.state(each) for each in (least - 1e-9, least + 1e-9)].count("collapsed") == 1


@pytest.mark.parametrize("constant, state", [(7, "healthy"), (8, "partly collapsed")])
def test_outputs_of_which_half_the_columns_are_constant_have_partly_collapsed(constant, state):
    z = SPREAD.copy()
    z[:, :constant] = 0.0
    assert states(z)["representation"] == state


def test_a_kind_of_comparison_that_is_unknown_is_refused():
    with pytest.raises(UserError, match="directions"):
        diagnose_collapse({"projections": measured(SPREAD)}, compares="direction")


def test_a_cure_that_is_in_place_gives_way_to_the_next():
    off, on = {"method.stop_gradient": False}, {"method.stop_gradient": True}
    cures = METHODS["simsiam"].cures
    assert cure_of("representation", cures, off) == "--set method.stop_gradient=true"
    on |= {"method.covariance_weight": 0.0}
    phrase = "a larger method.covariance_weight (here 0)"
    assert cure_of("representation", cures, on) == phrase
    assert cure_of("representation", cures, {}) == ""


def test_a_cure_of_an_unknown_value_is_named_without_it():
    unknown = dict.fromkeys(["neck.embedder_norm", "neck.temperature"])
    phrase = "neck.embedder_norm=true or a larger neck.temperature"
    assert cure_of("one-hot codes", {}, unknown) == phrase
    assert cure_of("no kind", {}, unknown) == ""


@pytest.mark.parametrize("name", METHODS)
def test_every_cure_is_a_setting_of_its_method(name):
    settings = resolve(read_catalog(), f"sem_{name}").settings
    cures = [each for cures in METHODS[name].cures.values() for each in cures]
    cures += [each for cures in DEFAULTS.values() for each in cures]
    assert [key for key, _ in cures if key not in settings] == []
    assert set(METHODS[name].cures) <= set(DEFAULTS)


@pytest.mark.parametrize("share, state", [(1.0, "collapsed"), (0.9, "collapsed"), (0.1, "partly")])
def test_outputs_that_are_not_finite_are_no_healthy_run(share, state):
    z = np.random.default_rng(0).normal(size=(100, 8))
    broken = z.copy()
    broken[: int(share * len(z))] = np.nan
    outputs = {"features": measured(z), "projections": measured(broken)}
    settings = {"training.precision": "mixed_float16"}
    verdicts = diagnose_collapse(outputs, settings=settings)
    assert verdicts[0].state.startswith(state) and "finite" in verdicts[0].evidence[0]
    assert "float32" in verdicts[0].cure
    assert verdict_values(verdicts)["overall"].startswith("This run has")
    if state == "collapsed":
        assert verdicts[1].state == "cannot tell"
