import numpy as np
import pytest
import tensorflow as tf

from pipelines.views.policies import policy_for
from pipelines.views.preview import first_batch, preview_grid, write_png
from pipelines.views.stream import train_views

STILL = {"crop_scale": (1.0, 1.0), "jitter_probability": 0.0, "flip": 0.0}


def batch_of(images, **settings):
    views = train_views(
        images,
        policy=policy_for("gray", **STILL),
        batch_size=2,
        seed=0,
        mean=[0.2],
        std=[0.3],
        image_size=16,
        with_index=True,
        **settings,
    )
    return next(iter(views))


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 16, 16, 1)).astype(np.uint8)


def test_views_that_change_nothing_look_like_the_image(images, tmp_path):
    batch = batch_of(images)
    path = write_png(preview_grid(images, batch, 2, mean=[0.2], std=[0.3]), tmp_path / "p.png")
    shown = tf.io.decode_png(path.read_bytes()).numpy()
    tiles = shown.reshape(2, 98, 3, 98, 1).swapaxes(1, 2)[:, :, :96:6, :96:6]
    expected = images[np.asarray(batch["index"])]
    for column in range(3):
        np.testing.assert_array_equal(tiles[:, column], expected)


def test_local_crops_stand_in_the_middle_of_their_tiles(images):
    batch = batch_of(images, local_policy=policy_for("gray", 2), local_size=8)
    grid = preview_grid(images, batch, 1, mean=[0.2], std=[0.3])
    assert grid.shape == (98, 5 * 98, 1)
    tile = grid[:96, 3 * 98 : 3 * 98 + 96]
    assert (tile[:24] == 255).all() and (tile[24:72, 24:72] < 255).any()


def test_the_first_batch_is_that_of_the_stream_and_reads_nothing_else(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 1)).astype(np.uint8)
    settings = {"mean": [0.2], "std": [0.3], "image_size": 8, "policy": policy_for("gray")}
    settings |= {"batch_size": 4, "seed": 3}
    expected = next(iter(train_views(images, with_index=True, **settings)))

    class Rows(np.ndarray):
        def __array__(self, *_, **__):
            raise AssertionError("the whole array was read")

    found = first_batch(images.view(Rows), **settings)
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == value.dtype
