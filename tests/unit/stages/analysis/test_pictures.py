"""Sections made of images."""

import numpy as np
import pytest

from stages.analysis import pictures
from tests.unit.stages.analysis.test_subject import subject

NAMES = ("simclr", "sem_simclr", "cplearn")


@pytest.mark.parametrize("name", NAMES)
def test_an_image_stands_before_its_views(name):
    of = subject(name)
    [plot] = pictures.views(of).plots
    assert len(plot.series) == 6
    for row in plot.series.values():
        assert row["images"].dtype == "uint8"
        assert row["images"].shape == (1 + len(of.views), *of.view_images[0].shape[1:])


def test_the_map_has_a_series_for_each_class():
    of = subject("simclr")
    section = pictures.feature_map(of)
    for plot in section.plots:
        assert set(plot.series) == {of.classes[label] for label in of.labels}
        assert sum(len(xy["x"]) for xy in plot.series.values()) == len(of.images)
    assert 0 < section.values["variance_of_two_components"] <= 1


@pytest.mark.parametrize("name, by", zip(NAMES, ("k-means", "k-means", "the method"), strict=True))
def test_typical_images_are_of_the_clusters_of_the_method_or_of_k_means(name, by):
    section = pictures.neighbors(subject(name))
    neighbors, typical = section.plots
    assert all(row["images"].shape[0] == 9 for row in neighbors.series.values())
    assert f"cluster of {by}" in typical.note
    assert 0 <= section.values["same_class"] <= 1


def test_the_first_picture_of_a_row_is_the_image_that_is_asked_for():
    of = subject("simclr")
    for text, row in pictures.neighbors(of).plots[0].series.items():
        where = np.flatnonzero((of.images == row["images"][0]).all(axis=(1, 2, 3)))
        assert text.split(":")[0] in {of.classes[of.labels[i]] for i in where}
