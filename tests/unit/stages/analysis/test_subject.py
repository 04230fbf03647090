"""What an analysis looks at."""

import functools
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ssl
from stages import request
from stages.analysis.subject import Subject
from stages.build import build_method, float32_encoder
from stages.inputs import load_inputs


@functools.cache
def subject(name, *more):
    argv = ["run.py", f"--method={name}", "--backbone=tiny", "--precision=float32", *more]
    options = request.parse_flags([*argv, "--set=analysis.images=20"])
    recipe = request.recipe_of(options, request.read_catalog())
    inputs = load_inputs(recipe)
    encoder = float32_encoder(recipe, inputs.preprocessing)
    method = build_method(recipe, inputs, 100)
    return Subject(recipe, inputs, Path("nowhere"), encoder, with_encoder(method, encoder))


def with_encoder(method, encoder):
    settings = {**method.get_config(), "encoder": encoder}
    return type(method).from_config(settings)


def test_a_part_of_the_held_out_images_is_read():
    of = subject("simclr")
    assert of.held_out and of.images.dtype == "uint8"
    assert len(of.images) == len(of.labels) == len(of.train_images) == len(of.train_labels) == 20
    assert of.classes == tuple("0123456789")


def test_without_a_neck_embeddings_are_the_features():
    of = subject("simclr")
    assert of.embeddings is of.features and of.sizes is None and of.logits is None
    assert of.clusters is None and of.num_clusters is None


def test_simplices_are_the_softmax_of_their_logits():
    of = subject("sem_simclr")
    num, size = of.sizes
    logits = of.logits.reshape(-1, num, size) / of.recipe.neck.temperature
    simplices = np.asarray(keras.ops.softmax(logits)).reshape(len(logits), -1)
    np.testing.assert_allclose(of.embeddings, simplices, atol=1e-6)
    assert of.logits_of(of.train_features).shape == of.logits.shape == (20, num * size)


def test_projections_are_those_of_the_method():
    of = subject("sem_simclr")
    images = of.inputs.preprocessing.function(of.images)
    expected = of.method.project(of.encoder(images, training=False))
    np.testing.assert_allclose(of.projections, expected, rtol=1e-4, atol=1e-5)


def test_clusters_are_the_largest_scores():
    of = subject("swav")
    scores = of.method.cluster_scores(of.inputs.preprocessing.function(of.images))
    assert of.clusters.tolist() == np.argmax(scores, axis=1).tolist()
    assert of.num_clusters == scores.shape[1]


def test_views_are_those_of_training_images():
    of = subject("simclr")
    first, second = of.views
    assert len(of.view_rows) == len(first) and first.shape == second.shape
    assert not np.array_equal(first, second)
    assert [len(each) for each in of.view_features] == [len(first)] * 2
    assert of.view_projections[0].shape == (len(first), of.method.projection_dim)
    assert of.view_images[0].dtype == "uint8"


def test_large_arrays_lie_in_a_file():
    of = subject("sem_simclr")
    small = Subject(of.recipe, of.inputs, of.workdir, of.encoder, of.method, memory=1)
    assert isinstance(small.embeddings, np.memmap)
    np.testing.assert_array_equal(small.embeddings, of.embeddings)


def test_records_that_are_cut_short_are_left_out(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "loss": 2.0}\n{"epoch": 2, "lo')
    of = subject("simclr")
    assert Subject(of.recipe, of.inputs, tmp_path, of.encoder, None).log == [
        {"epoch": 1, "loss": 2.0}
    ]
    assert of.log == of.spectra == []


@pytest.mark.parametrize("name", sorted(keras_ssl.METHODS))
def test_every_method_projects_its_features(name):
    of = subject(name)
    projections = of.projections
    assert projections.ndim == 2 and len(projections) == 20 and np.isfinite(projections).all()


def test_codes_are_the_largest_entries_of_the_simplices():
    of = subject("sem_simclr")
    num, size = of.sizes
    np.testing.assert_array_equal(of.codes, of.logits.reshape(-1, num, size).argmax(axis=-1))
    assert of.code_usage.counts.shape == (num, size) and of.codes.dtype.itemsize == 1
    assert subject("simclr").codes is None and subject("simclr").code_usage is None


def test_a_label_without_a_name_is_its_number():
    of = subject("simclr")
    assert (of.class_name(3), of.class_name(12), of.class_name(-1)) == ("3", "12", "-1")


def test_images_without_finite_scores_are_in_no_cluster(monkeypatch):
    of = subject("swav")
    of = Subject(of.recipe, of.inputs, of.workdir, of.encoder, of.method)
    scores = of.method.cluster_scores

    def broken(images):
        found = scores(images)
        return keras.ops.where(keras.ops.arange(len(images))[:, None] == 3, np.nan, found)

    monkeypatch.setattr(of.method, "cluster_scores", broken)
    assert of.clusters[3] == -1 and (np.delete(of.clusters, 3) >= 0).all()
