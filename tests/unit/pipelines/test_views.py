import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.errors import UserError
from pipelines.views.policies import ViewPolicy, policy_for
from pipelines.views.stream import device_views, steps_per_epoch, train_views

PLAIN = ViewPolicy(crop_scale=(1.0, 1.0), jitter_probability=0.0, grayscale=0.0, flip=0.0)
STILL = (PLAIN,)
NOISY = (dataclasses.replace(PLAIN, noise=0.1),) * 2


def images(count=10):
    """Image i has the value i everywhere."""
    return np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)


def textured(count=10):
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1)).astype(np.uint8)


def stream(array, steps, *, policy=NOISY, batch_size=4, seed=0, **settings):
    views = train_views(
        array,
        policy=policy,
        batch_size=batch_size,
        seed=seed,
        mean=[0.0],
        std=[1 / 255],
        image_size=8,
        **settings,
    )
    return [batch["global"].numpy() for batch in itertools.islice(views, steps)]


def test_a_stream_started_at_a_step_continues_the_one_started_at_zero():
    whole = stream(textured(), 7)
    for start in (1, 4):  # within the first epoch, at the start of a later one
        resumed = stream(textured(), 7 - start, start_step=start)
        for expected, found in zip(whole[start:], resumed, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_the_number_of_parallel_calls_changes_no_bit():
    one = stream(textured(), 6, num_parallel_calls=1)
    eight = stream(textured(), 6, num_parallel_calls=8)
    np.testing.assert_array_equal(one, eight)


def settings_of(policy, size=8):
    return {"policy": policy, "batch_size": 4, "mean": [0.0], "std": [1 / 255], "image_size": size}


def test_the_device_draws_the_views_of_the_host_bit_for_bit():
    settings = settings_of(policy_for("digits", noise=0.1))
    local = {"local_policy": policy_for("digits", 3), "local_size": 8}
    host = train_views(textured(), seed=3, with_index=True, **settings, **local)
    raw = train_views(textured(), seed=3, with_index=True, on_device=True, **settings, **local)
    draw = tf.function(device_views(**settings, **local))
    for expected, batch in itertools.islice(zip(host, raw, strict=True), 3):
        assert batch["raw"].dtype == tf.uint8
        found = draw(batch)
        assert found.keys() == expected.keys() == {"global", "local", "index"}
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "gray"])
def test_real_policies_resume_bit_for_bit_in_parallel(name):
    whole = stream(textured(), 7, policy=policy_for(name), num_parallel_calls=1)
    resumed = stream(textured(), 4, policy=policy_for(name), start_step=3, num_parallel_calls=8)
    np.testing.assert_array_equal(whole[3:], resumed)


def test_an_epoch_visits_no_image_twice_and_epochs_differ_in_order():
    batches = stream(images(), 6, policy=STILL)
    visited = np.rint([batch[:, 0, 0, 0, 0] for batch in batches]).reshape(3, -1)
    assert all(len(set(epoch)) == 8 for epoch in visited)
    assert len({tuple(epoch) for epoch in visited}) == 3
    assert set(visited.ravel()) == set(range(10))


def test_another_seed_gives_another_order():
    one, other = (stream(images(), 2, policy=STILL, seed=seed) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_the_same_image_looks_different_at_every_step():
    batches = stream(textured(4), 3)
    assert len({np.sort(batch, axis=0).tobytes() for batch in batches}) == 3


def test_elements_are_dictionaries_of_static_shape():
    views = train_views(
        images(), policy=NOISY, batch_size=4, seed=0, mean=[0.5], std=[0.5], image_size=6
    )
    assert views.element_spec == {"global": tf.TensorSpec((4, 2, 6, 6, 1), tf.float32)}
    assert views.cardinality() == tf.data.INFINITE_CARDINALITY


def test_the_rest_of_an_epoch_is_dropped():
    assert steps_per_epoch(10, 4) == 2
    assert steps_per_epoch(8, 8) == 1


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"batch_size": 11}, "larger than the data set of 10"),
        ({"batch_size": 0}, "at least 1"),
        ({"seed": -1}, "seed"),
        ({"start_step": -1}, "start_step"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        stream(images(), 1, **settings)
