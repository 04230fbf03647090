"""Features in the plane."""

import numpy as np
import pytest

from keras_ssl.analysis.maps import map_of, principal_components
from keras_ssl.core.errors import UserError

RANDOM = np.random.RandomState(0)
CLOUDS = np.concatenate([RANDOM.randn(20, 30) + 20 * c for c in range(3)])
OF = np.repeat(np.arange(3), 20)


def test_principal_components_are_those_of_the_decomposition():
    x = RANDOM.randn(50, 8) * np.arange(1, 9)
    found, shares = principal_components(x, 8)
    centered = x - x.mean(axis=0)
    singular = np.linalg.svd(centered, compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), singular, rtol=1e-3)
    np.testing.assert_allclose(shares, singular**2 / (singular**2).sum(), rtol=1e-3)


def test_wide_features_keep_their_distances_when_all_components_are_kept():
    x = RANDOM.randn(10, 500)
    found, _ = principal_components(x, 20)
    expected = np.linalg.norm(x[0] - x[1])
    assert found.shape == (10, 20) and (found[:, 9:] < 1e-2).all()
    np.testing.assert_allclose(np.linalg.norm(found[0] - found[1]), expected, rtol=1e-3)


@pytest.mark.parametrize("kind", ["pca", "tsne"])
def test_groups_that_lie_apart_stay_apart(kind):
    xy = map_of(CLOUDS, kind)
    centers = np.stack([xy[c == OF].mean(axis=0) for c in range(3)])
    nearest = np.linalg.norm(xy[:, None] - centers, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, OF)


def test_the_map_is_the_same_every_time():
    np.testing.assert_array_equal(map_of(CLOUDS, "tsne"), map_of(CLOUDS, "tsne"))


@pytest.mark.parametrize("value", [0.0, 0.3, 1e20, np.nan])
@pytest.mark.parametrize("kind", ["pca", "tsne"])
def test_collapsed_features_are_one_point(kind, value):
    np.testing.assert_array_equal(map_of(np.full((40, 8), value), kind), np.zeros((40, 2)))


def test_a_handful_of_images_is_mapped():
    for count in (1, 2, 3, 6):
        assert map_of(RANDOM.randn(count, 4), "tsne").shape == (count, 2)


def test_a_missing_package_and_a_wrong_name_are_said():
    with pytest.raises(UserError, match="There are pca"):
        map_of(CLOUDS, "pcb")
    try:
        import umap  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="pip install umap-learn"):
            map_of(CLOUDS, "umap")
