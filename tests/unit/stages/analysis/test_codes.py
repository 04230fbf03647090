"""What is said of CPLearn's codes."""

import functools

import numpy as np
import pytest

from keras_ssl.analysis.code_structure import code_alignment
from keras_ssl.analysis.sections import section_from_plain, section_to_plain
from keras_ssl.layers.hyperdimensional import code_temperature
from stages.analysis.certificate import certificate_of
from stages.analysis.code_embeddings import codes_table
from stages.analysis.codes import section
from tests.unit.stages.analysis.test_subject import subject

SIZES = "--set=method.num_codes=16", "--set=method.hidden_dim=8"


@functools.cache
def cplearn(*more):
    return subject("cplearn", *SIZES, *more)


@functools.cache
def collapsed():
    """A run of which all embeddings are zeros."""
    of = subject("cplearn", *SIZES, "--seed=1")
    for weight in of.method.embedder.trainable_weights:
        weight.assign(np.zeros(weight.shape))
    return section(of)


@pytest.mark.parametrize("name", ["simclr", "gedi_nogen"])
def test_nothing_is_said_of_other_methods(name):
    assert section(subject(name)) is None


def test_the_loss_is_that_of_the_method_on_the_views():
    of = cplearn()
    codes = np.asarray(of.method.codes.codes)
    found = certificate_of(of.method, of.view_projections, codes)
    tau = code_temperature(8, of.method.batch_size, 16)
    terms = of.method.loss_terms([h @ codes / np.float32(tau) for h in of.view_projections])
    assert found.loss == pytest.approx(float(sum(terms.values())), rel=1e-4)


@pytest.mark.parametrize("more", [(), ("--set=method.divergence=forward",)])
def test_a_section_says_all_that_the_report_shows(more):
    found = section(cplearn(*more))
    assert {plot.name for plot in found.plots} == {
        "covariance",
        "adjacency",
        "alignment",
        "dictionary",
    }
    again = section_from_plain(section_to_plain(found))
    assert again.words == found.words and len(again.tables) == 3
    assert [row[0].split()[0] for row in again.tables[0].rows] == [
        "representation",
        "cluster",
        "dimensional",
        "intracluster",
    ]


def test_clusters_of_the_section_are_those_of_the_method():
    of = cplearn()
    assert section(of).values["blocks"]["used"] == len(np.unique(of.clusters))


def test_terms_of_the_training_are_drawn_without_beta(tmp_path):
    row = '{"epoch": %d, "invariance": 1.5, "matching_prior": 0.5, "loss": 2.0}\n'
    (tmp_path / "metrics.jsonl").write_text(row % 1 + row % 2)
    of = cplearn()
    logged = type(of)(of.recipe, of.inputs, tmp_path, of.encoder, of.method)
    found = section(logged)
    plot = next(plot for plot in found.plots if plot.name == "terms")
    assert plot.series["invariance"]["y"][0] == pytest.approx(1.5 / of.method.beta)


def test_a_collapse_is_told_without_nan():
    found = collapsed()
    assert "prove nothing" in found.words[1]
    assert [row[1] for row in found.tables[0].rows] == ["no"] * 4
    plain = section_to_plain(found)["values"]
    assert plain["blocks"]["used"] == 1 and plain["blocks"]["between"] is None
    assert plain["alignment"]["cosine"] == plain["decorrelation"]["participation"] == 0.0


def test_codes_are_shown_without_labels():
    aligned = code_alignment(np.eye(3), np.eye(3))
    assert codes_table(aligned, None, ()).head[-1] == "signs that agree"
