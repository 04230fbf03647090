"""Local crops and positions: what a batch holds besides its views."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines.views.policies import POLICIES, ViewPolicy, policy_for
from pipelines.views.stream import train_views

PLAIN = ViewPolicy(crop_scale=(1.0, 1.0), jitter_probability=0.0, grayscale=0.0, flip=0.0)
NOISY = (dataclasses.replace(PLAIN, crop_scale=(0.3, 1.0), noise=0.1),) * 2
LOCAL = (dataclasses.replace(PLAIN, crop_scale=(0.05, 0.4), noise=0.1),) * 3


def images(count=10, size=16, channels=1):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, channels), np.uint8)


def dataset(array, *, policy=NOISY, batch_size=4, image_size=16, local_size=8, **settings):
    channels = array.shape[-1]
    return train_views(
        array,
        policy=policy,
        batch_size=batch_size,
        seed=settings.pop("seed", 0),
        mean=channels * [0.0],
        std=channels * [1 / 255],
        image_size=image_size,
        local_size=local_size,
        **settings,
    )


def stream(array, steps, **settings):
    batches = itertools.islice(dataset(array, **settings), steps)
    return [{name: value.numpy() for name, value in batch.items()} for batch in batches]


def assert_equal(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.fixture(scope="module")
def whole():
    """Seven steps of views, local crops and positions, one after the other."""
    return stream(images(), 7, local_policy=LOCAL, with_index=True, num_parallel_calls=1)


def test_elements_are_of_static_shape():
    views = dataset(images(), local_policy=LOCAL, with_index=True)
    assert views.element_spec == {
        "global": tf.TensorSpec((4, 2, 16, 16, 1), tf.float32),
        "local": tf.TensorSpec((4, 3, 8, 8, 1), tf.float32),
        "index": tf.TensorSpec((4,), tf.int64),
    }


def test_what_is_not_asked_for_is_not_there():
    assert set(dataset(images()).element_spec) == {"global"}


def test_local_crops_and_positions_change_no_bit_of_the_views(whole):
    alone = stream(images(), 7)
    assert_equal(alone, [{"global": batch["global"]} for batch in whole])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "cifar_asymmetric", "imagenet_asymmetric"])
def test_local_crops_change_no_bit_of_the_views_of_a_real_policy(name):
    array = images(size=32, channels=1 if name == "digits" else 3)
    local = policy_for(name, crop_scale=(0.05, 0.4))[:1] * 6
    settings = {"policy": POLICIES[name], "image_size": 32, "local_size": 16}
    both = stream(array, 2, local_policy=local, **settings)
    assert_equal(stream(array, 2, **settings), [{"global": batch["global"]} for batch in both])


def test_a_stream_started_at_a_step_continues_the_one_started_at_zero(whole):
    start = 3  # in the middle of the second epoch
    rest = stream(images(), 7 - start, start_step=start, local_policy=LOCAL, with_index=True)
    assert_equal(whole[start:], rest)


def test_the_number_of_parallel_calls_changes_no_bit(whole):
    settings = {"local_policy": LOCAL, "with_index": True, "num_parallel_calls": 8}
    assert_equal(whole, stream(images(), 7, **settings))


def test_the_index_says_where_the_images_are():
    array = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 16, 16, 1), np.uint8)
    for batch in stream(array, 5, policy=(PLAIN,), local_policy=(PLAIN,), with_index=True):
        for views in (batch["global"], batch["local"]):
            shown = np.rint(views[:, 0, 0, 0, 0]).astype(int)
            np.testing.assert_array_equal(batch["index"], shown)


def test_local_crops_draw_for_themselves():
    # Drawn alike, and yet no crop is a view: neither the boxes nor the noise are shared.
    batches = stream(images(), 3, local_policy=NOISY, local_size=16)
    drawn = np.concatenate([np.concatenate([b["global"], b["local"]], axis=1) for b in batches])
    assert len({view.tobytes() for view in drawn.reshape(-1, 16 * 16)}) == 3 * 4 * 4


def test_noise_of_local_crops_and_views_is_not_correlated():
    flat = np.full((16, 16, 16, 1), 128, np.uint8)
    policy = (dataclasses.replace(PLAIN, noise=0.1),)
    settings = {"policy": policy, "local_policy": policy, "local_size": 16, "batch_size": 16}
    [batch] = stream(flat, 1, **settings)
    correlation = np.corrcoef(batch["global"].ravel(), batch["local"].ravel())[0, 1]
    assert abs(correlation) < 0.06  # 4096 pairs: four standard deviations


def areas(views, side):
    """Shares of the area that views of images with `ramps` show, (number of views,)."""
    views = views.reshape(-1, *views.shape[2:])
    size = views.shape[1]
    inner = slice(3, size - 3)  # the resampling kernel is cut off at the border of a crop
    rows = np.diff(views[:, inner, size // 2, 0], axis=1).mean(1)
    columns = np.diff(views[:, size // 2, inner, 1], axis=1).mean(1)
    return rows * columns / 4**2 * (size / side) ** 2


def ramps(count, side=64):
    """Images whose first channel grows by 4 per row, the second by 4 per column."""
    image = np.zeros((side, side, 3), np.uint8)
    image[..., 0] = 4 * np.arange(side)[:, None]
    image[..., 1] = 4 * np.arange(side)[None]
    return np.repeat(image[None], count, axis=0)


def test_local_crops_show_shares_of_the_area_evenly_within_their_scale():
    settings = {"policy": (PLAIN,), "batch_size": 200, "image_size": 64, "local_size": 16}
    local = (dataclasses.replace(PLAIN, crop_scale=(0.05, 0.4)),) * 4
    [batch] = stream(ramps(200), 1, local_policy=local, **settings)
    shares = areas(batch["local"], 64)
    assert shares.min() > 0.04 and shares.max() < 0.42  # sides are whole pixels
    counts, _ = np.histogram(shares, bins=5, range=(0.05, 0.4))
    assert (np.abs(counts - len(shares) / 5) < 50).all()  # more than four standard deviations
    np.testing.assert_allclose(areas(batch["global"], 64), 1.0, atol=1e-3)


def test_local_crops_need_a_size():
    with pytest.raises(UserError, match="local_size=None"):
        dataset(images(), local_policy=LOCAL, local_size=None)
