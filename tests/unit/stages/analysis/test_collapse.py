"""The section on collapse: words first, values of every output, plots of finite numbers."""

import math

import numpy as np
import pytest

from keras_ssl.analysis.sections import section_to_plain
from keras_ssl.analysis.verdict import KINDS
from keras_ssl.evaluation.results import Result
from stages.analysis.collapse import against_random, section
from tests.unit.stages.analysis.test_subject import subject


@pytest.mark.parametrize("name", ["simclr", "sem_swav"])
def test_every_output_is_measured(name):
    found = section(subject(name))
    outputs = ["features", *(["embeddings"] if "sem" in name else []), "projections"]
    assert list(found.values["outputs"]) == outputs
    assert all(kind in found.values["verdict"] for kind in KINDS)
    assert found.words[0] == found.values["verdict"]["overall"]
    assert found.words[-1].startswith("Measured on 20 held-out images")
    names = {plot.name for plot in found.plots}
    assert "covariance_spectrum" in names
    assert ({"cluster_usage", "code_usage"} <= names) == ("sem" in name)
    assert found.tables[0].head == ("measure", *outputs)


def test_plots_hold_finite_numbers():
    plain = section_to_plain(section(subject("sem_swav")))
    for plot in plain["plots"]:
        for arrays in plot["series"].values():
            for values in arrays.values():
                assert all(math.isfinite(value) for value in values)
                assert len(values) > 0


def test_a_network_whose_outputs_are_no_numbers_has_a_section():
    of = subject("simclr", "--seed=3")
    of.__dict__["features"] = np.full((20, 8), np.nan, "float32")
    of.__dict__["projections"] = np.full((20, 8), np.nan, "float32")
    found = section(of)
    assert found.values["outputs"]["features"] is None
    assert found.words[0] == "This run has collapsed: representation collapse."
    assert section_to_plain(found)["values"]["verdict"]["state"] == "collapsed"


def result(source, task, value, readout=None):
    return Result(source, readout, None, task, "accuracy", value, "digits", "test", {})


def test_features_that_are_worse_than_random_ones_are_said_to_be():
    random = [
        result("random", "knn", 88.0, "backbone"),
        result("random", "linear", 89.0, "backbone"),
    ]
    worse = [result("pretrained", "knn", 82.0), result("pretrained", "linear", 90.0)]
    said = against_random([*random, *worse])
    assert "k-NN 82.0 against 88.0 %" in said and "linear" not in said.split("(")[1].split(")")[0]
    assert against_random([*random, result("pretrained", "knn", 95.0)]) == ""
    assert against_random([]) == ""
